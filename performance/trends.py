"""How a figure of a model changes over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from common.errors import InvalidInputError, NotFoundError
from performance.models import MetricRecord
from performance.use import reading
from registry.models import Model

MAX_POINTS = 1000
LOGGED = MetricRecord.Source.LOGGED


@dataclass(frozen=True)
class Trend:
    name: str
    records: list[MetricRecord]  # oldest first, with their versions
    total: int  # in the range; when it is more than the records, these are the newest


def names(model: Model) -> list[str]:
    """The figures that a model has, sorted."""
    found = _told(model).order_by("name").values_list("name", flat=True).distinct()
    return sorted({*found, *reading.known(model)})


def trend(
    model: Model, name: str, since: datetime | None = None, until: datetime | None = None, limit: int = MAX_POINTS, *,
    source: str = "", group: str = "", bucket: str = MetricRecord.Bucket.DAY, estimated: bool | None = None,
) -> Trend:  # fmt: skip
    """A figure of all versions of a model over a period, both ends included; None leaves an end open.

    `source` '' means all of them. Of those from logged predictions, by the `bucket` (hour or day) and of a `group`
    ('' for all together), the time is that of their period's beginning; `estimated` None takes both kinds.
    NotFoundError, naming the figures that there are, when the model never had this one.
    """
    if since and until and since > until:
        raise InvalidInputError(
            "The period ends before it starts.",
            "Swap since and until.",
            fields={"until": ["Must not be before since."]},
        )
    told = _told(model).filter(name=name)
    logged = MetricRecord.objects.filter(source=LOGGED, model=model, bucket=bucket, name=name, group=group)
    if not told.exists() and not logged.exists():
        have = ", ".join(names(model)[:20]) or "none yet"
        what = f"{model} has no figure '{name[:100]}'" + (f" of the group '{group}'" if group else "")
        raise NotFoundError(f"{what}.", f"It has: {have}.")
    if source and source != LOGGED:
        told = told.filter(source=source)
    if estimated is not None:
        told, logged = told.filter(estimated=estimated), logged.filter(estimated=estimated)
    parts = [] if group or source == LOGGED else [_within(told, "recorded_at", since, until)]
    parts += [_within(logged, "since", since, until)] if source in ("", LOGGED) else []
    most = min(limit, MAX_POINTS)
    records = [record for part in parts for record in part.select_related("version")[:most]]
    records.sort(key=lambda record: (record.since or record.recorded_at, record.pk))
    return Trend(name, records[-most:], sum(part.count() for part in parts))


def _told(model: Model) -> QuerySet[MetricRecord]:
    """What evaluations and programs said: few beside those of use, and found by an index of their own."""
    return MetricRecord.objects.filter(~Q(source=LOGGED), model=model)


def _within(
    rows: QuerySet[MetricRecord], column: str, since: datetime | None, until: datetime | None
) -> QuerySet[MetricRecord]:
    """Newest first."""
    if since:
        rows = rows.filter(**{f"{column}__gte": since})
    if until:
        rows = rows.filter(**{f"{column}__lte": until})
    return rows.order_by(f"-{column}", "-id")
