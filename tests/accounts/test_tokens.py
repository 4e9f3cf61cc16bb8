"""The life of a token: shown once, kept as a digest, dead when it expires, is revoked, or its owner changes."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken
from common.errors import ConflictError, InvalidInputError


def test_a_key_finds_its_token_and_is_not_kept(owner):
    token, key = tokens.create(owner, "laptop")
    assert tokens.authenticate(key) == token
    row = ApiToken.objects.values().get()
    assert key not in str(row)
    assert key.startswith(row["prefix"])


@pytest.mark.parametrize("key", ["", "th_", "x" * 500, "th_\udcff", "' OR 1=1 --", "\x00"])
def test_what_is_no_key_finds_nothing(owner, key):
    tokens.create(owner, "laptop")
    assert tokens.authenticate(key) is None


def test_a_revoked_key_is_dead(owner):
    token, key = tokens.create(owner, "laptop")
    tokens.revoke(token)
    assert tokens.authenticate(key) is None


def test_a_key_dies_when_its_time_is_over(owner):
    token, key = tokens.create(owner, "laptop", timezone.now() + timedelta(hours=1))
    assert tokens.authenticate(key)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())
    assert tokens.authenticate(key) is None


def test_a_key_dies_with_the_password(owner):
    keys = [tokens.create(owner, str(n))[1] for n in range(10)]
    owner.set_password("another horse battery")
    owner.save()
    assert [tokens.authenticate(key) for key in keys] == [None] * 10


def test_a_key_dies_with_its_owners_account(owner):
    _, key = tokens.create(owner, "laptop")
    owner.is_active = False
    owner.save()
    assert tokens.authenticate(key) is None


def test_void_tokens_are_cleared_when_a_new_one_is_made(owner):
    tokens.create(owner, "old")
    owner.set_password("another horse battery")
    owner.save()
    tokens.create(owner, "new")
    assert [token.name for token in ApiToken.objects.all()] == ["new"]


def test_a_new_secret_key_of_the_hub_keeps_tokens(owner, settings):
    _, key = tokens.create(owner, "laptop")
    settings.SECRET_KEY = "another" * 10
    assert tokens.authenticate(key)


def test_use_is_noted_at_most_once_a_minute(owner, django_assert_num_queries):
    token, key = tokens.create(owner, "laptop")
    with django_assert_num_queries(2):
        assert tokens.authenticate(key).last_used_at
    with django_assert_num_queries(1):
        tokens.authenticate(key)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=timezone.now() - timedelta(seconds=61))
    with django_assert_num_queries(2):
        tokens.authenticate(key)


def test_a_token_cannot_be_made_for_the_past(owner):
    with pytest.raises(InvalidInputError):
        tokens.create(owner, "late", timezone.now() - timedelta(seconds=1))


def test_nobody_hoards_tokens(owner, monkeypatch):
    monkeypatch.setattr(tokens, "MAX_TOKENS", 2)
    tokens.create(owner, "1")
    tokens.create(owner, "2")
    with pytest.raises(ConflictError, match="2 tokens"):
        tokens.create(owner, "3")


def test_the_command_prints_a_key_that_works(owner, capsys):
    call_command("api_token", "alice", "--name", "script", "--days", "7")
    token = tokens.authenticate(capsys.readouterr().out.strip())
    assert (token.user, token.name) == (owner, "script")
    assert timedelta(days=6) < token.expires_at - timezone.now() < timedelta(days=8)


@pytest.mark.parametrize("arguments", [("nobody",), ("alice", "--days", "-1"), ("alice", "--days", "99999999")])
def test_the_command_explains_what_it_cannot_do(owner, arguments):
    with pytest.raises(CommandError):
        call_command("api_token", *arguments)
