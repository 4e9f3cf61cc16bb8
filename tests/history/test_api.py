"""The seven endpoints of the history."""

import json
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from history.models import Session
from history.recording import REPORTED, record_reported
from history.serializers import SessionInput
from tests.api.conftest import Api
from tests.history.sums import days_are_right, rows

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def mallory(stranger):
    return Api(stranger)


def body(day=0, **more):
    at = START + timedelta(days=day)
    return {"started_at": at.isoformat(), "completed_at": (at + timedelta(minutes=5)).isoformat(), **more}


FULL = {
    "examples_requested": 10, "examples_successful": 8, "examples_failed": 2, "genres": ["noir", "sea"],
    "stored_in_memory": True, "saved_to_database": True, "saved_count": 7, "quality_average": 7.5, "quality_min": 5.0,
    "quality_max": 9.5, "best_model": "Teller v2",
    "performance_by_model": {"Teller v2": {"wins": 6, "average_quality": 8.0}},
    "genre_distribution": {"noir": 5, "sea": 3}, "total_seconds": 61.5, "examples_before": 40, "examples_after": 48,
    "fine_tuning_triggered": True,
}  # fmt: skip


def test_a_reported_session_comes_back_as_it_was(alice, owner):
    key = str(uuid.uuid4())
    made = alice.post_json("training-history", body(session_id=key, **FULL))
    assert made.status_code == 201
    shown = alice.get(f"training-history/session/{key}").json()
    assert shown == made.json() | {"username": "alice"}
    assert {name: shown[name] for name in FULL} == FULL
    assert shown["user"] == owner.pk


def test_the_same_session_sent_again_is_one_session(alice):
    sent = body(session_id=str(uuid.uuid4()), examples_requested=3)
    assert [alice.post_json("training-history", sent).status_code for _ in range(3)] == [201, 200, 200]
    assert Session.objects.count() == 1


def test_other_values_under_a_known_id_are_refused_with_both(alice):
    key = str(uuid.uuid4())
    sent = body(session_id=key, **FULL)
    alice.post_json("training-history", sent)
    other = {**sent, "saved_count": 1, "quality_min": 4.5, "completed_at": (START + timedelta(hours=1)).isoformat()}
    del other["best_model"], other["genres"]
    answer = alice.post_json("training-history", other)
    assert answer.status_code == 409
    assert answer.json()["differences"] == {
        "genres": {"stored": ["noir", "sea"], "sent": []},
        "saved_count": {"stored": 7, "sent": 1},
        "quality_min": {"stored": 5.0, "sent": 4.5},
        "best_model": {"stored": "Teller v2", "sent": ""},
        "completed_at": {"stored": "2026-03-01T12:05:00Z", "sent": "2026-03-01T13:00:00Z"},
    }
    assert "genres, saved_count, quality_min, best_model, completed_at" in answer.json()["detail"]
    shown = alice.get(f"training-history/session/{key}").json()
    assert {name: shown[name] for name in FULL} == FULL, "and nothing of it was changed"


def test_the_same_values_said_in_other_words_are_the_same_session(alice):
    key = str(uuid.uuid4())
    alice.post_json("training-history", body(session_id=key, genres=["sea"]))
    plain = {"started_at": "2026-03-01T13:00:00+01:00", "completed_at": "2026-03-01T12:05:00Z", "genres": ["sea"],
             "name": "", "saved_count": None, "metrics": {}, "fine_tuning_triggered": False}  # fmt: skip
    assert alice.post_json("training-history", {"session_id": key.upper(), **plain}).status_code == 200
    assert Session.objects.count() == 1


def test_another_persons_id_is_refused_and_nothing_of_theirs_is_said(alice, mallory, administrator):
    key = str(uuid.uuid4())
    alice.post_json("training-history", body(session_id=key, **FULL))
    for other in (mallory, Api(administrator)):
        for sent in (body(session_id=key), body(session_id=key, **FULL)):
            answer = other.post_json("training-history", sent)
            assert answer.status_code == 409 and "differences" not in answer.json()
            assert not any(word in answer.content.decode() for word in ("Teller", "noir", "alice", "7.5"))
    assert Session.objects.get().user.username == "alice"


