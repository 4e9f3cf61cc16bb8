"""What can be asked of jobs by the API: needs, times, order, one or many at once, each safe when sent twice."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.control import cancel, pause
from jobs.models import Attempt, Job, JobEvent
from jobs.queue import ready
from jobs.states import Status
from tests.world import make_job, run


def kinds(job, kind):
    return job.events.filter(kind=kind).count()


def post(api, **wanted):
    return api.post_json("training/jobs", {"recipe": "simulate", **wanted})


# What a job may ask for


def test_a_job_says_what_it_needs_and_shows_it(alice):
    needs = {"device": "cuda", "devices": 2, "memory_gib": 40, "labels": ["fast-disk", "a100"]}
    answer = post(alice, resources=needs, preemptible=True, max_seconds=3600, stall_seconds=60,
                  phase_seconds={"preparing": 120, "saving": None})  # fmt: skip
    assert answer.status_code == 201, answer.content
    job = alice.get(f"training/jobs/{answer.json()['id']}").json()
    assert job["resources"] == {"device": "cuda", "devices": 2, "memory_gib": 40.0, "labels": ["a100", "fast-disk"]}
    assert (job["preemptible"], job["max_seconds"], job["stall_seconds"]) == (True, 3600, 60)
    assert job["phase_seconds"] == {"preparing": 120}
    assert (job["devices"], job["node"], job["after"], job["after_failure"]) == ([], None, [], "cancel")


@pytest.mark.parametrize(
    ("given", "number"),
    [("low", -100), ("normal", 0), ("High", 100), ("urgent", 500), (7, 7), ("-7", -7), (1000, 1000)],
)
def test_a_priority_is_a_level_or_a_number(alice, given, number):
    assert post(alice, priority=given).json()["priority"] == number


def test_a_job_starts_at_its_time(alice):
    moment = timezone.now() + timedelta(hours=2)
    job = post(alice, not_before=moment.isoformat()).json()
    assert (job["status"], job["next_try_at"]) == ("pending", None)
    assert job["not_before"].startswith(moment.strftime("%Y-%m-%dT%H:%M"))
    assert job["waiting_for"] == f"Starts at {moment:%Y-%m-%d %H:%M} UTC."


def test_a_job_starts_after_others(alice, owner):
    first, second = make_job(owner, name="one"), make_job(owner, name="two")
    job = post(alice, after=[second.pk, first.pk, second.pk], after_failure="run").json()
    assert (job["status"], job["after"], job["after_failure"]) == ("pending", [first.pk, second.pk], "run")
    assert "'one'" in job["waiting_for"]


@pytest.mark.parametrize(
    ("wanted", "field", "words"),
    [
        ({"not_before": "2999-01-01T10:00:00"}, "not_before", "time zone"),
        ({"not_before": "2020-01-01T10:00:00Z"}, "not_before", "passed"),
        ({"not_before": "9999-12-31T23:59:59-14:00"}, "not_before", "out of range"),
        ({"not_before": "tomorrow"}, "not_before", "wrong format"),
        ({"not_before": 3}, "not_before", "wrong format"),
        ({"after": ["x"]}, "after.0", "integer"),
        ({"after": 3}, "after", "list"),
        ({"after": [999_999]}, "after", "There is no job 999999 for you."),
        ({"after": list(range(1, 30))}, "after", "20"),
        ({"after_failure": "weep"}, "after_failure", "not a valid choice"),
        ({"priority": "soon"}, "priority", "low, normal, high, urgent"),
        ({"priority": 1001}, "priority", "-1000 to 1000"),
        ({"priority": True}, "priority", "-1000 to 1000"),
        ({"max_seconds": 0}, "max_seconds", "out of range"),
        ({"max_seconds": 1e300}, "max_seconds", "out of range"),
        ({"stall_seconds": "nan"}, "stall_seconds", "valid number"),
        ({"phase_seconds": {"resting": 5}}, "phase_seconds", "unknown phase"),
        ({"phase_seconds": {"training": -5}}, "phase_seconds", "out of range"),
        ({"phase_seconds": {"training": [5]}}, "phase_seconds.training", "valid number"),
        ({"resources": {"devices": 0}}, "resources", "devices"),
        ({"resources": {"devices": 10**400}}, "resources", "devices"),
        ({"resources": {"memory_gib": "much"}}, "resources", "memory"),
        ({"resources": {"memory_gib": 10**400}}, "resources", "memory"),
        ({"resources": {"labels": ["Ö"]}}, "resources", "label"),
        ({"resources": {"labels": [["a"]]}}, "resources", "labels"),
        ({"resources": {"gpus": 1}}, "resources", "gpus"),
        ({"preemptible": "perhaps"}, "preemptible", "boolean"),
    ],
)  # fmt: skip
def test_a_wish_that_can_not_be_is_refused_by_its_name(alice, wanted, field, words):
    answer = post(alice, **wanted)
    assert answer.status_code == 400, answer.content
    problem = answer.json()
    assert field in problem["errors"], problem
    assert words in str(problem["errors"]) + problem["detail"], problem
    assert problem["hint"]
    assert not Job.objects.exists()


def test_the_same_request_with_its_key_is_answered_after_its_time_has_passed(alice, owner):
    moment = (timezone.now() + timedelta(hours=1)).isoformat()
    key = {"Idempotency-Key": "k"}
    body = {"recipe": "simulate", "not_before": moment, "after": [make_job(owner).pk]}
    first = alice.post_json("training/jobs", body, headers=key).json()
    again = alice.post_json("training/jobs", body, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])


def test_a_job_after_one_that_failed_is_refused_in_words(alice, owner):
    before = cancel(make_job(owner), owner)
    answer = post(alice, after=[before.pk])
    assert answer.status_code == 400
    assert "was cancelled" in answer.json()["detail"]


def test_priority_time_limit_and_preemption_are_changed(alice, owner):
    job = make_job(owner)
    answer = alice.send(
        "PATCH", f"training/jobs/{job.pk}", {"priority": "high", "preemptible": True, "max_seconds": 90}
    ).json()
    assert (answer["priority"], answer["preemptible"], answer["max_seconds"]) == (100, True, 90)
    limits = {"max_seconds": None, "stall_seconds": 600, "phase_seconds": {"preparing": 30}}
    answer = alice.send("PATCH", f"training/jobs/{job.pk}", limits).json()
    assert {name: answer[name] for name in limits} == limits
    assert answer["priority"] == 100
    answer = alice.send("PATCH", f"training/jobs/{job.pk}", {"stall_seconds": None, "phase_seconds": {}}).json()
    assert (answer["stall_seconds"], answer["phase_seconds"]) == (None, {})


# What a running job shows


def test_a_running_job_shows_its_devices_and_its_attempts(alice, owner):
    job = make_job(owner)
    run(job)
    told = alice.get(f"training/jobs/{job.pk}").json()
    assert (told["status"], told["devices"], told["node"]) == ("running", ["cpu"], "n1")
    assert alice.get("training/jobs").json()["results"][0]["devices"] == ["cpu"]
    (attempt,) = alice.get(f"training/jobs/{job.pk}/attempts").json()["results"]
    assert set(attempt) == {
        "number", "node", "devices", "started_at", "ended_at", "outcome", "code", "reason", "first_step",
    }  # fmt: skip
    assert (attempt["number"], attempt["node"], attempt["devices"], attempt["ended_at"]) == (1, "n1", ["cpu"], None)


def test_attempts_outlive_their_node(alice, owner):
    job = make_job(owner)
    Attempt.objects.create(
        job=job, number=1, devices=["cuda:0"], host="h", boot_id="b", supervisor_pid=1, supervisor_start=1,
        started_at=timezone.now(), lease_until=timezone.now(), ended_at=timezone.now(), outcome="lost",
        code="worker_lost", reason="The worker is gone.",
    )  # fmt: skip
    (attempt,) = alice.get(f"training/jobs/{job.pk}/attempts").json()["results"]
    assert (attempt["node"], attempt["outcome"], attempt["code"]) == (None, "lost", "worker_lost")


def test_a_job_that_is_tried_again_later_says_when(alice, owner):
    job = make_job(owner)
    later = timezone.now() + timedelta(minutes=5)
    Job.objects.filter(pk=job.pk).update(
        status="pending", waiting_for="Is tried again.", not_before=later, attempt_number=2
    )
    told = alice.get(f"training/jobs/{job.pk}").json()
    assert told["next_try_at"] == told["not_before"]
    assert told["waiting_for"].startswith("Is tried again.")


# Verbs, one by one


def test_a_checkpoint_is_asked_for_once(alice, owner):
    job = make_job(owner)
    run(job)
    for _ in range(2):
        answer = alice.send("POST", f"training/jobs/{job.pk}/checkpoint")
        assert (answer.status_code, answer.json()["job"]["request"]) == (200, "checkpoint")
    assert kinds(job, "checkpoint_requested") == 1


def test_a_checkpoint_of_a_job_that_does_not_run_is_a_conflict(alice, owner):
    answer = alice.send("POST", f"training/jobs/{make_job(owner).pk}/checkpoint")
    assert answer.status_code == 409
    assert answer.json()["hint"]


def test_a_pending_job_is_started_now_once(alice, owner):
    job = make_job(owner, not_before=timezone.now() + timedelta(days=1), after=[make_job(owner)])
    for _ in range(2):
        answer = alice.send("POST", f"training/jobs/{job.pk}/start-now")
        assert (answer.status_code, answer.json()["job"]["status"]) == (200, "queued")
    assert answer.json()["job"]["after"] == []
    assert kinds(job, "released") == 1


def test_pause_resume_and_cancel_sent_twice_happen_once(alice, owner):
    job = make_job(owner)
    for verb, kind in (("pause", "paused"), ("resume", "resumed"), ("cancel", "cancelled"), ("retry", "retried")):
        answers = [alice.send("POST", f"training/jobs/{job.pk}/{verb}").status_code for _ in range(2)]
        assert answers in ([200, 200], [200, 409]), verb
        assert kinds(job, kind) == 1, verb


def test_a_running_job_is_asked_to_end_once_however_often_it_is_sent(alice, owner):
    job = make_job(owner)
    run(job)
    for verb in ("pause", "pause", "cancel", "cancel", "pause", "checkpoint"):
        assert alice.send("POST", f"training/jobs/{job.pk}/{verb}").status_code == 200
    job.refresh_from_db()
    assert job.request == "cancel"
    assert (kinds(job, "pause_requested"), kinds(job, "cancel_requested")) == (1, 1)


def order():
    return list(ready().values_list("pk", flat=True))


def test_a_job_is_moved_up_down_and_to_the_top(alice, owner):
    a, b, c = (make_job(owner).pk for _ in range(3))
    for job, where, expected in (
        (c, "up", [a, c, b]), (a, "down", [c, a, b]), (b, "top", [b, c, a]), (b, "top", [b, c, a]),
    ):  # fmt: skip
        answer = alice.post_json(f"training/jobs/{job}/move", {"where": where})
        assert answer.status_code == 200, answer.content
        assert order() == expected, (job, where)


@pytest.mark.parametrize("body", [{}, {"where": "left"}, {"where": ["up"]}, {"where": None}])
def test_a_move_to_nowhere_is_refused(alice, owner, body):
    answer = alice.post_json(f"training/jobs/{make_job(owner).pk}/move", body)
    assert answer.status_code == 400
    assert "where" in answer.json()["errors"]


def test_a_job_that_is_not_queued_has_no_place_to_be_moved_from(alice, owner):
    job = pause(make_job(owner), owner)
    assert alice.post_json(f"training/jobs/{job.pk}/move", {"where": "up"}).status_code == 409


# Many at once


def test_many_are_done_and_those_that_refuse_say_why(alice, owner, stranger):
    queued, ended, theirs = make_job(owner), cancel(make_job(owner), owner), make_job(stranger)
    body = {"action": "cancel", "ids": [ended.pk, queued.pk, theirs.pk, 999_999, queued.pk], "reason": "enough"}
    answer = alice.post_json("training/queue", body)
    assert answer.status_code == 200
    told = answer.json()
    assert told["done"] == [queued.pk]
    assert [(one["job"], one["code"]) for one in told["refused"]] == [
        (ended.pk, "conflict"), (theirs.pk, "not_found"), (999_999, "not_found"),
    ]  # fmt: skip
    assert all(one["message"] and one["hint"] for one in told["refused"])
    mine, absent = told["refused"][1:]
    assert mine["message"].replace(str(theirs.pk), "#") == absent["message"].replace("999999", "#")
    theirs.refresh_from_db()
    assert theirs.status == Status.QUEUED
    assert queued.events.get(kind="cancelled").message == "enough"


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("pause", [], "paused"), ("resume", ["pause"], "queued"), ("retry", ["cancel"], "queued"), ("up", [], "queued"),
        ("cancel", [], "cancelled"), ("down", [], "queued"), ("top", [], "queued"), ("priority", [], "queued"),
    ],
)  # fmt: skip
def test_every_action_is_carried_out_on_all_and_is_safe_when_sent_twice(alice, owner, action, before, after):
    ids = [make_job(owner).pk for _ in range(3)]
    for verb in before:
        alice.post_json("training/queue", {"action": verb, "ids": ids})
    body = {"action": action, "ids": ids, "value": "urgent"}
    assert alice.post_json("training/queue", body).json() == {"done": ids, "refused": []}
    events = JobEvent.objects.count()
    again = alice.post_json("training/queue", body)
    assert again.status_code == 200
    assert set(Job.objects.values_list("status", flat=True)) == {after}
    assert JobEvent.objects.count() == events, again.content


def test_running_and_pending_jobs_take_their_actions_together(alice, owner):
    running = make_job(owner)
    run(running)
    later = make_job(owner, not_before=timezone.now() + timedelta(days=1))
    ids = [running.pk, later.pk]
    told = alice.post_json("training/queue", {"action": "checkpoint", "ids": ids}).json()
    assert (told["done"], [one["job"] for one in told["refused"]]) == ([running.pk], [later.pk])
    told = alice.post_json("training/queue", {"action": "start_now", "ids": ids}).json()
    assert (told["done"], [one["job"] for one in told["refused"]]) == ([later.pk], [running.pk])


@pytest.mark.parametrize("who", ["alice", "staff"])
def test_jobs_that_are_moved_together_keep_their_order(request, owner, who):
    api = request.getfixturevalue(who)
    a, b, c, d, e = (make_job(owner).pk for _ in range(5))
    for action, chosen, expected in (
        ("top", [e, d], [d, e, a, b, c]), ("top", [d, e], [d, e, a, b, c]), ("up", [d, e], [d, e, a, b, c]),
        ("down", [d, e], [a, d, e, b, c]), ("up", [e, d, c], [d, e, a, c, b]), ("up", [d, e, c], [d, e, c, a, b]),
        ("down", [b, a], [d, e, c, a, b]), ("down", [a, c], [d, e, b, c, a]),
    ):  # fmt: skip
        assert api.post_json("training/queue", {"action": action, "ids": chosen}).json()["refused"] == []
        assert order() == expected, action


def test_the_priority_of_many_is_set(alice, owner):
    ids = [make_job(owner).pk for _ in range(2)]
    alice.post_json("training/queue", {"action": "priority", "ids": ids, "value": "high"})
    assert set(Job.objects.values_list("priority", flat=True)) == {100}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "explode", "ids": [1]}, "action"),
        ({"action": "cancel"}, "ids"),
        ({"action": "cancel", "ids": []}, "ids"),
        ({"action": "cancel", "ids": list(range(1, 502))}, "ids"),
        ({"action": "cancel", "ids": [2**63]}, "ids.0"),
        ({"action": "cancel", "ids": [[1]]}, "ids.0"),
        ({"action": "cancel", "ids": "1,2"}, "ids"),
        ({"action": "priority", "ids": [1]}, "value"),
        ({"action": "priority", "ids": [1], "value": None}, "value"),
        ({"action": "priority", "ids": [1], "value": [1]}, "value"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_by_its_field(alice, body, field):
    answer = alice.post_json("training/queue", body)
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["errors"], answer.content
    assert answer.json()["hint"]


# The queue


def test_the_queue_is_shown_in_its_order_with_places_among_all(alice, mallory, staff, owner, stranger):
    a1, a2 = make_job(owner), make_job(owner)
    m1 = make_job(stranger)
    a3 = make_job(owner, priority=100)
    paused = pause(make_job(owner), owner)
    everyone = order()
    assert set(everyone) == {a1.pk, a2.pk, a3.pk, m1.pk}
    for api, seen in ((alice, {a1.pk, a2.pk, a3.pk}), (mallory, {m1.pk}), (staff, set(everyone))):
        told = api.get("training/queue").json()
        assert [job["id"] for job in told["results"]] == [pk for pk in everyone if pk in seen]
        assert told["count"] == len(seen)
        for job in told["results"]:
            assert job["place"] == everyone.index(job["id"]) + 1
            assert job["waiting_for"]
            assert job["id"] != paused.pk


def test_the_queue_is_paged(alice, owner):
    ids = [make_job(owner).pk for _ in range(3)]
    page = alice.get("training/queue?page=2&page_size=2").json()
    assert [(job["id"], job["place"]) for job in page["results"]] == [(ids[2], 3)]


@pytest.mark.parametrize("path", ["training/queue", "training/jobs", "training/active", "training/nodes"])
def test_a_list_of_jobs_takes_the_same_number_of_queries_for_few_and_for_many(alice, owner, path):
    def cast():
        first = make_job(owner, priority=500)
        if Job.objects.filter(status=Status.RUNNING).count() < 4:
            run(first, f"n{first.pk}")
        make_job(owner, after=[first], after_failure="run")
        make_job(owner, not_before=timezone.now() + timedelta(days=1))
        make_job(owner)

    cast()
    cast()
    alice.get(path)
    with CaptureQueriesContext(connection) as few:
        alice.get(path)
    for _ in range(6):
        cast()
    with CaptureQueriesContext(connection) as many:
        alice.get(path)
    assert len(many) <= len(few), "\n".join(query["sql"][:160] for query in [*few, *many])
