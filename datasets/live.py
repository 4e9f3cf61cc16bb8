"""What the open page of a dataset is told: imports as they move, the dataset's figures, new versions."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

from common.access import get_visible
from common.errors import NotFoundError
from common.pages import partial
from common.push import Message
from datasets import overview
from datasets.items import edits, usage
from datasets.models import Dataset, Refusal

IMPORTS = 10
EDITS = 8
VERSIONS = 8
OLDER = 100  # imports before those that are named when they set files aside
REFUSALS = 8
# The items themselves, their filter and the split depend on what the viewer typed: the page asks for them again.
PARTS = {
    "dataset-header": "datasets/_header.html",
    "dataset-classes": "datasets/_classes.html",
    "dataset-imports": "datasets/_imports.html",
    "dataset-edits": "datasets/_edits.html",
    "dataset-versions": "datasets/_versions_short.html",
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
        "edits": usage.named(edits.recent(dataset)[:EDITS]),
        "versions": dataset.versions.order_by("-number")[:VERSIONS],
    }


def parts(dataset: Dataset) -> list[str]:
    """The parts, each for its element."""
    known = context(dataset)
    return [partial(f"#{key}", render_to_string(template, known)) for key, template in PARTS.items()]


def _stamp(dataset: Dataset) -> tuple[Any, ...]:
    """What changes when items do: their number, edits, previews, and what checks and rules said of them."""
    return (dataset.item_count, dataset.updated_at, dataset.previews_at, dataset.quality_at, dataset.governance_at)


class DatasetSource:
    """One dataset's page, shared by all who may see it."""

    def __init__(self, dataset: Dataset) -> None:
        self.pk = dataset.pk
        self.channel = f"dataset.{dataset.pk}"
        self.topics = (f"dataset.{dataset.pk}",)
        self.sent: list[str] = []
        self.seen = _stamp(dataset)

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> DatasetSource:
        return cls(get_visible(Dataset.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        dataset = self._dataset()
        self.seen = _stamp(dataset)
        self.sent = parts(dataset)
        return [Message(None, "".join(self.sent))]

    def update(self) -> list[Message]:
        dataset = self._dataset()
        fresh = parts(dataset)
        changed = [part for part, before in zip(fresh, self.sent, strict=True) if part != before]
        self.sent = fresh
        messages = [Message(None, "".join(changed))] if changed else []
        if (stamp := _stamp(dataset)) != self.seen and dataset.status != Dataset.Status.PROCESSING:
            self.seen = stamp
            messages.append(Message("items", str(dataset.item_count)))  # the page asks for its items again
        return messages

    def _dataset(self) -> Dataset:
        dataset = overview.listed().filter(pk=self.pk).first()
        if dataset is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        return dataset
