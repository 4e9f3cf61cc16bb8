"""What the open page of a dataset's quality is told: the run as it moves, and the report when it changed."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

from common.access import get_visible
from common.errors import NotFoundError
from common.pages import partial
from common.push import Message
from datasets import overview
from datasets.models import Dataset, QualityRun
from datasets.quality import report
from datasets.quality.codes import CHECKS, suiting

RUN = "quality-run"
# What is counted over all items: only rendered again when the score was settled.
COUNTED = {
    "dataset-header": "datasets/_header.html",
    "quality-score": "datasets/quality/_score.html",
    "quality-reasons": "datasets/quality/_reasons.html",
    "quality-lately": "datasets/quality/_lately.html",
}
PACE = 0.5


def context(dataset: Dataset) -> dict[str, Any]:
    """What those parts of the page need."""
    return {
        "dataset": dataset,
        "report": report.of(dataset),
        "checks": suiting(dataset.modality),
        "lately": [(edit, CHECKS[edit.value]) for edit in report.set_aside_lately(dataset)],
        "run": latest(dataset),
    }


def latest(dataset: Dataset) -> QualityRun | None:
    """The open run, else the last one."""
    return report.runs(dataset).first()


class QualitySource:
    """One dataset's quality, shared by all who may see it."""

    pace = PACE

    def __init__(self, dataset: Dataset) -> None:
        self.pk = dataset.pk
        self.channel = f"quality.{dataset.pk}"
        self.topics = (f"dataset.{dataset.pk}",)
        self.sent: dict[str, str] = {}
        self.seen: tuple[object, ...] = ()

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> QualitySource:
        return cls(get_visible(Dataset.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        dataset = self._dataset()
        self.seen = _state(dataset)
        self.sent = {RUN: _run(dataset)} | _counted(dataset)
        return [Message(None, "".join(self.sent.values()))]

    def update(self) -> list[Message]:
        dataset = self._dataset()
        fresh = {RUN: _run(dataset)}
        state = _state(dataset)
        settled = state != self.seen
        if settled:
            self.seen = state
            fresh |= _counted(dataset)
        changed = [part for key, part in fresh.items() if self.sent.get(key) != part]
        self.sent |= fresh
        messages = [Message(None, "".join(changed))] if changed else []
        if settled:
            messages.append(Message("findings", str(dataset.pk)))  # the page asks for its list again
        return messages

    def _dataset(self) -> Dataset:
        dataset = overview.listed().filter(pk=self.pk).first()
        if dataset is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        return dataset


def _state(dataset: Dataset) -> tuple[object, ...]:
    return (dataset.quality, dataset.quality_at, dataset.item_count, dataset.status, dataset.name)


def _run(dataset: Dataset) -> str:
    known = {"dataset": dataset, "run": latest(dataset)}
    return partial(f"#{RUN}", render_to_string("datasets/quality/_run.html", known))


def _counted(dataset: Dataset) -> dict[str, str]:
    known = context(dataset)
    return {key: partial(f"#{key}", render_to_string(template, known)) for key, template in COUNTED.items()}
