"""What a session says of a run that generates: recounted from the examples that the run told of."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from common.numbers import finite
from engine.recipes.generate.config import GenerateConfig
from history.facts import headline
from jobs.generation import examples, saving, sources
from jobs.models import Job

TENTH = Decimal("0.1")


def generated(job: Job, before: int) -> dict[str, Any]:
    """Fields of a session, once what the run kept lies in its dataset.

    `before` is how many examples the job had when this run began: those of a run that was retried are not its own.
    """
    config = GenerateConfig.model_validate(job.config)
    titles = sources.titles(job)
    found = examples.figures(job, titles, before)
    saved = saving.save(job, before)
    asked = config.examples - before
    best = max(found.generators, key=lambda name: found.generators[name][0], default="")
    return {
        "examples_requested": asked,
        "examples_successful": found.kept,
        # What a run that ended early did not come to is not successful either.
        "examples_failed": asked - found.kept,
        "genres": list(config.weights()),
        "stored_in_memory": job.save_to_id is None,
        "saved_to_database": saved > 0,
        "saved_count": saved,
        "quality_average": _tenth(found.quality),
        "quality_min": _tenth(found.least),
        "quality_max": _tenth(found.most),
        "best_model": titles.get(best, best)[:200] if found.kept else "",
        "performance_by_model": {
            titles.get(name, name): {"wins": wins, "average_quality": None if mean is None else round(mean, 2)}
            for name, (wins, mean) in found.generators.items()
        },
        "genre_distribution": found.genres,
        "metrics": finite(job.metrics),
        **headline(job.recipe, job.metrics),
    }


def _tenth(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(TENTH, ROUND_HALF_UP)
