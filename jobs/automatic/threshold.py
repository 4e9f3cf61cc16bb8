"""How many new examples a rule has, and who is asked to look when there are enough.

Looking is cheap, and asking once too often does no harm: what is decided is decided in `jobs.automatic.starting`.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from common.background import enqueue
from jobs.models import AutomaticTraining, GeneratedExample

log = logging.getLogger(__name__)

TASK = "jobs.tasks.start_fine_tuning"
ASK_AGAIN = timedelta(seconds=10)  # a task that is lost is sent again then
SWEEP_SECONDS = 3.0
_swept = [0.0]  # monotonic: when this process looked last


def uncounted(rule: AutomaticTraining) -> QuerySet[GeneratedExample]:
    """Kept examples that go to the rule's dataset and that no fine-tuning has taken in, oldest first."""
    rows = GeneratedExample.objects.filter(kept=True, fine_tuning__isnull=True, job__owner_id=rule.owner_id)
    return rows.filter(job__save_to_id=rule.dataset_id).order_by("pk") if rule.dataset_id else rows.none()


def count(rule: AutomaticTraining, most: int = 1_000_000) -> int:
    """How many there are; no further than `most` is counted."""
    return uncounted(rule).order_by()[:most].count()


def due() -> QuerySet[AutomaticTraining]:
    """Rules that may start something now, if they have the examples."""
    return AutomaticTraining.objects.filter(
        Q(retry_at__isnull=True) | Q(retry_at__lte=Now()), enabled=True, dataset__isnull=False
    )


def reached(rule: AutomaticTraining) -> bool:
    """Whether there are enough, and, after a refusal, newer ones than at that time."""
    if count(rule, rule.threshold) < rule.threshold:
        return False
    return rule.refused_after is None or uncounted(rule).filter(pk__gt=rule.refused_after).exists()


def newest(rule: AutomaticTraining) -> int | None:
    """The number of the newest example that waits."""
    return uncounted(rule).order_by("-pk").values_list("pk", flat=True).first()


def notice(owner_id: int, dataset_id: int | None) -> None:
    """New examples of this person were kept for a dataset: have a worker start what they complete.

    For a supervisor, after its transaction: whatever goes wrong here is made good by the sweep.
    """
    if dataset_id is None:
        return
    try:
        for rule in due().filter(owner_id=owner_id, dataset_id=dataset_id):
            if reached(rule):
                ask(rule.pk)
    except Exception:  # the run goes on whatever it is
        log.warning("the examples for dataset %s could not be counted now", dataset_id, exc_info=True)


def ask(rule_id: int) -> None:
    """Put one task, unless one was put just now."""
    fresh = Q(asked_at__isnull=True) | Q(asked_at__lt=Now() - ASK_AGAIN)
    if due().filter(fresh, pk=rule_id).update(asked_at=Now()):
        enqueue(TASK, rule_id)


def sweep() -> None:
    """Ask for every rule that has enough examples: tasks get lost, and what was in the way may be gone."""
    if time.monotonic() < _swept[0] + SWEEP_SECONDS:
        return
    _swept[0] = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_REACHED)
        found = [key for (key,) in cursor.fetchall()]
    for rule in due().filter(pk__in=found):
        if reached(rule):
            ask(rule.pk)


def bar(rule: AutomaticTraining) -> dict[str, int | bool]:
    """'37 of 50 new examples', as pages draw it. What goes beyond the threshold is not counted for it."""
    found = count(rule, rule.threshold)
    return {"examples": found, "threshold": rule.threshold, "enabled": rule.enabled, "missing": rule.threshold - found}


def bar_of(owner_id: int, dataset_id: int | None) -> dict[str, int | bool] | None:
    """The bar of the rule to which examples of this person for this dataset count; None where there is none."""
    if dataset_id is None:
        return None
    rule = AutomaticTraining.objects.filter(owner_id=owner_id, dataset_id=dataset_id).first()
    return bar(rule) if rule else None


_REACHED = """
SELECT rule.id FROM jobs_automatictraining AS rule, LATERAL (
    SELECT count(*) AS many FROM (
        SELECT 1 FROM jobs_job AS job JOIN jobs_generatedexample AS example ON example.job_id = job.id
        WHERE job.save_to_id = rule.dataset_id AND job.owner_id = rule.owner_id
          AND example.kept AND example.fine_tuning_id IS NULL
        LIMIT rule.threshold) AS found) AS counted
WHERE rule.enabled AND (rule.retry_at IS NULL OR rule.retry_at <= now()) AND counted.many >= rule.threshold
ORDER BY rule.id LIMIT 100
"""
