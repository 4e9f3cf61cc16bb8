"""The schema refuses states that must not exist."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.models import Job


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "completed"},
        {"status": "queued", "completed_at": timezone.now()},
        {"status": "running"},
        {"status": "queued", "phase": "training"},
        {"status": "failed", "completed_at": timezone.now()},
        {"status": "queued", "request": "cancel"},
        {"status": "queued", "current_step": 5, "total_steps": 4},
    ],
)
def test_a_job_in_an_impossible_state_is_refused(owner, wrong):
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.create(owner=owner, name="x", recipe="simulate", **wrong)


def test_migrations_match_the_models(db):
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
