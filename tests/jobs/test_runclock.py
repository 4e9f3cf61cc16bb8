"""Limits of time, with a real trainer that hangs or takes too long; and a checkpoint now, on request."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from django.db import connection

from common.errors import InvalidInputError
from jobs import supervisor
from jobs.control import change, retry, save_checkpoint
from jobs.models import Checkpoint, Job, Node
from jobs.queue import claim
from jobs.runclock import RunClock
from jobs.supervisor import Supervisor
from tests.jobs.invariants import check_all

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = {"steps": 2000, "step_seconds": 0.02}


@pytest.fixture
def run(slot, myself, monkeypatch):
    """Supervise the next job to its end, with a real trainer."""
    monkeypatch.setattr(supervisor, "LIMIT_SECONDS", 0.5)

    def supervise():
        attempt = claim(slot, myself)
        Supervisor(attempt, slot).run()
        check_all()
        return Job.objects.get(pk=attempt.job_id)

    return supervise


def warnings_of(job):
    return list(job.logs.filter(level="warning").values_list("text", flat=True))


def test_a_trainer_that_hangs_is_ended_and_told_apart_from_a_slow_one(make_job, run):
    make_job(config={"steps": 9, "step_seconds": 0, "failure": "hang", "fail_at_step": 3}, stall_seconds=1)
    job = run()
    assert (job.status, job.failure_code, job.current_step) == ("failed", "STALLED", 2)
    assert job.failure_message == "It made no progress for 1.0 s while training and was ended."
    assert "raise the stall limit" in job.failure_hint
    assert "The trainer did not obey in time and was ended." in warnings_of(job)


def test_a_job_that_runs_too_long_saves_a_checkpoint_and_goes_on_when_its_limit_is_raised(make_job, run, owner):
    make_job(config=SLOW, max_seconds=1)
    job = run()
    assert (job.status, job.failure_code) == ("failed", "TIME_LIMIT")
    assert job.failure_message == "It has run for 1.0 s, the longest that it may."
    assert 0 < job.current_step < 2000
    saved = Checkpoint.objects.get(job=job)
    assert saved.step == job.current_step
    change(job, owner, max_seconds=2)
    retry(job, owner)
    again = run()
    assert (again.failure_code, again.attempts.get(number=2).first_step) == ("TIME_LIMIT", saved.step)
    assert again.current_step > saved.step


def test_a_phase_has_a_limit_of_its_own(make_job, run):
    make_job(config=SLOW, phase_seconds={"training": 1})
    job = run()
    assert job.failure_code == "TIME_LIMIT"
    assert job.failure_message == "It has been training for 1.0 s, the longest that it may."


def test_a_checkpoint_is_saved_on_request_and_the_run_goes_on(make_job, run, owner):
    job = make_job(config={"steps": 60, "step_seconds": 0.02})
    reached = threading.Event()

    def ask():
        try:
            while not Job.objects.filter(pk=job.pk, current_step__gte=3).exists():
                reached.wait(0.02)
            save_checkpoint(job, owner)
        finally:
            connection.close()

    person = threading.Thread(target=ask)
    person.start()
    ended = run()
    person.join()
    assert (ended.status, ended.request) == ("completed", "")
    kinds = list(ended.events.order_by("sequence").values_list("kind", flat=True))
    assert kinds == ["created", "started", "checkpoint_requested", "completed"]
    assert 3 <= Checkpoint.objects.filter(job=job).earliest("step").step < 60


def test_time_of_earlier_attempts_counts_and_limits_may_be_changed_while_it_runs(running, owner):
    Job.objects.update(spent_seconds=50.0, max_seconds=60.0)
    job = Job.objects.get()
    clock = RunClock(job, now=0.0)
    assert clock.due() == 10.0
    change(job, owner, max_seconds=100)
    clock.read_limits()
    assert clock.due() == 50.0
    change(job, owner, max_seconds=None, stall_seconds=30, phase_seconds={"preparing": 20})
    clock.read_limits()
    assert clock.due() == 20.0
    change(job, owner, phase_seconds={})
    clock.read_limits()
    assert clock.due() == 30.0
    change(job, owner, name="Another")
    row = Job.objects.get()
    assert (row.max_seconds, row.stall_seconds, row.phase_seconds) == (None, 30.0, {})
    told = list(row.events.filter(kind="changed").order_by("sequence").values_list("message", flat=True))
    assert told == [
        "max_seconds: 60.0 → 100.0",
        "max_seconds: 100.0 → none, stall_seconds: none → 30.0, phase_seconds: none → {'preparing': 20.0}",
        "phase_seconds: {'preparing': 20.0} → none",
        "name: running → Another",
    ]


@pytest.mark.parametrize("wrong", [{"max_seconds": 0}, {"stall_seconds": -1}, {"phase_seconds": {"lunch": 5}}])
def test_a_limit_that_is_none_is_refused(running, owner, wrong):
    before = Job.objects.values().get()
    with pytest.raises(InvalidInputError) as refused:
        change(Job.objects.get(), owner, **wrong)
    assert list(refused.value.fields) == list(wrong)
    assert Job.objects.values().get() == before


@pytest.mark.parametrize(
    ("request_", "status", "outcome"),
    [("", "queued", "stopped"), ("preempt", "queued", "preempted"), ("pause", "paused", "paused")],
)
def test_a_trainer_that_is_ended_since_it_does_not_stop_in_time_did_not_fail(
    make_job, run, monkeypatch, request_, status, outcome
):
    """Its node stops, or the job is to give way or pause: neither the job nor the node is to blame for the SIGKILL."""
    for name in ("STOP_SECONDS", "PAUSE_SECONDS"):
        monkeypatch.setattr(supervisor, name, 0.2)
    follow = Supervisor._follow

    def freeze_and_ask(self, trainer):
        os.kill(trainer.pid, signal.SIGSTOP)
        if request_:
            Job.objects.update(request=request_)
        else:
            Node.objects.update(state=Node.State.STOPPED)
        return follow(self, trainer)

    monkeypatch.setattr(Supervisor, "_follow", freeze_and_ask)
    make_job(config=SLOW)
    job = run()
    attempt = job.attempts.get()
    assert (job.status, job.attempts_since_progress, job.not_before) == (status, 0, None)
    assert (attempt.outcome, attempt.code) == (outcome, "")
    assert "did not in time" in job.events.last().message
    assert Node.objects.get().failures_in_a_row == []