def test_every_field_that_can_be_reported_is_compared():
    assert set(SessionInput().fields) - {"session_id"} == set(REPORTED)


def test_one_report_sent_by_several_at_once_is_one_session(transactional_db, django_user_model):
    user = django_user_model.objects.create_user("carol", password="x")
    sent = {"session_id": uuid.uuid4(), "started_at": START, "completed_at": START, "saved_count": 3, "genres": ["sea"]}
    ready, made = threading.Barrier(5), []

    def work():
        ready.wait()
        made.append(record_reported(user, sent))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({session.pk for session, _ in made}) == 1 and sorted(new for _, new in made) == [False] * 4 + [True]
    days_are_right(rows, json.loads)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quality_average": 10.1}, {"quality_average": "NaN"}, {"quality_min": 1.25}, {"examples_requested": -1},
        {"examples_requested": 2**31}, {"total_seconds": -1}, {"session_id": "x"}, {"genres": "noir"},
        {"started_at": "soon"}, {"completed_at": "2000-01-01T00:00:00Z"}, {"genre_distribution": {"x": -1}},
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_field(alice, wrong):
    answer = alice.post_json("training-history", body() | wrong)
    assert answer.status_code == 400
    assert any(field.startswith(next(iter(wrong))) for field in answer.json()["errors"])
    assert not Session.objects.exists()


@pytest.fixture
def five(alice, owner):
    for day in range(5):
        alice.post_json("training-history", body(day, name=f"day {day}", **(FULL if day % 2 else {})))
    return f"training-history/user/{owner.pk}"


def names(answer):
    rows = answer.json()
    return [row["name"] for row in (rows["results"] if isinstance(rows, dict) else rows)]


def test_all_paginated_and_recent_come_newest_first(alice, five):
    assert names(alice.get(five)) == ["day 4", "day 3", "day 2", "day 1", "day 0"]
    page = alice.get(f"{five}/paginated?page=2&size=2")
    assert (names(page), page.json()["count"]) == (["day 2", "day 1"], 5)
    assert names(alice.get(f"{five}/recent?limit=1")) == ["day 4"]
    assert len(alice.get(f"{five}/paginated?size=100000").json()["results"]) == 5


@pytest.mark.parametrize("limit", ["0", "-1", "201", "x"])
def test_an_impossible_limit_is_refused(alice, five, limit):
    assert alice.get(f"{five}/recent?limit={limit}").status_code == 400


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("start=2026-03-02&end=2026-03-03", ["day 2", "day 1"]),
        ("start=2026-03-04T12:00:00Z", ["day 4", "day 3"]),
        ("end=2026-03-01T12:00:00Z", ["day 0"]),
        ("", ["day 4", "day 3", "day 2", "day 1", "day 0"]),
    ],
)
def test_a_range_takes_days_and_times_with_both_ends(alice, five, query, expected):
    assert names(alice.get(f"{five}/date-range?{query}")) == expected


@pytest.mark.parametrize("query", ["start=2026-03-03&end=2026-03-01", "start=2026-02-30", "end=never"])
def test_a_range_that_makes_no_sense_is_refused(alice, five, query):
    assert alice.get(f"{five}/date-range?{query}").status_code == 400


def test_statistics_are_computed_in_one_query(alice, five, owner, django_assert_num_queries):
    alice.get(f"{five}/stats")
    with django_assert_num_queries(2):  # the token, the figures
        figures = alice.get(f"{five}/stats").json()
    assert figures == {
        "sessions": 5, "fine_tuning_sessions": 2, "completed": 5, "failed": 0, "cancelled": 0, "examples": 16,
        "generated_examples": 16, "saved_examples": 14, "average_quality": 7.5, "total_seconds": 123.0,
    }  # fmt: skip


def test_statistics_of_nothing_are_zero_and_no_quality(alice, owner):
    figures = alice.get(f"training-history/user/{owner.pk}/stats").json()
    assert (figures["sessions"], figures["examples"], figures["average_quality"]) == (0, 0, None)


@pytest.mark.parametrize("tail", ["", "/paginated", "/date-range", "/stats", "/recent"])
def test_a_stranger_gets_404_and_staff_the_rows(mallory, administrator, five, tail):
    assert mallory.get(five + tail).status_code == 404
    assert Api(administrator).get(five + tail).status_code == 200


