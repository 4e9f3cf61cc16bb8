"""An oracle that can't fail proves nothing: each kind of damage is found, and a sound hub is found sound."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from faults.oracle import INVARIANTS, judge
from history.models import Session
from jobs.models import Attempt, Checkpoint, Job, JobEvent, LogLine, OutboxMessage, ProgressRow, Slot
from registry.models import ModelVersion
from tests.faults.conftest import rows
from tests.world import make_job, make_version

pytestmark = pytest.mark.django_db


def found(scene):
    return {violation.invariant for violation in judge(scene)}


def drop(table, constraint):
    """The schema refuses most damage by itself; here it must not."""
    rows(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {constraint}")
    rows(f"DROP INDEX IF EXISTS {constraint}")


def first():
    return Job.objects.order_by("pk").first()


def last():
    return Job.objects.order_by("pk").last()


def open_attempt(job, number, **more):
    values = {
        "host": "h", "boot_id": "b", "supervisor_pid": 1, "supervisor_start": 1,
        "started_at": timezone.now(), "lease_until": timezone.now() + timedelta(seconds=30),
    }  # fmt: skip
    return Attempt.objects.create(job=job, number=number, **{**values, **more})


def lost_job(_):
    OutboxMessage.objects.filter(job=first()).delete()
    rows("DELETE FROM jobs_jobevent WHERE job_id = %s", first().pk)
    first().delete()


def stuck_job(_):
    """Running, as its row says, and its lease ran out a minute ago."""
    drop("jobs_job", "job_ended_has_time")
    drop("jobs_job", "job_running_has_phase_and_attempt")
    Job.objects.filter(pk=first().pk).update(status="running", completed_at=None)
    open_attempt(first(), 3, lease_until=timezone.now() - timedelta(minutes=1))


def running_without_attempt(_):
    drop("jobs_job", "job_ended_has_time")
    drop("jobs_job", "job_running_has_phase_and_attempt")
    Job.objects.filter(pk=first().pk).update(status="running", completed_at=None)


def forgotten_in_the_queue(_):
    job = make_job(first().owner, name="forgotten")
    Job.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(minutes=5))


def waits_for_nothing(_):
    drop("jobs_job", "job_pending_says_for_what")
    job = make_job(first().owner, name="waits")
    Job.objects.filter(pk=job.pk).update(status="pending", waiting_for="", not_before=None)


def leaked_lease(_):
    open_attempt(first(), 3)


def held_slot(_):
    Slot.objects.update(held_by=Attempt.objects.order_by("pk").first())


def two_on_one_slot(_):
    drop("jobs_attempt", "attempt_one_active_per_slot")
    slot = Slot.objects.get()
    open_attempt(first(), 3, slot=slot)
    open_attempt(last(), 3, slot=slot)


def two_for_one_job(_):
    drop("jobs_attempt", "attempt_one_active_per_job")
    open_attempt(first(), 3)
    open_attempt(first(), 4)


def failure_without_reason(_):
    rows("SET CONSTRAINTS ALL IMMEDIATE")
    drop("jobs_job", "job_failed_has_reason")
    drop("jobs_job", "job_version_only_when_completed")
    Job.objects.filter(pk=first().pk).update(status="failed")


def doubled_event(_):
    drop("jobs_jobevent", "job_event_sequence_once")
    event = JobEvent.objects.filter(job=first()).last()
    event.pk = None
    event.save()


def missing_event(_):
    JobEvent.objects.filter(job=first(), sequence=2).delete()


def event_that_tells_another_story(_):
    JobEvent.objects.filter(job=first(), kind="interrupted").update(to_status="paused")


def status_that_no_event_tells(_):
    Job.objects.filter(pk=first().pk).update(status="cancelled")


def missing_attempt(_):
    Attempt.objects.filter(job=first(), number=1).delete()


def accepted_twice(_):
    Attempt.objects.filter(job=first(), number=1).update(outcome="completed")


def accepted_from_a_zombie(_):
    """The first attempt was lost, and its end was accepted after the second had begun."""
    Attempt.objects.filter(job=first(), number=1).update(outcome="completed")
    Attempt.objects.filter(job=first(), number=2).update(outcome="lost")


def stale_event(_):
    job = first()
    Job.objects.filter(pk=job.pk).update(event_count=job.event_count + 1)
    JobEvent.objects.create(
        job=job, sequence=job.event_count + 1, at=timezone.now(), kind="checkpoint", attempt_number=1
    )


def overlapping_attempts(_):
    Attempt.objects.filter(job=first(), number=1).update(ended_at=timezone.now() + timedelta(minutes=1))


def missing_step(_):
    ProgressRow.objects.filter(series__job=first(), step=3).delete()


def missing_last_step(_):
    ProgressRow.objects.filter(series__job=first(), step=8).delete()


def doubled_step(_):
    name = rows("SELECT conname FROM pg_constraint WHERE conrelid = 'jobs_progressrow'::regclass AND contype = 'p'")
    drop("jobs_progressrow", f'"{name[0][0]}"')
    rows("INSERT INTO jobs_progressrow SELECT * FROM jobs_progressrow WHERE step = 3")


def no_curve(_):
    rows("DELETE FROM jobs_progressrow")
    rows("DELETE FROM jobs_progresssummary")
    rows("DELETE FROM jobs_metricseries")


def wrong_summary(_):
    rows("UPDATE jobs_progresssummary SET rows = rows + 1")


def missing_log_line(_):
    LogLine.objects.filter(job=first(), number=1).delete()


def other_curve(_):
    ProgressRow.objects.filter(series__job=first(), step=3).update(value=7.0)


def other_weights(_):
    jobs = [first(), last()]
    ModelVersion.objects.all().delete()
    for name, job in zip("ab", jobs, strict=True):
        version = make_version(job.owner, name=name, source_job_id=job.pk)
        Job.objects.filter(pk=job.pk).update(recipe="text-generation", model_version=version)


def no_version(_):
    Job.objects.filter(pk=first().pk).update(recipe="text-generation")


def two_sessions(_):
    session = Session.objects.filter(job=first()).get()
    session.pk, session.session_id = None, "00000000-0000-0000-0000-000000000001"
    session.save()


def no_session(_):
    Session.objects.filter(job=first()).delete()


def unrecorded(_):
    OutboxMessage.objects.filter(job=first()).update(processed_at=None)


def orphan_file(scene):
    folder = scene.home / "store" / "aa"
    folder.mkdir(exist_ok=True)
    (folder / ("aa" * 32)).write_text("nobody's")


def missing_file(_):
    ModelVersion.objects.update(artifact=[{"name": "model.safetensors", "sha256": "bb" * 32, "bytes": 1}])


def temporary_file(scene):
    (scene.home / "store" / ".incoming").mkdir(exist_ok=True)
    (scene.home / "store" / ".incoming" / "half").touch()


def half_checkpoint(scene):
    (scene.home / "jobs" / "99" / "checkpoints" / ".tmp-step-1").mkdir(parents=True)


def trash(scene):
    (scene.home / "jobs" / ".trash-1-x").mkdir()


def folder_of_an_ended_job(scene):
    (scene.home / "jobs" / str(first().pk)).mkdir()


def available_checkpoint(_):
    Checkpoint.objects.create(
        job=first(), step=4, attempt_number=1, name="step-00000004", bytes=1, at=timezone.now(), available=True
    )


DAMAGE = {
    lost_job: "no job is lost",
    stuck_job: "every job has ended or waits truthfully",
    running_without_attempt: "every job has ended or waits truthfully",
    forgotten_in_the_queue: "every job has ended or waits truthfully",
    waits_for_nothing: "every job has ended or waits truthfully",
    leaked_lease: "an ended job has no open attempt",
    held_slot: "no slot is held by an attempt that is over",
    two_on_one_slot: "one open attempt per job and slot",
    two_for_one_job: "one open attempt per job and slot",
    failure_without_reason: "a failure has a reason",
    doubled_event: "events have no gap and no double",
    missing_event: "events have no gap and no double",
    event_that_tells_another_story: "events replay to the row",
    status_that_no_event_tells: "events replay to the row",
    missing_attempt: "attempts have no gap and are told",
    accepted_twice: "at most one attempt completed",
    accepted_from_a_zombie: "at most one attempt completed",
    stale_event: "nothing is written after an attempt has ended",
    overlapping_attempts: "attempts of a job do not overlap",
    missing_step: "every step is there once",
    missing_last_step: "every step is there once",
    doubled_step: "every step is there once",
    no_curve: "every completed job has its curve",
    wrong_summary: "summaries agree with the rows",
    missing_log_line: "log lines have no gap",
    other_curve: "equal jobs have equal curves",
    other_weights: "equal jobs have equal weights",
    no_version: "a completed training has one version",
    two_sessions: "each run has one session",
    no_session: "each run has one session",
    unrecorded: "nothing waits to be recorded",
    orphan_file: "stored files are what their rows name",
    missing_file: "stored files are what their rows name",
    temporary_file: "no temporary file is left",
    half_checkpoint: "no temporary file is left",
    trash: "no temporary file is left",
    folder_of_an_ended_job: "work folders belong to jobs that need them",
    available_checkpoint: "checkpoints of ended jobs are gone",
}


def test_a_sound_hub_is_found_sound(scene):
    assert judge(scene) == []


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_found(scene, damage):
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is pending would forbid changes of the schema
    damage(scene)
    assert DAMAGE[damage] in found(scene)


def test_each_invariant_has_damage_that_breaks_it():
    assert {check.__name__.replace("_", " ") for check in INVARIANTS} == set(DAMAGE.values())
