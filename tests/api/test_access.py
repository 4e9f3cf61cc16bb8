"""Nobody comes in without a token or session, and nobody sees what belongs to someone else."""

import pytest

from tests.api.routes import METHODS, api_routes
from tests.world import make_world

REFUSED = {401, 403, 405}
SHARED = {"node_name"}  # what these name belongs to the hub: everyone sees it, administrators change it


def test_S01_the_anonymous_are_refused_at_every_address_by_every_method(anonymous, world):
    let_in = []
    for route in api_routes():
        for method in METHODS:
            answer = anonymous.send(method, route.address(world.parameters()))
            to_sign_in = route.name == "api-docs" and answer.status_code == 302 and "/login" in answer.url
            signs_in = (route.name, method, answer.status_code) == ("api-sign-in", "POST", 400)
            if answer.status_code not in REFUSED and not to_sign_in and not signs_in:
                let_in.append((method, route.path, answer.status_code))
    assert let_in == []


def test_S01_a_refusal_says_how_to_come_in(anonymous):
    answer = anonymous.get("training/jobs")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "auth/token" in answer.json()["hint"]


def test_S02_a_stranger_finds_nothing_at_the_address_of_someone_elses_object(mallory, world):
    seen = []
    for route in api_routes():
        if not set(route.placeholders) - SHARED:
            continue
        for method in METHODS:
            answer = mallory.send(method, route.address(world.parameters()))
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            if answer.status_code not in {404, 405} or world.marker.encode() in body:
                seen.append((method, route.path, answer.status_code))
    assert seen == []


def test_S02_what_belongs_to_the_hub_is_seen_by_everyone_and_changed_by_administrators(mallory, world):
    for route in api_routes():
        if set(route.placeholders) & SHARED:
            for method in METHODS:
                answer = mallory.send(method, route.address(world.parameters()))
                allowed = {200, 405} if method in {"GET", "HEAD"} else {403, 405}
                assert answer.status_code in allowed, (method, route.path)
                assert world.marker.encode() not in answer.content, (method, route.path)


def test_S02_no_list_shows_a_stranger_someone_elses_rows(mallory, world):
    for route in api_routes():
        if not route.placeholders:
            for query in ("", "?owner=alice", "?search=marker", "?status=active", f"?job_id={world.job.pk}"):
                answer = mallory.get(route.path + query)
                assert world.marker.encode() not in answer.content, route.path + query


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("training/jobs", {"recipe": "text-generation", "dataset": "dataset"}),
        ("training/jobs", {"recipe": "text-generation", "dataset_version": "dataset_version"}),
        ("training/jobs", {"recipe": "simulate", "subject": "subject"}),
        ("training/jobs", {"recipe": "simulate", "base_version": "version"}),
        ("training/jobs", {"recipe": "simulate", "model": "model"}),
        ("performance/metrics/record", {"name": "x", "value": 1, "version": "version"}),
        ("datasets", {"name": "mine", "modality": "text", "subject": "subject"}),
    ],
)
def test_S02_a_body_that_points_at_someone_elses_object_answers_404(mallory, world, path, body):
    ids = {
        "job": world.job.pk,
        "dataset": world.dataset.pk,
        "dataset_version": world.dataset_version.pk,
        "subject": world.subject.pk,
        "version": world.version.pk,
        "model": world.version.model_id,
    }
    named = {key: [ids[value[0]]] if isinstance(value, list) else ids.get(value, value) for key, value in body.items()}
    answer = mallory.post_json(path, named)
    assert answer.status_code == 404
    assert world.marker not in answer.content.decode()


def test_S02_a_query_that_points_at_someone_elses_object_answers_404(mallory, world):
    assert mallory.get(f"training/status?job_id={world.job.pk}").status_code == 404
    trend = f"performance/metrics/trend?model={world.version.model_id}&name=production/accuracy"
    assert mallory.get(trend).status_code == 404


def test_the_owner_reads_every_object_of_their_own(alice, world):
    for route in api_routes():
        if route.placeholders:
            answer = alice.get(route.address(world.parameters()))
            assert answer.status_code in {200, 405}, (route.path, answer.content)


def test_staff_see_everyones_rows(staff, world):
    assert staff.get(f"training/jobs/{world.job.pk}").json()["owner"] == "alice"
    assert world.marker in staff.get("models").content.decode()
    assert staff.get(f"training-history/user/{world.job.owner_id}").json()["count"] == 1


def test_staff_read_every_object_but_tokens(staff, world):
    """Sessions, notes, saved views, templates, endpoints, exports, trends, examples: whosever they are."""
    for route in api_routes():
        if route.placeholders and "token_id" not in route.placeholders:
            answer = staff.get(route.address(world.parameters()))
            assert answer.status_code in {200, 405}, (route.path, answer.content)


def test_staff_cannot_touch_someone_elses_token(staff, world):
    assert staff.delete(f"auth/tokens/{world.token.pk}").status_code == 404


def test_two_people_with_the_same_kinds_of_rows_never_meet(alice, mallory, world, stranger):
    other = make_world(stranger)
    for path in ("training/jobs", "models", "datasets", "subjects", "auth/tokens", "training/active"):
        assert other.marker not in alice.get(path).content.decode(), path
        assert world.marker not in mallory.get(path).content.decode(), path


def test_S15_a_session_needs_the_csrf_token_for_every_change(owner, world):
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    let_in = []
    for route in api_routes():
        if route.name == "api-sign-in":
            continue  # reads no session, so there is nothing to forge
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for content_type in ("application/json", "text/plain"):
                answer = browser.generic(method, route.address(world.parameters()), "{}", content_type=content_type)
                if answer.status_code not in {403, 405}:
                    let_in.append((method, route.path, answer.status_code))
            assert "Access-Control-Allow-Origin" not in answer.headers
    assert let_in == []


def test_a_session_with_the_csrf_token_may_change_things(owner):
    from django.test import Client

    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    browser.cookies[__import__("django.conf").conf.settings.CSRF_COOKIE_NAME] = "a" * 32
    answer = browser.post(
        "/api/v1/training/jobs", '{"recipe": "simulate"}', "application/json", headers={"X-CSRFToken": "a" * 32}
    )
    assert answer.status_code == 201
