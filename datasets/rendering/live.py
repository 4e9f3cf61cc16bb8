"""What open pages of a sheet are told: renderings as they move."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.template.loader import render_to_string

from common.access import get_visible
from common.errors import NotFoundError
from common.pages import partial
from common.push import Message
from datasets.models import Dataset, Rendering

LATEST = 20


def renderings(dataset: Dataset) -> QuerySet[Rendering]:
    """The latest renderings of a sheet, with what their lines show."""
    return dataset.renderings.select_related("template", "target", "sheet").order_by("-id")[:LATEST]


class SheetSource:
    """The renderings of one sheet, shared by all who may see it."""

    def __init__(self, dataset: Dataset) -> None:
        self.pk = dataset.pk
        self.channel = f"sheet.{dataset.pk}"
        self.topics = (f"dataset.{dataset.pk}",)
        self.sent = ""

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> SheetSource:
        return cls(get_visible(Dataset.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        return [Message(None, self._html())]

    def update(self) -> list[Message]:
        html = self._html()
        if html == self.sent:
            return []
        self.sent = html
        return [Message(None, html)]

    def _html(self) -> str:
        dataset = Dataset.objects.filter(pk=self.pk).first()
        if dataset is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        context = {"dataset": dataset, "renderings": list(renderings(dataset))}
        return partial("#renderings", render_to_string("datasets/sheets/_renderings.html", context))


class RenderingSource:
    """One rendering's page. When it ends, the page asks for its errors again."""

    def __init__(self, rendering: Rendering) -> None:
        self.pk = rendering.pk
        self.channel = f"rendering.{rendering.pk}"
        self.topics = (f"rendering.{rendering.pk}",)
        self.failed = rendering.failed

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> RenderingSource:
        return cls(get_visible(Rendering.objects.all(), user, "sheet__owner", pk=key))

    def snapshot(self) -> list[Message]:
        rendering = self._rendering()
        html = render_to_string("datasets/sheets/_rendering.html", {"rendering": rendering})
        return [Message(None, partial("#rendering", html))]

    def update(self) -> list[Message]:
        messages = self.snapshot()
        failed = self._rendering().failed
        if failed != self.failed:
            self.failed = failed
            messages.append(Message("items", str(failed)))
        return messages

    def _rendering(self) -> Rendering:
        found = Rendering.objects.select_related("template", "target", "sheet").filter(pk=self.pk).first()
        if found is None:
            raise NotFoundError("The rendering is gone.", "Its training sheet was deleted.")
        return found
