"""Rules of automatic training, runs that generate, and what they keep: put there without a worker."""

from __future__ import annotations

from django.utils import timezone

from history.models import Session
from history.recording import record_pending
from jobs.lifecycle import move
from jobs.models import Attempt, AutomaticTraining, GeneratedExample, Job
from jobs.outbox import note_end
from tests.world import make_job

ENOUGH = 5


def make_rule(owner, dataset, **more):
    given = {
        "genres": "Sea", "prompts": "Write of {genre}.", "judge": "measures", "minimum_quality": 5, "examples": 50,
        "enabled": True, "threshold": ENOUGH, "recipe": "text-generation",
    }  # fmt: skip
    return AutomaticTraining.objects.create(owner=owner, dataset=dataset, **(given | more))


def make_generating(owner, dataset, name="Writer", **columns):
    """A job of the recipe that generates, as if it ran its first attempt."""
    job = make_job(owner, name=name)
    now = timezone.now()
    given = {"recipe": "generate", "save_to": dataset, "status": "running", "phase": "training", "queued_at": now,
             "attempt_number": 1, "attempt_started_at": now,
             "config": {"judge": "measures", "generators": "endpoint a", "genres": "Sea"}}  # fmt: skip
    Job.objects.filter(pk=job.pk).update(**(given | columns))
    job.refresh_from_db()
    return job


def keep(job, count, start=None, kept=True):
    """Examples that the job made, as its supervisor leaves them."""
    begun = start or (GeneratedExample.objects.filter(job=job).count() + 1)
    GeneratedExample.objects.bulk_create(
        GeneratedExample(
            job=job, step=step, genre="Sea", prompt=f"p {job.pk} {step}", kept=kept, score=8, winner="endpoint a",
            text=f"The tale of {job.pk}, number {step}, of ships and of the sea.", attempt_number=job.attempt_number,
            at=timezone.now(),
        )
        for step in range(begun, begun + count)
    )  # fmt: skip


def session_of(maker):
    """End the run and record it."""
    Job.objects.filter(pk=maker.pk).update(status="running")
    now = timezone.now()
    Attempt.objects.get_or_create(
        job=maker, number=maker.attempt_number,
        defaults={"host": "h", "boot_id": "b", "supervisor_pid": 1, "supervisor_start": 1, "started_at": now,
                  "lease_until": now, "ended_at": now, "outcome": "completed", "devices": ["cpu"]},
    )  # fmt: skip
    note_end(move(maker.pk, "completed", kind="completed", expected={"running"}))
    record_pending()
    return Session.objects.get(job=maker)
