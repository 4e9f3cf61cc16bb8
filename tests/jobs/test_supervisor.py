"""A supervisor never leaves a trainer or a job behind."""

import errno
import os
from pathlib import Path

import psutil
import pytest

from engine import launch
from jobs import supervisor
from jobs.models import Attempt, Job, Node
from jobs.supervisor import Supervisor


@pytest.mark.django_db(transaction=True)
def test_a_trainer_whose_supervisor_fails_at_its_start_is_ended_and_the_job_given_back(running, slot, monkeypatch):
    started = []

    def start(*arguments, **options):
        started.append(launch.start_trainer(*arguments, **options))
        return started[-1]

    def broken(*arguments):
        raise RuntimeError("no figures")

    monkeypatch.setattr(supervisor, "start_trainer", start)
    monkeypatch.setattr(supervisor, "Sampler", broken)
    Supervisor(running, slot).run()
    assert not psutil.pid_exists(started[0].pid) or psutil.Process(started[0].pid).status() == psutil.STATUS_ZOMBIE
    assert (Job.objects.get().status, Attempt.objects.get().outcome) == ("queued", "lost")
    assert "no figures" in Attempt.objects.get().reason


@pytest.mark.django_db(transaction=True)
def test_a_simulated_job_runs_from_claim_to_end_in_this_process(make_job, slot, myself):
    from jobs.queue import claim

    job = make_job(config={"steps": 5, "step_seconds": 0.01})
    Supervisor(claim(slot, myself), slot).run()
    job.refresh_from_db()
    assert (job.status, job.current_step, job.progress) == ("completed", 5, 100.0)
    assert [kind for (kind,) in job.events.order_by("sequence").values_list("kind")] == [
        "created",
        "started",
        "completed",
    ]
    assert job.logs.count() > 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("number", "status", "code"), [(errno.ENOSPC, "pending", "DISK_FULL"), (errno.EROFS, "queued", "CRASHED")]
)
def test_a_machine_that_can_start_no_trainer_is_to_blame_and_not_its_jobs(
    running, slot, monkeypatch, number, status, code
):
    """A node whose disk is full or gone would otherwise fail the whole queue, job by job."""

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "write_text", refuse)
    Supervisor(running, slot).run()
    job, attempt = Job.objects.get(), Attempt.objects.get()
    assert (job.status, attempt.code, attempt.outcome) == (status, code, "failed")
    assert os.strerror(number) in attempt.reason
    assert Node.objects.get().failures_in_a_row == [job.pk]
