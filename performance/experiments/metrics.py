"""What versions can be compared by."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models

from engine.catalogue import RECIPES
from performance.experiments.effects import Kind
from registry.models import ModelVersion


class Metric(models.TextChoices):
    CORRECT = "correct", "Share of right answers"
    FEEDBACK_SHARE = "feedback_share", "Share of good feedback"
    FEEDBACK_MEAN = "feedback_mean", "Mean of the feedback"
    FEEDBACK_RANK = "feedback_rank", "Order of the feedback"
    ERROR_MEAN = "error_mean", "Mean absolute error"
    ERROR_RANK = "error_rank", "Order of absolute errors"
    LATENCY = "latency", "Time to answer"


@dataclass(frozen=True)
class About:
    """`higher` None: whoever starts the test says which way is better."""

    kind: Kind
    higher: bool | None
    rests_on: str
    unit: str = ""
    margin: float = 0.0  # offered as the smallest difference that matters
    shadow: bool = True  # can be known of an answer that nobody got


ABOUT = {
    Metric.CORRECT: About(Kind.PROPORTION, True, "the truth: whether the named class was right", margin=0.01),
    Metric.FEEDBACK_SHARE: About(Kind.PROPORTION, True, "feedback: 1 (good) or 0 (bad)", margin=0.01, shadow=False),
    Metric.FEEDBACK_MEAN: About(Kind.MEAN, None, "feedback as an amount or a rating", shadow=False),
    Metric.FEEDBACK_RANK: About(Kind.RANK, None, "feedback of which the order counts, such as ratings", shadow=False),
    Metric.ERROR_MEAN: About(Kind.MEAN, False, "the truth: how far predicted numbers were off"),
    Metric.ERROR_RANK: About(Kind.RANK, False, "the truth; a single large error weighs no more than others"),
    Metric.LATENCY: About(Kind.RANK, False, "the time that each answer took; no outcomes are needed", "ms"),
}  # fmt: skip


BY_TRUTH = (Metric.CORRECT, Metric.ERROR_MEAN, Metric.ERROR_RANK)


def is_rank(metric: str) -> bool:
    return ABOUT[Metric(metric)].kind is Kind.RANK


def is_share(metric: str) -> bool:
    return ABOUT[Metric(metric)].kind is Kind.PROPORTION


def possible(kind: str, version: ModelVersion | None = None) -> list[Metric]:
    """The metrics of a kind of test ('ab' or 'shadow'); with a version those that its answers can be judged by."""
    none = set() if version is None else {*BY_TRUTH} - judged_by(version)
    return [metric for metric in Metric if (kind == "ab" or ABOUT[metric].shadow) and metric not in none]


def judged_by(version: ModelVersion) -> set[Metric]:
    """By which figures the truth judges what a version answers: a class is right or wrong, a number is off by so much.
    Of tables its own figures say which it is; where they don't, both are."""
    recipe = RECIPES.get(version.model.recipe)
    output = recipe.output if recipe else None
    if output == "values":
        classes = any(name.endswith("/accuracy") for name in version.metrics)
        numbers = any(name.endswith("/mae") for name in version.metrics)
        output = "labels" if classes and not numbers else "forecast" if numbers and not classes else output
    match output:
        case "labels" | "anomalies":
            return {Metric.CORRECT}
        case "forecast":
            return {Metric.ERROR_MEAN, Metric.ERROR_RANK}
        case "values":
            return {*BY_TRUTH}
    return set()
