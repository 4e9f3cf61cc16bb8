"""How a figure of a model changes over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common.errors import InvalidInputError, NotFoundError
from performance.models import MetricRecord
from registry.models import Model

MAX_POINTS = 1000


@dataclass(frozen=True)
class Trend:
    name: str
    records: list[MetricRecord]  # oldest first, with their versions
    total: int  # in the range; when it is more than the records, these are the newest


def names(model: Model) -> list[str]:
    """The figures that a model has, sorted."""
    found = MetricRecord.objects.filter(model=model).order_by("name").values_list("name", flat=True)
    return list(found.distinct())


def trend(
    model: Model, name: str, since: datetime | None = None, until: datetime | None = None, limit: int = MAX_POINTS
) -> Trend:
    """A figure of all versions of a model over a period, both ends included; None leaves an end open.

    NotFoundError, naming the figures that there are, when the model never had this one.
    """
    if since and until and since > until:
        raise InvalidInputError(
            "The period ends before it starts.",
            "Swap since and until.",
            fields={"until": ["Must not be before since."]},
        )
    records = MetricRecord.objects.filter(model=model, name=name)
    if not records.exists():
        known = ", ".join(names(model)[:20]) or "none yet"
        raise NotFoundError(f"{model} has no figure '{name[:100]}'.", f"It has: {known}.")
    if since:
        records = records.filter(recorded_at__gte=since)
    if until:
        records = records.filter(recorded_at__lte=until)
    newest = records.select_related("version").order_by("-recorded_at", "-id")[: min(limit, MAX_POINTS)]
    return Trend(name, list(newest)[::-1], records.count())
