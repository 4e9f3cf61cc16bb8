"""Prompts of a run that generates, made by a template of training sheets from the rows of a table.

They are written into the run's settings when it is made: changing the template or the table later changes no run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import get_visible
from common.errors import InvalidInputError, NotFoundError, ProblemError
from common.pages import number_in
from common.wording import storable
from datasets.models import Dataset, Template
from datasets.rendering import sheets, templating
from datasets.rendering.sheets import Sheet
from datasets.rendering.templating import RowProblemError
from engine import catalogue
from engine.recipes.generate.config import MOST_PROMPTS, GenerateConfig

NAME = "prompts_from"
PARTS = ("template", "sheet", "limit")
SETTING = "prompts"
LOOKED_AT = 20_000  # rows, so that a request ends soon however large the table is


@dataclass(frozen=True)
class Prompts:
    """Prompts as the setting holds them, one a line, and where they come from."""

    lines: tuple[str, ...]
    without: int  # rows looked at that made none
    source: dict[str, Any]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def typed(values: Mapping[str, str]) -> dict[str, Any] | None:
    """What a form asks for; None where no template is chosen. A number that is none is refused by `make`."""
    given = {part: values.get(f"{NAME}.{part}", "").strip() for part in PARTS}
    if not given["template"]:
        return None
    return {part: number_in(text) or 0 for part, text in given.items() if text}


def into(
    owner: AbstractBaseUser, recipe: str, config: dict[str, Any], asked: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the settings with the prompts that are asked for, where these come from); nothing is asked for by None."""
    if not asked:
        return config, {}
    about = catalogue.RECIPES.get(recipe)
    if about is not None and about.makes != "examples":
        message = f"The recipe {recipe} takes no prompts."
        raise InvalidInputError(message, "Leave prompts_from out.", fields={NAME: [message]})
    if SETTING in config:
        message = "Prompts are given twice: in the settings, and from a template."
        raise InvalidInputError(message, "Give one of the two.", fields={NAME: [message]})
    made = make(owner, **asked)
    return {**config, SETTING: made.text}, made.source


def make(owner: AbstractBaseUser, *, template: int, sheet: int | None = None, limit: int | None = None) -> Prompts:
    """The prompts that the rows of a sheet make, in their order, each once; at most `limit` of them.

    Without a sheet it is the one that the template was rendered over last. NotFoundError for what the owner may not
    see, InvalidInputError for columns that are not there, no prompt at all, or more than a run can take.
    """
    if limit is not None and not 1 <= limit <= MOST_PROMPTS:
        raise _wrong("limit", "The number of prompts is out of range.", f"Write a number from 1 to {MOST_PROMPTS:,}.")
    chosen = _seen(owner, Template, template, "template")
    table = _seen(owner, Dataset, sheet, "sheet") if sheet is not None else _last_sheet(owner, chosen)
    try:
        opened = sheets.open_sheet(table)
        program = templating.parse(chosen.prompt, opened.names, part="prompt")
    except ProblemError as problem:
        raise _wrong("sheet", problem.message, problem.hint) from None
    found: dict[str, None] = {}
    without = looked = 0
    for prompt in _of_rows(opened, program):
        looked += 1
        without += prompt == ""
        if prompt:
            found[prompt] = None
        if len(found) > MOST_PROMPTS or len(found) == limit or looked == LOOKED_AT:
            break
    lines = tuple(found)
    _check(lines, limit, looked)
    source = {"template": chosen.pk, "template_name": chosen.name, "sheet": table.pk, "sheet_name": table.name}
    return Prompts(lines, without, source | {"prompts": len(lines)})


def _of_rows(sheet: Sheet, program: templating.Template) -> Iterator[str]:
    """The prompt of each row as a line of the setting; '' of a row that makes none."""
    for batch in sheet.read(0, program.columns):
        for row in batch:
            if row.aside:
                continue
            try:
                yield as_line(storable(program.render(row.values)))
            except RowProblemError:
                yield ""


def as_line(text: str) -> str:
    """A text as one prompt of the setting: ends of lines as \\n, and no brace stands for anything."""
    return "\\n".join(text.strip().splitlines()).replace("{", "{{").replace("}", "}}")


def _check(lines: tuple[str, ...], limit: int | None, looked: int) -> None:
    if not lines:
        message = f"None of the {looked:,} rows makes a prompt." if looked else "The sheet has no rows."
        raise _wrong("sheet", message, "Look at the template's preview on the page of the sheet.")
    if len(lines) > MOST_PROMPTS:
        hint = f"Say how many of them to take, at most {MOST_PROMPTS:,}."
        raise _wrong("limit", f"The rows make more than the {MOST_PROMPTS:,} prompts that a run can take.", hint)
    if looked == LOOKED_AT and limit is None:
        hint = f"Say how many prompts to take, at most {MOST_PROMPTS:,}."
        raise _wrong("limit", f"The sheet has more than {LOOKED_AT:,} rows.", hint)
    longest = GenerateConfig.model_json_schema()["properties"][SETTING]["maxLength"]
    if (length := len("\n".join(lines))) > longest:
        message = f"The prompts have {length:,} characters together, and a run takes {longest:,}."
        raise _wrong("limit", message, "Take fewer of them, or shorten the template's prompt.")


def _last_sheet(owner: AbstractBaseUser, template: Template) -> Dataset:
    last = template.renderings.order_by("-id").first()
    if last is None:
        message = f"The template '{template.name}' was rendered over no sheet yet."
        raise _wrong("sheet", message, "Say which dataset of tables its rows come from.")
    return _seen(owner, Dataset, last.sheet_id, "sheet")


def _seen(owner: AbstractBaseUser, rows: Any, key: int, part: str) -> Any:
    try:
        return get_visible(rows.objects.all(), owner, pk=key)
    except NotFoundError as problem:
        hint = "Choose another one."
        told = {f"{NAME}.{part}": [f"{problem.message} {hint}"]}
        raise NotFoundError(problem.message, hint, fields=told) from None


def _wrong(part: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={f"{NAME}.{part}": [f"{message} {hint}"]})
