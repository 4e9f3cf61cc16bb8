"""Examples of a run as they are kept, and the figures that they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Avg, Count, Max, Min, Q, QuerySet

from common.wording import storable
from jobs.generation import sums
from jobs.generation.figures import Figures, figures_of
from jobs.models import GeneratedExample, Job

REASON = 500
# Examples that count, or lie in a dataset: they stay, though an attempt that crashed makes their numbers again.
SETTLED = Q(item__isnull=False) | Q(fine_tuning__isnull=False)


def read(event: dict[str, Any], at: float) -> dict[str, Any]:
    """The columns of an example, from its event."""
    candidates = [_candidate(one) for one in event["candidates"]]
    best = next((one for one in candidates if one["generator"] == event["winner"]), None)
    score = None if best is None or best["score"] is None else Decimal(str(round(best["score"], 1)))
    return {
        "step": int(event["step"]), "genre": storable(event["genre"])[:100], "prompt": storable(event["prompt"]),
        "kept": bool(event["kept"]), "winner": best["generator"][:200] if best else "", "score": score,
        "text": best["text"] if best else "", "reason": storable(event["reason"])[:REASON],
        "candidates": candidates, "at": datetime.fromtimestamp(at, UTC),
    }  # fmt: skip


def write(job_id: int, number: int, rows: Iterable[dict[str, Any]]) -> None:
    """Keep these, of attempt `number`, in a transaction that holds the job. A step that is told once more, after a
    rewind, takes the place of what was there, unless that lies in a dataset already."""
    latest = {row["step"]: row | {"attempt_number": number} for row in rows}
    for step in GeneratedExample.objects.filter(SETTLED, job=job_id, step__in=latest).values_list("step", flat=True):
        del latest[step]
    if latest:
        GeneratedExample.objects.bulk_create(
            [GeneratedExample(job_id=job_id, **row) for row in latest.values()],
            update_conflicts=True,
            unique_fields=["job", "step"],
            update_fields=[name for name in next(iter(latest.values())) if name != "step"],
            batch_size=500,
        )
        sums.recount(job_id, min(latest), max(latest))


def forget(job_id: int, step: int) -> None:
    """Drop those after a step, from which the run goes on, unless they lie in a dataset already."""
    GeneratedExample.objects.filter(job_id=job_id, step__gt=step).exclude(SETTLED).delete()
    sums.recount(job_id, step + 1)


def figures(job: Job, names: Iterable[str], after: int = 0) -> Figures:
    """Counted from the rows after step `after`, for the generators of these names and whoever else has written."""
    rows = GeneratedExample.objects.filter(job=job, step__gt=after)
    kept = rows.filter(kept=True)
    total = kept.aggregate(count=Count("pk"), mean=Avg("score"), least=Min("score"), most=Max("score"))
    wins = dict(kept.values_list("winner").annotate(count=Count("pk")).order_by())
    means = _means(rows)
    return figures_of(
        names, made=rows.count(), kept=total["count"], quality=total["mean"], least=total["least"], most=total["most"],
        genres=dict(kept.values_list("genre").annotate(count=Count("pk")).order_by()), wins=wins, means=means,
    )  # fmt: skip


def _means(rows: QuerySet[GeneratedExample]) -> dict[str, float]:
    """The mean score of each generator's candidates."""
    sql, parameters = rows.order_by().values("candidates").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT one->>'generator', avg((one->>'score')::float8) FROM"
            f" ({sql}) AS made, jsonb_array_elements(made.candidates) AS one"
            " WHERE jsonb_typeof(one->'score') = 'number' GROUP BY 1",
            parameters,
        )
        return dict(cursor.fetchall())


def latest_kept(job: Job, count: int) -> QuerySet[GeneratedExample]:
    """The newest examples that were kept."""
    since = sums.since_kept(job, count)
    return GeneratedExample.objects.filter(job=job, kept=True, step__gte=since).order_by("-step")[:count]


def unsaved(job: Job) -> QuerySet[GeneratedExample]:
    """What was kept and is no item yet, in order. What a fine-tuning took in was one, and someone deleted it."""
    waiting = GeneratedExample.objects.filter(job=job, kept=True, item__isnull=True, fine_tuning__isnull=True)
    return waiting.order_by("step")


def _candidate(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "generator": storable(str(one["generator"])), "text": storable(str(one["text"])), "score": one["score"],
        "reasons": [storable(str(reason)) for reason in one["reasons"]], "error": storable(str(one["error"])),
        "seconds": one["seconds"],
    }  # fmt: skip
