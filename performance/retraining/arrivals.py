"""What came into a dataset since a model last learned from it.

Items are found by the index of their order: the newest that is older is where the new ones begin, so what was there
before costs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import BigIntegerField, QuerySet, Subquery, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce

from datasets.gating import gates
from datasets.models import Dataset, Item, Modality
from registry.models import ModelVersion

SLACK = timedelta(minutes=10)  # ids of items lie in the order of their times, but for those of imports at the same time
FEW = 10_000  # new items, up to which none but these are looked at
# The data of the last training of each model that was on this dataset.
LEARNED = """
SELECT asked.number, learned.created_at, learned.number
FROM unnest(%s::int[], %s::bigint[], %s::bigint[]) AS asked(number, model_id, dataset_id)
CROSS JOIN LATERAL (
    SELECT data.created_at, data.number FROM performance_retraining retraining
    JOIN jobs_job job ON job.id = retraining.job_id
    JOIN datasets_datasetversion data ON data.id = job.dataset_version_id
    WHERE retraining.model_id = asked.model_id AND data.dataset_id = asked.dataset_id
    ORDER BY retraining.id DESC LIMIT 1
) learned
"""
Place = tuple[int, ModelVersion | None, Dataset]  # a model, its champion, the dataset


@dataclass(frozen=True)
class Since:
    """Since when items are new (None: all are), and a name for that."""

    at: datetime | None = None
    name: str = "none"


def since_when(places: Sequence[Place]) -> list[Since]:
    """Since when items are new to each model: since its champion's data, or those of the last training on this
    dataset. One query."""
    found: list[list[tuple[datetime, int]]] = [[] for _ in places]
    if not places:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            LEARNED, [[*range(len(places))], [pk for pk, *_ in places], [dataset.pk for *_, dataset in places]]
        )
        for place, at, number in cursor.fetchall():
            found[place].append((at, number))
    for data, (_, champion, dataset) in zip(found, places, strict=True):
        mine = champion.dataset_version if champion else None
        if mine is not None and mine.dataset_id == dataset.pk:
            data.append((mine.created_at, mine.number))
    return [Since(max(data)[0], f"v{max(data)[1]}") if data else Since() for data in found]


def count(dataset: Dataset, since: datetime | None) -> int:
    """Items that passed the gates and came after `since` (None: all); of tables their rows."""
    return count_each([(dataset, since)])[0]


def count_each(asked: Sequence[tuple[Dataset, datetime | None]]) -> list[int]:
    """The same of several. One query, and another one where there are very many."""
    found = _added([weights(dataset, since)[:FEW] for dataset, since in asked])
    many = [place for place, (items, _) in enumerate(found) if items == FEW]
    for place, all_of_them in zip(many, _added([weights(*asked[place]) for place in many]), strict=True):
        found[place] = all_of_them
    return [weight for _, weight in found]


def weights(dataset: Dataset, since: datetime | None) -> QuerySet[Item]:
    """For each new item as how many it counts, newest first.

    The bounds of the dataset and the order are said so that the first few are found by the index of both: else all
    items of the hub are looked through that came since, whosever they are.
    """
    mine = Item.objects.filter(dataset__gte=dataset.pk, dataset__lte=dataset.pk).order_by("-dataset_id", "-pk")
    rows = mine.filter(gates.passes(dataset))
    if since is not None:
        old = mine.filter(created_at__lte=since - SLACK).values("pk")[:1]
        rows = rows.filter(pk__gt=Coalesce(Subquery(old), 0), created_at__gt=since)
    rows_of = Cast(KT("facts__rows"), BigIntegerField())
    return rows.values_list(rows_of if dataset.modality == Modality.TABLE else Value(1))


def _added(asked: Sequence[QuerySet[Item]]) -> list[tuple[int, int]]:
    """How many items each has, and what they weigh."""
    if not asked:
        return []
    parts, values = [], []
    for place, rows in enumerate(asked):
        sql, its = rows.query.sql_with_params()
        parts.append(f"SELECT {place}, count(*), coalesce(sum(weight), 0) FROM ({sql}) AS new(weight)")
        values += its
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        return [(items, int(weight)) for _, items, weight in sorted(cursor.fetchall())]
