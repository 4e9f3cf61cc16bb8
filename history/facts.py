"""What a session keeps beside its figures so that lists and trends need not look into JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from engine.catalogue import RECIPES
from jobs.estimates import Estimate
from jobs.models import Job
from registry import figures

MODALITIES = ("text", "image", "audio", "video", "table")


def modality_of(recipe: str) -> str:
    """What data a recipe takes; '' when it takes none or is not known here."""
    return (RECIPES[recipe].modality or "") if recipe in RECIPES else ""


def higher_is_better(recipe: str, metric: str) -> bool:
    """Which way a headline metric improves."""
    if recipe in RECIPES and RECIPES[recipe].goal == metric:
        return RECIPES[recipe].higher_is_better
    return not metric.endswith(("loss", "error", "mae", "rmse", "perplexity"))


def headline(recipe: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metric that tells a good run of this recipe, as fields of a session; the most telling one otherwise."""
    goal = [RECIPES[recipe].goal] if recipe in RECIPES else []
    for name in (*goal, *figures.headlines(metrics, recipe)):
        value = metrics.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return {"metric": name[:100], "metric_value": float(value)}
    return {}


def expected_and_paid(job: Job, seconds: float) -> dict[str, Any]:
    """What the job was expected to take, and what its time cost by the price of then."""
    guess = Estimate.of(job)
    cost = guess.cost_of(seconds)
    currency = "" if cost is None else guess.currency[:10]
    return {"estimated_seconds": guess.seconds, "cost": cost, "currency": currency}