def test_a_strangers_session_id_answers_404(alice, mallory):
    key = alice.post_json("training-history", body()).json()["session_id"]
    assert mallory.get(f"training-history/session/{key}").status_code == 404
    assert mallory.get(f"training-history/session/{uuid.uuid4()}").status_code == 404
    assert mallory.get("training-history/session/x").status_code == 404


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("started_at", "9999-01-01T00:00:00Z", "In the future"),
        ("completed_at", "in half an hour", "In the future"),
        ("started_at", "0001-01-01T00:00:00Z", "Before 2000"),
        ("started_at", "0001-01-01T00:00:00+14:00", "out of range"),
        ("started_at", "1999-12-31T23:59:59Z", "Before 2000"),
        ("started_at", "2026-03-01T12:00:00", "Say the time zone"),
    ],
)
def test_a_time_that_can_t_be_is_refused_at_its_field(alice, name, value, words):
    if value == "in half an hour":
        value = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    answer = alice.post_json("training-history", body() | {name: value})
    assert answer.status_code == 400 and words in str(answer.json()["errors"][name]), answer.content
    assert not Session.objects.exists()


def test_clocks_may_differ_by_some_minutes(alice):
    now = (datetime.now(UTC) + timedelta(minutes=3)).isoformat()
    assert alice.post_json("training-history", {"started_at": now, "completed_at": now}).status_code == 201


@pytest.mark.parametrize(
    ("more", "name", "words"),
    [
        (
            {"examples_requested": 5, "examples_successful": 4, "examples_failed": 2},
            "examples_successful",
            "the 5 req",
        ),
        ({"examples_requested": 0, "examples_successful": 1}, "examples_successful", "1 successful and 0 failed"),
        ({"quality_min": 5, "quality_average": 4}, "quality_average", "quality_min ≤ quality_average"),
        ({"quality_average": 9, "quality_max": 8}, "quality_average", "9.0, 8.0"),
        ({"quality_min": 9, "quality_max": 8}, "quality_average", "9.0, 8.0"),
        ({"recipe": "my recipe"}, "recipe", "Letters, digits"),
        ({"recipe": "a;b"}, "recipe", "Letters, digits"),
        ({"genres": ["sea"], "genre_distribution": {"sea": 1, "noir": 2}}, "genre_distribution", "noir"),
        ({"metrics": {str(n): 1 for n in range(1001)}}, "metrics", "At most 1,000"),
        ({"metrics": {"m" * 101: 1}}, "metrics", "at most 100"),
        ({"metrics": {"a\tb": 1}}, "metrics", "control characters"),
        ({"performance_by_model": {"m" * 201: {"wins": 1}}}, "performance_by_model", "at most 200"),
        ({"genre_distribution": {"g" * 101: 1}}, "genre_distribution", "at most 100"),
        ({"best_model": "m" * 201}, "best_model", "200"),
    ],
)
def test_a_report_that_can_t_be_is_refused_at_its_field(alice, more, name, words):
    answer = alice.post_json("training-history", body(**more))
    assert answer.status_code == 400 and words in str(answer.json()["errors"][name]), answer.content
    assert not Session.objects.exists()


def test_a_report_may_say_little_and_name_what_the_hub_does_not_know(alice):
    few = {"recipe": "My_own-recipe2", "genre_distribution": {"sea": 1}, "quality_min": 5, "quality_max": 5,
           "examples_successful": 4, "metrics": {"m" * 100: 1}}  # fmt: skip
    sent = body(session_id=str(uuid.uuid4()), **few)
    assert [alice.post_json("training-history", sent).status_code for _ in range(2)] == [201, 200]


def test_marks_are_texts_and_a_tag_is_one_tag(alice, owner):
    key = alice.post_json("training-history", body()).json()["session_id"]
    for sent, name in (({"tags": ["a,b"]}, "tags"), ({"note": 5}, "note"), ({"tags": [5]}, "tags")):
        answer = alice.send("PATCH", f"training-history/session/{key}", sent)
        assert answer.status_code == 400 and name in str(answer.json()["errors"]), answer.content
    both = alice.get(f"training-history/user/{owner.pk}/find?after=1&before=2")
    assert both.status_code == 400 and "before" in both.json()["errors"]
