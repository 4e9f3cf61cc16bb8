"""Writes docs/data-model.md: every table of the hub, drawn and told as its model describes it."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import models
from django.db.models.fields.related import RelatedField

ROOMS = ("accounts", "datasets", "registry", "jobs", "history", "performance")
INTRODUCTION = """# The data model

Every table of the hub, room by room: how they hang together, what each holds, and what its constraints make impossible.
This page is written by `python manage.py model_docs` from the models themselves, and a test fails when it is out of
date. A room's tables point only at those of its own and of rooms named before it; why, says
[architecture.md](architecture.md)."""
SHORT = {"BigAutoField": "bigint", "BigIntegerField": "bigint", "IntegerField": "int", "PositiveIntegerField": "int",
         "SmallIntegerField": "smallint", "PositiveSmallIntegerField": "smallint", "PositiveBigIntegerField": "bigint",
         "FloatField": "float", "BooleanField": "bool", "CharField": "text", "TextField": "text", "UUIDField": "uuid",
         "DateTimeField": "time", "DateField": "date", "JSONField": "json", "BinaryField": "bytes"}  # fmt: skip


class Command(BaseCommand):
    help = "Write docs/data-model.md from the models. With --check: fail when it is old."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "data-model.md"
        text = document()
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError("docs/data-model.md is out of date. Run: python manage.py model_docs")


def document() -> str:
    """The whole of docs/data-model.md."""
    return "\n\n".join([INTRODUCTION, *(part for room in ROOMS for part in _room(room))]) + "\n"


def _room(label: str) -> Iterable[str]:
    tables = sorted(apps.get_app_config(label).get_models(), key=lambda table: table.__name__)
    yield f"## {label}"
    yield _drawn(tables)
    for table in tables:
        yield from _table(table)


def _drawn(tables: list[type[models.Model]]) -> str:
    """The room's tables and what they point at, as Mermaid draws it."""
    lines = ["```mermaid", "erDiagram"]
    lines += [f"    {table.__name__}" for table in tables]
    for table in tables:
        for field in _fields(table):
            if isinstance(field, RelatedField):
                many = "|o" if field.unique else "}o"
                one = "o|" if field.null else "||"
                lines.append(f'    {table.__name__} {many}--{one} {_target(field)} : "{field.name}"')
    return "\n".join([*lines, "```"])


def _table(table: type[models.Model]) -> Iterable[str]:
    yield f"### {table.__name__}"
    yield inspect.cleandoc(table.__doc__ or "")
    rows = ["| column | type | meaning |", "|---|---|---|"]
    rows += [f"| `{field.column}` | {_type(field)} | {_meaning(field)} |" for field in _fields(table)]
    yield "\n".join(rows)
    if rules := [_rule(rule) for rule in table._meta.constraints]:
        yield "Always: " + "; ".join(rules) + "."
    if table._meta.indexes:
        yield "Indexes: " + "; ".join(_index(index) for index in table._meta.indexes) + "."


def _fields(table: type[models.Model]) -> list[models.Field[Any, Any]]:
    return [field for field in table._meta.get_fields() if isinstance(field, models.Field) and field.concrete]


def _target(field: RelatedField[Any, Any]) -> str:
    related = field.related_model
    return related.__name__ if isinstance(related, type) else str(related)


def _type(field: models.Field[Any, Any]) -> str:
    if isinstance(field, RelatedField):
        word = f"→ {_target(field)}"
    else:
        name = next((kind.__name__ for kind in type(field).__mro__ if kind.__name__ in SHORT), "")
        word = SHORT.get(name, field.get_internal_type())
    return word + (", may be null" if field.null else "")


def _meaning(field: models.Field[Any, Any]) -> str:
    told = [str(field.help_text)] if field.help_text else []
    if field.choices:
        told.append(", ".join(f"`{value}`" for value, _ in field.flatchoices if value != ""))
    if field.primary_key:
        told.append("primary key")
    elif field.unique:
        told.append("unique")
    return "; ".join(part.rstrip(".") for part in told).replace("|", "\\|").replace("\n", " ")


def _rule(rule: models.BaseConstraint) -> str:
    if not isinstance(rule, models.UniqueConstraint):
        return _words(rule.name)
    what = ", ".join(rule.fields) or _words(rule.name)
    return f"{what} once" + (f" ({_words(rule.name)})" if rule.condition is not None else "")


def _index(index: models.Index) -> str:
    columns = ", ".join(index.fields) or _words(index.name)
    return columns + (", of some rows" if index.condition is not None else "")


def _words(name: str) -> str:
    return name.replace("_", " ")
