"""Writes docs/recipes.md: the introduction, then every recipe of the hub as its code describes it."""

from __future__ import annotations

import argparse
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from engine.catalogue import BUILT_IN, config_class
from engine.recipe import Recipe

INTRODUCTION = "recipes-introduction.md"
PLACE, EXPORTS = "<!-- recipes -->", "<!-- onnx -->"
DATA = {
    "text": "texts: documents, or rows with prompts and completions", "image": "images", "audio": "recordings",
    "video": "videos", "table": "tables", None: "none",
}  # fmt: skip
ANSWERS = {
    "text": "a text", "labels": "the likeliest labels with their probabilities", "image": "a picture",
    "values": "a value or a label for each row", "forecast": "a forecast of the series",
    "anomalies": "a score for each point, with those that stand out", None: "can't be tried",
}  # fmt: skip
LIMITS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}


class Command(BaseCommand):
    help = "Write docs/recipes.md from docs/recipes-introduction.md and the recipes. With --check: fail when it is old."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        path = _docs() / "recipes.md"
        text = document()
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError("docs/recipes.md is out of date. Run: python manage.py recipe_docs")


def document() -> str:
    """The whole of docs/recipes.md. Recipes of other packages are left out, whatever is installed here."""
    recipes: list[Recipe] = [import_module(f"engine.recipes.{folder}").RECIPE for folder in BUILT_IN]
    before, after = (_docs() / INTRODUCTION).read_text(encoding="utf-8").split(PLACE)
    before = before.replace(EXPORTS, _exports(recipes))
    parts = [before.rstrip(), _overview(recipes), *(_recipe(recipe) for recipe in recipes), after.strip()]
    return "\n\n".join(parts) + "\n"


def _docs() -> Path:
    return Path(settings.BASE_DIR) / "docs"


def _overview(recipes: list[Recipe]) -> str:
    lines = ["| recipe | data | answers with | judged by |", "|---|---|---|---|"]
    lines += [
        f"| [{recipe.title}](#{_anchor(recipe.title)}) | {recipe.modality or 'none'} | "
        f"{ANSWERS[recipe.output]} | `{recipe.goal}` |"
        for recipe in recipes
    ]
    return "\n".join(lines)


def _exports(recipes: list[Recipe]) -> str:
    lines = ["| recipe | ONNX | |", "|---|---|---|"]
    lines += [f"| {recipe.title} | {'yes' if recipe.exporter else 'no'} | {recipe.onnx} |" for recipe in recipes]
    return "\n".join(lines)


def _anchor(title: str) -> str:
    """The address of a heading, as renderers of Markdown make it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _recipe(recipe: Recipe) -> str:
    schema = config_class(recipe.name).model_json_schema()["properties"]
    about = inspect.cleandoc(config_class(recipe.name).__doc__ or "")
    facts = [
        ("name", f"`{recipe.name}`"),
        ("data", DATA[recipe.modality] + (", each with a label" if recipe.labelled else "")),
        ("metrics", f"judged by `{recipe.goal}`, {'higher' if recipe.higher_is_better else 'lower'} is better"),
        ("answers with", ANSWERS[recipe.output]),
        ("starts from", "a model that is there already, or from scratch" if recipe.bases else "scratch"),
        ("several devices", "yes" if recipe.processes and not recipe.simulator else "no"),
    ]
    lines = [f"## {recipe.title}", "", recipe.summary, "", about, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts]
    groups: dict[str, list[str]] = {}
    for name, field in schema.items():
        groups.setdefault(field.get("group", "Training"), []).append(_setting(name, field))
    for group, rows in groups.items():
        lines += ["", f"**{group}**", "", "| setting | default | may be | what it does |", "|---|---|---|---|", *rows]
    return "\n".join(lines)


def _setting(name: str, field: dict[str, Any]) -> str:
    default = _value(field.get("default"))
    about = re.sub(r"\s+", " ", field.get("description", "")).replace("|", "\\|")
    return f"| `{name}`<br>{field.get('title', name)} | {default} | {_range(field)} | {about} |"


def _value(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _range(field: dict[str, Any]) -> str:
    """What may be written, in words."""
    found: list[str] = []
    for branch in field.get("anyOf", [field]):
        found += [str(value) for value in branch.get("enum", [branch.get("const")]) if value]
        kind = branch.get("type")
        if kind in ("integer", "number"):
            limits = " ".join(words.format(_value(branch[key])) for key, words in LIMITS.items() if key in branch)
            found.append(f"{'whole number' if kind == 'integer' else 'number'} {limits}".strip())
        elif kind == "boolean":
            found.append("on, off")
        elif kind == "string" and not {"enum", "const"} & set(branch):
            found.append("text")
    return ", ".join(dict.fromkeys(found)) or "–"
