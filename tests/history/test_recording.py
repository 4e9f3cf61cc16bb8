"""Every run that ended is in the history once, and a failure to write it harms nobody."""

import json
import os
import socket
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from engine.launch import boot_id, start_time_of
from engine.processes import Ended
from engine.protocol import Event, Exit
from history import recording
from history.models import Session, SessionDay
from history.recording import record_pending
from jobs.conclusion import Ending, conclude
from jobs.control import cancel, retry
from jobs.models import Attempt, Node, OutboxMessage, Slot
from jobs.queue import Owner, claim
from jobs.runs import session_id_of
from tests.history.sums import days_are_right, rows
from tests.world import make_dataset, make_job, make_version


@pytest.fixture
def run(db):
    """Claims the job that is next, and ends it as told."""
    now = timezone.now()
    node = Node.objects.create(name="n1", host=socket.gethostname(), started_at=now, heartbeat_at=now)
    slot = Slot.objects.create(node=node, index=0, device="cpu", queue="slot.n1.0")
    me = Owner(socket.gethostname(), boot_id(), os.getpid(), start_time_of(os.getpid()))

    def finish(event=Event.COMPLETED, code=Exit.COMPLETED, **said):
        attempt = claim(slot, me)
        said = {"event": event, "step": 0, "metrics": {"train/loss": 0.5}, "artifact": [], **said}
        conclude(attempt.job_id, attempt.number, Ending(Ended(code=code), said))
        return attempt

    return finish


def test_a_completed_run_is_recorded_with_what_happened(owner, run):
    dataset = make_dataset(owner)
    job = make_job(owner, recipe="text-generation", dataset=dataset, name="Fox")
    run()
    assert record_pending() == 1
    session = Session.objects.get()
    job.refresh_from_db()
    assert (session.user, session.name, session.recipe, session.outcome) == (
        owner,
        "Fox",
        "text-generation",
        "completed",
    )
    assert session.examples_requested == session.examples_successful == sum(job.dataset_version.counts.values())
    assert session.metrics == {"train/loss": 0.5}
    assert abs(session.started_at - job.started_at) < timedelta(seconds=1)
    assert session.completed_at == job.completed_at
    assert session.total_seconds == pytest.approx(job.spent_seconds, abs=0.05)
    assert session.quality_average is None  # nothing is guessed
    assert OutboxMessage.objects.get().processed_at


def test_a_failed_run_is_recorded_as_failed(owner, run):
    make_job(owner)
    run(Event.FAILED, Exit.FAILED)
    record_pending()
    assert Session.objects.get().outcome == "failed"


def test_recording_twice_makes_one_session(owner, run):
    job = make_job(owner)
    run()
    record_pending()
    OutboxMessage.objects.update(processed_at=None)
    assert record_pending() == 1
    assert Session.objects.count() == 1
    assert Session.objects.get().session_id == session_id_of(job.pk, 1)


def test_a_retried_job_is_two_sessions_each_with_its_own_end(owner, run):
    job = make_job(owner)
    run(Event.FAILED, Exit.FAILED)
    job.refresh_from_db()
    retry(job, owner)
    run()
    record_pending()
    first, second = Session.objects.order_by("started_at")
    assert (first.outcome, second.outcome) == ("failed", "completed")
    assert second.started_at >= first.completed_at
    assert second.metrics and not first.metrics


def test_a_run_that_is_retried_before_it_was_recorded_keeps_its_outcome(owner, run):
    job = make_job(owner)
    run(Event.FAILED, Exit.FAILED)
    job.refresh_from_db()
    retry(job, owner)
    record_pending()
    assert Session.objects.get().outcome == "failed"


def test_attempts_that_were_interrupted_belong_to_one_session(owner, run):
    make_job(owner)
    run(Event.STOPPED, Exit.STOPPED)
    Attempt.objects.update(started_at=timezone.now() - timedelta(seconds=100), ended_at=timezone.now())
    run()
    record_pending()
    session = Session.objects.get()
    assert session.total_seconds >= 100
    assert session.started_at == Attempt.objects.order_by("number").first().started_at


def test_a_job_that_never_ran_leaves_no_session(owner):
    cancel(make_job(owner), owner)
    assert record_pending() == 1
    assert not Session.objects.exists()


def test_a_failure_to_record_stays_with_its_reason_and_the_others_are_recorded(owner, run, monkeypatch):
    bad = make_job(owner, name="bad")
    run()
    make_job(owner, name="good")
    run()
    real = recording.record_run

    def broken(job, number):
        if job.pk == bad.pk:
            raise RuntimeError("no room")
        return real(job, number)

    monkeypatch.setattr(recording, "record_run", broken)
    assert record_pending() == 1
    assert [session.name for session in Session.objects.all()] == ["good"]
    message = OutboxMessage.objects.get(job=bad)
    assert (message.failures, message.last_error, message.processed_at) == (1, "RuntimeError: no room", None)
    bad.refresh_from_db()
    assert bad.status == "completed"

    monkeypatch.setattr(recording, "record_run", real)
    assert record_pending() == 1
    assert Session.objects.count() == 2


def test_a_constraint_that_refuses_the_session_does_not_stop_the_rest(owner, run, monkeypatch):
    make_job(owner, name="a")
    run()
    make_job(owner, name="b")
    run()
    # A real refusal by the database: the transaction of this message alone is rolled back.
    wrong = {"examples_requested": -1}
    monkeypatch.setattr(recording, "_data", lambda job, outcome: wrong if job.name == "a" else {})
    assert record_pending() == 1
    assert "IntegrityError" in OutboxMessage.objects.get(job__name="a").last_error


@pytest.mark.django_db(transaction=True)
def test_two_processes_record_each_run_once(django_user_model, run):
    owner = django_user_model.objects.create_user("alice", password="x")
    for number in range(6):
        make_job(owner, name=f"job {number}")
        run()
    taken = []

    def work():
        taken.append(record_pending())
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 6
    assert Session.objects.count() == 6
    days_are_right(rows, json.loads)


@pytest.mark.django_db(transaction=True)
def test_one_run_recorded_by_several_at_once_and_again_later_is_one_session(django_user_model, run):
    """As when a worker that was taken for dead comes back."""
    owner = django_user_model.objects.create_user("alice", password="x")
    job = make_job(owner)
    run()
    ready, found = threading.Barrier(4), []

    def work():
        ready.wait()
        found.append(recording.record_run(job, 1).pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recording.record_run(job, 1).pk == Session.objects.get().pk and set(found) == {Session.objects.get().pk}
    assert record_pending() == 1 and Session.objects.count() == 1
    days_are_right(rows, json.loads)


def test_an_exception_in_the_middle_leaves_no_sum_behind(owner, run, monkeypatch):
    make_job(owner)
    run()
    with monkeypatch.context() as broken:
        broken.setattr(recording, "publish", lambda *_: 1 / 0)  # after the session and its day were written
        assert record_pending() == 0
    assert not Session.objects.exists() and not SessionDay.objects.exists()
    assert record_pending() == 1
    assert Session.objects.count() == SessionDay.objects.get().sessions == 1
    days_are_right(rows, json.loads)


def test_a_version_that_came_of_it_is_named(owner, run):
    job = make_job(owner)
    run()
    job.refresh_from_db()
    job.model_version = make_version(owner)
    job.save(update_fields=["model_version"])
    record_pending()
    assert Session.objects.get().best_model == "Teller v1"
