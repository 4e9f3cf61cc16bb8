"""Reading datasets for pages and API: lists that need no query per row."""

from __future__ import annotations

from typing import Any

from django.db.models import PROTECT, QuerySet

from datasets.freezing import versions
from datasets.freezing.splits import CONTENT, GIVEN, GROUP, KEY
from datasets.gating import gates
from datasets.models import Dataset, DatasetVersion, Import, LabelCount, Modality

NOTICEABLE = 0.01  # a share that is off by more than this is explained
SPLIT_AT_ONCE = 5_000  # items; of more, the parts of a split are not counted while a page is made


def listed() -> QuerySet[Dataset]:
    """Datasets with what a row of a list shows, in one query."""
    return Dataset.objects.select_related("owner", "subject").defer("owner__password")


def imports(dataset: Dataset) -> QuerySet[Import]:
    """Imports into a dataset, newest first, without their long lists of sources."""
    return dataset.imports.defer("sources").select_related("created_by").defer("created_by__password")


def label_counts(dataset: Dataset, limit: int = 1000) -> list[LabelCount]:
    """The classes by name with how many items each has, at most `limit` of them; '' is of items without a class."""
    return list(dataset.label_counts.order_by("label")[:limit])


def split(
    dataset: Dataset, *, validation_fraction: float, test_fraction: float, seed: int, split_by: str = CONTENT,
    split_key: str = KEY,
) -> dict[str, Any]:  # fmt: skip
    """What the part 'split' shows: how many items each set would get, why that may surprise, and what is left out."""
    plan = versions.planned(
        dataset, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed, split_by=split_by,
        split_key=split_key,
    )  # fmt: skip
    counts = plan.counts
    total = sum(counts.values())
    asked = {"validation": validation_fraction, "test": test_fraction}
    off = any(abs(counts[name] - share * total) > NOTICEABLE * total for name, share in asked.items())
    held_out = holds_text_out(dataset.modality, counts)
    return {
        "counts": counts,
        "total": total,
        "files": dataset.modality == Modality.TEXT,
        "held_out": held_out,
        "off": off and not held_out and split_by != GIVEN,
        "given": plan.given,
        "unsaid": plan.unsaid,
        "split_key": split_key,
        "split_by": split_by,
        "ungrouped": split_by == GROUP and not gates.trainable(dataset).exclude(group="").exists(),
        "left_out": gates.in_words(gates.left_out(dataset)) if total < dataset.item_count else "",
    }


def holds_text_out(modality: str, counts: dict[str, int]) -> bool:
    """Whether training takes the end of the text for validation, since no text of its own is left for that."""
    train, validation = counts.get("train", 0), counts.get("validation", 0)
    return modality == Modality.TEXT and train + validation > 0 and (validation == 0 or train + validation == 1)


def uses(dataset: Dataset) -> str:
    """What was made from the dataset and keeps it from being deleted, as '2 jobs and 1 model version'; '' if none."""
    found: list[str] = []
    for relation in DatasetVersion._meta.related_objects:
        if relation.on_delete is not PROTECT:
            continue
        count = relation.related_model.objects.filter(**{f"{relation.field.name}__dataset": dataset}).count()
        if count:
            found.append(f"{count:,} {relation.related_model._meta.verbose_name}{'s' * (count != 1)}")
    return " and ".join(found)
