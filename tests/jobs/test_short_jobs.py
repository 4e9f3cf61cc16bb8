"""Many short jobs one after the other: what each costs the database, and who hears of their ends."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from engine.processes import Ended
from engine.protocol import Event, Exit
from jobs import outbox
from jobs.conclusion import Ending, conclude
from jobs.models import Job, LogLine, MetricSeries, OutboxMessage, ProgressRow, Slot
from jobs.progress import ProgressWriter
from jobs.queue import claim, knock
from jobs.sweep import deaf_queues
from jobs.tasks import answer


def woken():
    """The functions that wait in the background queue."""
    return sorted(task.func() for task in OrmQ.objects.filter(key="background"))


def finished(slot, myself):
    attempt = claim(slot, myself)
    said = {"event": Event.COMPLETED, "step": 0, "metrics": {}, "artifact": []}
    conclude(attempt.job_id, attempt.number, Ending(Ended(code=Exit.COMPLETED), said))


@pytest.mark.django_db(transaction=True)
def test_a_worker_runs_all_that_waits_and_each_once(make_job, slot):
    for _ in range(5):
        make_job(config={"steps": 3, "step_seconds": 0})
    assert answer(slot.pk) == 5
    assert set(Job.objects.values_list("status", "attempt_number")) == {("completed", 1)}
    assert ProgressRow.objects.filter(series__name="train/loss").count() == 15
    assert OutboxMessage.objects.count() == 5


def test_a_batch_takes_the_same_few_statements_however_many_metrics_it_has(running):
    def batch(writer, step, metrics):
        for name in range(metrics):
            writer.step({"step": step, "time": 1.0, "metrics": {f"m{name}": 1.0}})
        writer.log("a line")
        with CaptureQueriesContext(connection) as statements:
            writer.flush()
        return len(statements)

    writer = ProgressWriter(running.job, running.number)
    few = batch(writer, 1, 2)
    many = ProgressWriter(running.job, running.number, flushes=1)
    many.lines = 1
    assert batch(many, 2, 40) <= few + 1
    assert MetricSeries.objects.count() == 40
    assert LogLine.objects.count() == 2


def test_a_series_that_another_process_made_is_found(running):
    known = MetricSeries.objects.create(job=running.job, name="train/loss")
    writer = ProgressWriter(running.job, running.number)
    writer.step({"step": 1, "time": 1.0, "metrics": {"train/loss": 1.0, "new": 2.0}})
    writer.flush()
    assert writer.series["train/loss"] == known.pk
    assert ProgressRow.objects.filter(series=known).count() == 1


@pytest.mark.django_db(transaction=True)
def test_ends_that_follow_each_other_wake_the_history_at_once_and_then_together(make_job, slot, myself):
    for _ in range(4):
        make_job()
    OrmQ.objects.all().delete()
    with outbox.gathering():
        finished(slot, myself)
        assert woken() == [outbox.HISTORY]  # a simulated run has no version to evaluate
        for _ in range(3):
            finished(slot, myself)
        assert woken() == [outbox.HISTORY]
    assert woken() == [outbox.HISTORY] * 2
    assert OutboxMessage.objects.count() == 4


@pytest.mark.django_db(transaction=True)
def test_outside_a_worker_nobody_is_put_off(make_job, slot, myself):
    for _ in range(2):
        make_job()
    OrmQ.objects.all().delete()
    for _ in range(2):
        finished(slot, myself)
    assert woken() == [outbox.HISTORY] * 2


def test_a_worker_between_two_short_jobs_is_not_taken_for_deaf(make_job, slot):
    make_job()
    assert knock() == 1
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=60))
    Slot.objects.update(answered_at=timezone.now() - timedelta(seconds=60))
    assert deaf_queues(slot.node_id) == [slot.queue]
    Slot.objects.update(answered_at=timezone.now())
    assert deaf_queues(slot.node_id) == []


def test_a_worker_that_has_just_ended_a_long_job_does_not_count_as_hung(make_job, slot, myself):
    """It removes the job's folder before it answers what was put meanwhile; its cluster was ended for that."""
    make_job()
    attempt = claim(slot, myself)
    Slot.objects.update(answered_at=timezone.now() - timedelta(hours=1))
    OrmQ.objects.create(key=slot.queue, payload="", lock=timezone.now() - timedelta(hours=1))
    said = {"event": Event.COMPLETED, "step": 0, "metrics": {}, "artifact": []}
    conclude(attempt.job_id, attempt.number, Ending(Ended(code=Exit.COMPLETED), said))
    assert deaf_queues(slot.node_id) == []
    Slot.objects.update(answered_at=timezone.now() - timedelta(seconds=60))
    assert deaf_queues(slot.node_id) == [slot.queue]
