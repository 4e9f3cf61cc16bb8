"""Tokens by the API."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.api.conftest import Api


def sign_in(api, username="alice", password="correct horse battery", **more):
    return api.post_json("auth/token", {"username": username, "password": password, **more})


def test_name_and_password_give_a_token_that_opens_the_api(anonymous, owner):
    answer = sign_in(anonymous)
    assert answer.status_code == 200
    me = anonymous.get("auth/me", headers={"Authorization": f"Bearer {answer.json()['token']}"}).json()
    assert me == {"id": owner.pk, "username": "alice", "email": "alice@example.org", "is_staff": False}


def test_a_wrong_password_is_refused_and_the_tenth_is_too_many(anonymous, owner):
    codes = [sign_in(anonymous, password=f"wrong {n}").status_code for n in range(12)]
    assert codes == [401] * 9 + [429] * 3
    late = sign_in(anonymous)
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 0
    assert late.json()["hint"]


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer th_unknown", "Bearer " + "x" * 300])
def test_a_header_that_opens_nothing_is_401(anonymous, header):
    answer = anonymous.get("auth/me", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.json()["hint"]


def test_tokens_are_made_listed_and_revoked(alice):
    made = alice.post_json("auth/tokens", {"name": "robot"})
    assert made.status_code == 201
    key, token_id = made.json()["token"], made.json()["id"]
    listed = alice.get("auth/tokens")
    assert key not in listed.content.decode()
    assert "robot" in [token["name"] for token in listed.json()]
    robot = {"Authorization": f"Bearer {key}"}
    assert Api().get("auth/me", headers=robot).status_code == 200
    assert alice.delete(f"auth/tokens/{token_id}").status_code == 204
    assert Api().get("auth/me", headers=robot).status_code == 401


def test_a_token_may_end_at_a_time(alice):
    until = timezone.now() + timedelta(days=1)
    made = alice.post_json("auth/tokens", {"name": "robot", "expires_at": until.isoformat()}).json()
    assert made["expires_at"].startswith(until.isoformat()[:19])
    wrong = alice.post_json("auth/tokens", {"name": "robot", "expires_at": "2001-01-01T00:00:00Z"})
    assert "expires_at" in wrong.json()["errors"]


def test_a_deactivated_owner_is_shut_out_at_once(alice, owner):
    assert alice.get("auth/me").status_code == 200
    owner.is_active = False
    owner.save()
    assert alice.get("auth/me").status_code == 401


def test_nobody_makes_a_token_for_someone_else(alice, stranger):
    from accounts.models import ApiToken

    alice.post_json("auth/tokens", {"name": "x", "user": stranger.pk, "user_id": stranger.pk, "digest": "0" * 64})
    assert not ApiToken.objects.filter(user=stranger).exists()
    assert not ApiToken.objects.filter(digest="0" * 64).exists()
