"""What the open page of a dataset is told: imports as they move, the dataset's figures, new versions."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

from common.access import get_visible
from common.errors import NotFoundError
from common.pages import partial
from common.push import Message
from datasets import overview
from datasets.models import Dataset, Refusal

IMPORTS = 10
OLDER = 100  # imports before those that are named when they set files aside
REFUSALS = 8
# The items themselves, their filter and the split depend on what the viewer typed: the page asks for them again.
PARTS = {
    "dataset-header": "datasets/_header.html",
    "dataset-classes": "datasets/_classes.html",
    "dataset-imports": "datasets/_imports.html",
    "dataset-versions": "datasets/_versions.html",
}


def context(dataset: Dataset) -> dict[str, Any]:
    """What those parts of the page need."""
    latest = list(overview.imports(dataset)[:IMPORTS])
    refusals: dict[int, list[Refusal]] = {}
    for source in latest[:3]:
        if source.set_aside:
            refusals[source.pk] = list(source.refusals.all()[:REFUSALS])
    labels = overview.label_counts(dataset)
    return {
        "dataset": dataset,
        "labels": labels,
        "most": max((entry.count for entry in labels), default=1),
        "imports": [{"source": source, "refusals": refusals.get(source.pk, [])} for source in latest],
        "older": overview.imports(dataset).filter(set_aside__gt=0, pk__lt=latest[-1].pk)[:OLDER] if latest else [],
        "versions": dataset.versions.order_by("-number")[:20],
    }


def parts(dataset: Dataset) -> list[str]:
    """The parts, each for its element."""
    known = context(dataset)
    return [partial(f"#{key}", render_to_string(template, known)) for key, template in PARTS.items()]


class DatasetSource:
    """One dataset's page, shared by all who may see it."""

    def __init__(self, dataset: Dataset) -> None:
        self.pk = dataset.pk
        self.channel = f"dataset.{dataset.pk}"
        self.topics = (f"dataset.{dataset.pk}",)
        self.sent: list[str] = []
        self.items = dataset.item_count

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> DatasetSource:
        return cls(get_visible(Dataset.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        dataset = self._dataset()
        self.items = dataset.item_count
        self.sent = parts(dataset)
        return [Message(None, "".join(self.sent))]

    def update(self) -> list[Message]:
        dataset = self._dataset()
        fresh = parts(dataset)
        changed = [part for part, before in zip(fresh, self.sent, strict=True) if part != before]
        self.sent = fresh
        messages = [Message(None, "".join(changed))] if changed else []
        if dataset.item_count != self.items and dataset.status != Dataset.Status.PROCESSING:
            self.items = dataset.item_count
            messages.append(Message("items", str(self.items)))  # the page asks for its items again
        return messages

    def _dataset(self) -> Dataset:
        dataset = overview.listed().filter(pk=self.pk).first()
        if dataset is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        return dataset
