"""Inputs to try a version with, from data that it was not trained on: the held-out part of its frozen dataset.

Only for people who may see that dataset. A page of them costs the beginning of the manifest and one query; what an
example holds is read when it is chosen, and of a large file only what is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.urls import reverse

from common.access import may_see
from common.errors import NotFoundError
from common.files import store
from datasets.freezing import membership
from datasets.items import previews
from datasets.items import rows as row_items
from datasets.models import Item
from engine.catalogue import RECIPES, Recipe
from registry import example_rows
from registry.models import ModelVersion
from registry.trying import LONGEST_PROMPT, MAX_FILE, Form

MOST = 5
LOOKED_THROUGH = 2 << 20  # bytes of the manifest
HELD_OUT = ("test", "validation")
TITLE = 60  # letters
BEGINNING = 300  # letters of a document that a text goes on from, and of how it really went on
COLUMNS = (
    "dataset_id", "sha256", "name", "label", "caption", "content", "media_type", "bytes", "width", "height", "facts",
)  # fmt: skip


@dataclass(frozen=True)
class Example:
    """Something to try. `key` names it in addresses; `truth` is what is known of it, '' where nothing is; `rows` are
    the first and after the last of a table's."""

    key: str
    title: str
    item: Item
    truth: str = ""
    rows: tuple[int, int] = (0, 0)

    @property
    def picture(self) -> str:
        """The address of a small picture of it; '' where it has none."""
        if not previews.kind_of(self.item):
            return ""
        return reverse("api-item-preview", args=[self.item.dataset_id, self.item.pk])

    @property
    def sound(self) -> str:
        """The address of a recording, to be listened to; '' of what is none."""
        if not self.item.media_type.startswith("audio/"):
            return ""
        return reverse("api-item-content", args=[self.item.dataset_id, self.item.pk])


@dataclass(frozen=True)
class Given:
    """What an example gives to a model: a text, rows as CSV, or the bytes of a file (read by `data`)."""

    example: Example
    text: str = ""
    truth: str = ""

    def told(self, form: Form, typed: str, label: str) -> str:
        """What is known of it, in words, to stand beside the answer; '' where nothing is, or another text was typed."""
        if not self.truth or (form.kind != "file" and typed.split() != self.text.split()):
            return ""
        if label:
            return f"It is labelled {self.truth}: {'as' if label == self.truth else 'not as'} the model says."
        if form.kind == "text":
            return f"In the data it goes on: {self.truth}"
        return self.truth if self.truth.endswith(".") else f"In the data stands: {self.truth}."

    def data(self) -> bytes:
        """The file. NotFoundError when it is gone."""
        with store().open(self.example.item.sha256) as file:
            return file.read(MAX_FILE)


def examples(version: ModelVersion, user: AbstractBaseUser | AnonymousUser) -> list[Example]:
    """At most five, in an order that stays; none for who may not see the data, and where nothing was held out."""
    data, recipe = version.dataset_version, RECIPES.get(version.model.recipe)
    if data is None or recipe is None or not may_see(data.dataset.owner_id, user):
        return []
    by_rows = recipe.takes == "rows"
    parts = [part for part in HELD_OUT if data.counts.get(part)]
    if by_rows and not example_rows.whole_files(recipe, data.counts):
        parts = ["train", *parts]  # the recipe divided the rows of files itself
    entries = membership.first_of(data, parts, MOST, LOOKED_THROUGH) if parts else []
    held = {int(entry["id"]): entry for entry in entries}
    # What was set aside or removed since is not shown any more.
    items = {
        item.pk: item for item in Item.objects.filter(pk__in=held, aside="", dataset=data.dataset_id).only(*COLUMNS)
    }
    there = [items[pk] for pk in held if pk in items]
    if by_rows:
        return [
            Example(f"{item.pk}-{first}-{after}", title, item, rows=(first, after))
            for item, first, after, title in example_rows.held_out(version, recipe, there)[:MOST]
        ]
    return [_example(recipe, item, held[item.pk]) for item in there if _can_be_given(recipe, item)]


def chosen(version: ModelVersion, user: AbstractBaseUser | AnonymousUser, key: str) -> Given | None:
    """What the example of this key gives; None without a key. NotFoundError when there is none for this person."""
    if not key:
        return None
    example = next((one for one in examples(version, user) if one.key == key), None)
    if example is None:
        raise NotFoundError(f"{version} has no such example for you.", "Choose one of those on its page.")
    recipe = RECIPES[version.model.recipe]
    if recipe.takes == "rows":
        rows, truth = example_rows.read(version, recipe, example.item, *example.rows)
        return Given(example, example_rows.as_csv(rows), truth)
    if recipe.takes == "file":
        return Given(example, truth=example.truth)
    return _text(recipe, example)


def _can_be_given(recipe: Recipe, item: Item) -> bool:
    if recipe.takes == "file":
        return item.content is None and item.bytes <= MAX_FILE
    return bool(item.caption) if recipe.output == "image" else True


def _example(recipe: Recipe, item: Item, entry: dict[str, Any]) -> Example:
    """Its label is that of the frozen data, which the version was judged by."""
    truth = str(entry.get("label") or "") if recipe.output == "labels" else ""
    said = item.caption if recipe.output == "image" else ""
    if item.content is not None:
        said = " ".join(row_items.plain_text(item.content)[: 4 * TITLE].split())
    title = said or item.name.rpartition("/")[2]
    return Example(str(item.pk), title if len(title) <= TITLE else f"{title[: TITLE - 1]}…", item, truth)


def _text(recipe: Recipe, example: Example) -> Given:
    """A text to classify, a caption to draw, or the beginning of what is to be written on, with how it went on."""
    item = example.item
    if recipe.output == "image":
        return Given(example, item.caption[:LONGEST_PROMPT])
    if recipe.output == "labels":
        return Given(example, _words(item, LONGEST_PROMPT), example.truth)
    if item.content is not None and "text" not in item.content:
        prompt, completion = row_items.pair(item.content)
        return Given(example, prompt[:LONGEST_PROMPT], completion[:BEGINNING])
    words = _words(item, 2 * BEGINNING)
    cut = min(BEGINNING, len(words) // 2)
    cut = words.rfind(" ", 0, cut) if " " in words[:cut] else cut
    return Given(example, words[:cut], words[cut : cut + BEGINNING])


def _words(item: Item, letters: int) -> str:
    """The beginning of a text."""
    if item.content is not None:
        return row_items.plain_text(item.content)[:letters]
    with store().open(item.sha256) as file:
        return file.read(4 * letters).decode("utf-8", "ignore")[:letters]
