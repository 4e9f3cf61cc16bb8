"""Every refusal is problem details: what happened, and what to do next."""

import pytest
from django.db import OperationalError

FIELDS = {"type", "title", "status", "detail", "hint", "code", "instance"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "training/jobs/1", None, 404),
        ("DELETE", "training/jobs", None, 405),
        ("POST", "training/jobs", "{", 400),
        ("POST", "training/jobs", "{}", 400),
        ("GET", "training/jobs?page=9", None, 404),
        ("GET", "nothing", None, 404),
        ("OPTIONS", "training/jobs", None, 405),
    ],
)
def test_a_refusal_has_all_parts(alice, method, path, body, status):
    answer = alice.send(method, path, body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) >= FIELDS
    assert all(problem[field] for field in FIELDS)
    assert problem["status"] == status
    assert problem["instance"].startswith("/api/v1/")


def test_another_kind_of_body_is_refused_in_words(alice):
    answer = alice.generic("POST", "training/jobs", "recipe=simulate", content_type="text/plain")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["hint"]


def test_a_host_that_is_not_ours_is_not_answered(alice):
    assert alice.get("training/jobs", headers={"Host": "evil.test"}).status_code == 400


def test_an_absent_database_is_503_in_words(alice, monkeypatch):
    from jobs import api

    def away(*_):
        raise OperationalError("connection refused by 10.1.2.3")

    monkeypatch.setattr(api, "visible", away)
    answer = alice.get("training/jobs")
    assert answer.status_code == 503
    assert "10.1.2.3" not in answer.content.decode()
    assert answer.json()["hint"]
