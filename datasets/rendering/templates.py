"""Templates of training sheets: kept under a name, checked, tried on real rows."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from common.errors import ConflictError, InvalidInputError
from common.uniqueness import one_name
from common.wording import storable
from datasets.items import rows
from datasets.models import Dataset, Template
from datasets.rendering import sheets, templating
from datasets.rendering.sheets import MAX_CHOSEN, Row, Sheet
from datasets.rendering.templating import RowProblemError

PARTS = ("system", "prompt", "completion")
MAX_LABEL = 200
SAMPLES = ("first", "random")


@dataclass(frozen=True)
class Program:
    """The checked templates of one pair, and the column that its label comes from ('' for none)."""

    prompt: templating.Template
    completion: templating.Template
    system: templating.Template | None
    chat: bool
    label: str = ""

    @classmethod
    def read(cls, given: Mapping[str, Any], columns: Sequence[str] | None = None, label: str = "") -> Program:
        """From system, prompt, completion and chat. InvalidInputError names the part, its line, and what to do."""
        for part in ("prompt", "completion"):
            if not str(given.get(part, "")).strip():
                raise _missing(part)
        if label and columns is not None and label not in columns:
            message = f"There is no column '{label[:100]}' to take the label from."
            raise InvalidInputError(message, "Choose one of the sheet's columns.", fields={"label_column": [message]})
        made = {
            part: templating.parse(given[part], columns, part=part) for part in PARTS if given.get(part, "").strip()
        }
        return cls(made["prompt"], made["completion"], made.get("system"), bool(given.get("chat")), label)

    @property
    def columns(self) -> frozenset[str]:
        """All columns that a row is read for."""
        used = [part.columns for part in (self.prompt, self.completion, self.system) if part]
        return frozenset().union(*used, {self.label} if self.label else ())

    def content(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The pair or chat that a row makes. RowProblemError says which part it can't make, and why."""
        made = {part: self._made(part, values) for part in PARTS}
        if self.chat:
            roles = {"system": "system", "prompt": "user", "completion": "assistant"}
            return {"messages": [{"role": roles[part], "content": text} for part, text in made.items() if text]}
        return {part: text for part, text in made.items() if text or part != "system"}

    def label_of(self, values: Mapping[str, Any]) -> str:
        """The label of a row, '' when its cell is empty."""
        value = values.get(self.label) if self.label else None
        return "" if value is None else storable(" ".join(str(value).split()))[:MAX_LABEL]

    def _made(self, part: str, values: Mapping[str, Any]) -> str:
        template: templating.Template | None = getattr(self, part)
        if template is None:
            return ""
        try:
            text = storable(template.render(values))
        except RowProblemError as problem:
            raise RowProblemError(f"{part.capitalize()}: {problem}") from None
        if not text and part != "system":
            raise RowProblemError(f"{part.capitalize()}: it would be empty.")
        return text


@dataclass(frozen=True)
class Tried:
    """What one row makes: content and label, or the reason why it makes none."""

    row: Row
    content: dict[str, Any] | None
    label: str = ""
    reason: str = ""


def preview(
    dataset: Dataset, given: Mapping[str, Any], *, sample: str = "first", numbers: Sequence[int] = (), count: int = 5,
    seed: int = 0, label_column: str = "",
) -> list[Tried]:  # fmt: skip
    """Try a template on rows of a sheet: `numbers` (from 0), else the first or random ones. Nothing is kept."""
    sheet = sheets.open_sheet(dataset)
    program = Program.read(given, sheet.names, label_column)
    return [tried(program, row) for row in sheet.pick(_chosen(sheet, sample, numbers, count, seed), program.columns)]


def tried(program: Program, row: Row) -> Tried:
    """What a row makes of a template."""
    if row.aside:
        return Tried(row, None, reason="The row was set aside.")
    try:
        content = program.content(row.values)
    except RowProblemError as problem:
        return Tried(row, None, reason=str(problem))
    if problem := rows.problem(content):
        return Tried(row, None, reason=problem)
    return Tried(row, content, program.label_of(row.values))


def create(owner: AbstractBaseUser, *, name: str, **given: Any) -> Template:
    """Keep a template. InvalidInputError when it can't be read, ConflictError when the name is taken."""
    values = _checked(given)
    name = _name(name)
    with _one_name(name):
        return Template.objects.create(owner=owner, name=name, **values)


def change(template: Template, *, name: str | None = None, **given: Any) -> Template:
    """Change some parts; what was rendered stays as it was rendered."""
    present = {part: getattr(template, part) for part in (*PARTS, "chat")}
    values = _checked(present | {key: value for key, value in given.items() if value is not None})
    if name is not None:
        values["name"] = _name(name)
    for key, value in values.items():
        setattr(template, key, value)
    with _one_name(template.name):
        template.save(update_fields=[*values, "updated_at"])
    return template


def delete(template: Template) -> None:
    """Remove a template. ConflictError once training sheets were made by it."""
    with transaction.atomic():
        row = Template.objects.select_for_update(of=("self",)).filter(pk=template.pk).first()
        if row is None:
            return
        made = list(row.renderings.select_related("target").order_by("id").values_list("target__name", flat=True)[:4])
        if made:
            more = " and more" if len(made) > 3 else ""
            raise ConflictError(
                f"The template '{row.name}' made the training sheets {', '.join(made[:3])}{more}.",
                "Keep it, so that it stays known how their pairs came to be; or delete these datasets first.",
            )
        row.delete()


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    values = {part: str(given.get(part, "")) for part in PARTS} | {"chat": bool(given.get("chat"))}
    Program.read(values)
    return values


def _chosen(sheet: Sheet, sample: str, numbers: Sequence[int], count: int, seed: int) -> list[int]:
    if numbers:
        if len(numbers) > MAX_CHOSEN:
            raise InvalidInputError(f"At most {MAX_CHOSEN} rows can be looked at at once.", "Choose fewer.")
        return list(numbers)
    if sample not in SAMPLES:
        raise InvalidInputError("The choice of rows is not known.", f"Use one of: {', '.join(SAMPLES)}.")
    count = min(max(1, count), MAX_CHOSEN, sheet.rows)
    if sample == "random":
        return sorted(random.Random(seed).sample(range(sheet.rows), count))
    return list(range(count))


def _missing(part: str) -> InvalidInputError:
    message = f"The {part} is empty."
    return InvalidInputError(message, "Write what it is made of, such as {{ column }}.", fields={part: [message]})


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200:
        hint = "Type up to 200 characters."
        raise InvalidInputError("The name is missing or too long.", hint, fields={"name": [hint]})
    return name


def _one_name(name: str) -> AbstractContextManager[None]:
    return one_name(f"You have a template called '{name}' already.", "Choose another name, or change that one.")
