"""What a session says of a run that generates: recounted from the examples that the run told of."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from common.numbers import finite
from datasets.models import Dataset
from engine.recipes.generate.config import GenerateConfig
from history.facts import headline
from jobs.generation import examples, saving, sources
from jobs.models import GeneratedExample, Job, JobEvent
from jobs.runs import session_id_of

QUALITY = "generate/quality"
TENTH = Decimal("0.1")


def generated(job: Job, before: int, first_attempt: int = 1) -> dict[str, Any]:
    """Fields of a session, once what the run kept lies in its dataset.

    `before` is how many examples the job had when this run began, with its `first_attempt`: those of a run that was
    retried are not its own.
    """
    config = GenerateConfig.model_validate(job.config)
    titles = sources.titles(job)
    found = examples.figures(job, titles, before)
    saving.save(job)
    there, made = saving.saved(job, before, str(session_id_of(job.pk, first_attempt)))
    asked = config.examples - before
    # Of those that won as often the one that wrote better.
    best = max(found.generators, key=lambda name: _standing(*found.generators[name]), default="")
    return {
        "examples_requested": asked,
        "examples_successful": found.kept,
        "examples_failed": found.failed,  # what a run that ended early did not come to has not failed
        "genres": list(config.weights()),
        "stored_in_memory": job.save_to_id is None,
        "saved_to_database": there > 0,
        "saved_count": made,
        "quality_average": _tenth(found.quality),
        "quality_min": _tenth(found.least),
        "quality_max": _tenth(found.most),
        "best_model": titles.get(best, best)[:200] if found.kept else "",
        "performance_by_model": {
            titles.get(name, name): {"wins": wins, "average_quality": None if mean is None else round(mean, 2)}
            for name, (wins, mean) in found.generators.items()
        },
        "genre_distribution": found.genres,
        **_collected(job, first_attempt, before, found.kept),
        "metrics": finite(job.metrics),
        # A run that ended early has no figures of its end, but its examples have a quality.
        **headline(job.recipe, job.metrics or {QUALITY: found.quality}),
    }


def _standing(wins: int, mean: float | None) -> tuple[int, float]:
    return wins, mean or 0.0


def _collected(job: Job, first_attempt: int, before: int, kept: int) -> dict[str, int | None]:
    """How many examples there were when the run began, and are now: items of the dataset that takes them; without one,
    what the job itself has kept. What was not noted at the start stays unknown."""
    if job.save_to_id is None:
        earlier = GeneratedExample.objects.filter(job=job, kept=True, step__lte=before).count()
        return {"examples_before": earlier, "examples_after": earlier + kept}
    started = JobEvent.objects.filter(job=job, kind="started", attempt_number=first_attempt)
    noted = started.values_list("details", flat=True).first() or {}
    return {
        "examples_before": noted.get("items") if noted.get("dataset") == job.save_to_id else None,
        "examples_after": Dataset.objects.filter(pk=job.save_to_id).values_list("item_count", flat=True).first(),
    }


def _tenth(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(TENTH, ROUND_HALF_UP)
