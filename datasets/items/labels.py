"""How many items each class has, kept beside the items.

Triggers of the database count items as they come and go (`datasets/migrations/_sql.py`), whoever writes them; labels
change by an edit alone (`datasets.items.edits`), which says so here. So a list of classes costs a row a class, however
many items there are.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from datasets.models import Dataset, LabelCount

_MOVE = (
    "INSERT INTO datasets_labelcount (dataset_id, label, count)"
    " SELECT %(dataset)s, label, sum(items) FROM ({rows}) AS moved GROUP BY label HAVING sum(items) <> 0 ORDER BY label"
    " ON CONFLICT (dataset_id, label) DO UPDATE SET count = datasets_labelcount.count + excluded.count"
)


def count_of(dataset: Dataset, label: str) -> int:
    """Items of one class."""
    return LabelCount.objects.filter(dataset=dataset, label=label).values_list("count", flat=True).first() or 0


def moved(dataset: Dataset, rows: str, parameters: dict[str, Any]) -> None:
    """Count again what `rows` says: a SELECT of (label, items), more or fewer. The dataset is locked."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE.format(rows=rows), {**parameters, "dataset": dataset.pk})
    LabelCount.objects.filter(dataset=dataset, count__lte=0).delete()
