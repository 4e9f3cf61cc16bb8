"""The form of a recipe's settings, made from the JSON schema of its typed configuration."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common.numbers import number_or_text
from engine.catalogue import config_class
from engine.refusals import branches_of, choices_of, rule
from jobs import bases
from jobs.columns import Column
from jobs.recommending import Advice
from registry.bases import Base

PREFIX = "config."
# The fields that every recipe's form has.
TITLES = {
    "name": "Name",
    "dataset": "Dataset",
    "validation_fraction": "Share for validation",
    "test_fraction": "Share for testing",
    "split_by": "How to split",
    "split_key": "Which metadata",
    "seed": "Seed",
    "recipe": "Recipe",
    "model": "Result goes to",
    "subject": "Subject",
    "base_version": "Based on",
    "save_to": "Examples go to",
    "prompts_from.template": "Template of prompts",
    "prompts_from.sheet": "Rows of",
    "prompts_from.limit": "At most",
    "resources": "Device",
    "device": "Device",
    "priority": "Priority",
    "devices": "Devices",
    "memory_gib": "Memory of each",
    "labels": "Labels of the node",
    "preemptible": "Gives way",
    "not_before": "Start at",
    "after": "Start after jobs",
    "after_failure": "If one of them fails",
    "max_seconds": "Time limit",
    "stall_seconds": "Stall limit",
}


@dataclass(frozen=True)
class Setting:
    """One field of the form."""

    name: str
    title: str
    description: str
    group: str
    kind: str  # choice, base, column, number, checkbox, text, lines
    value: str  # as the form shows it; for a checkbox 'on' or ''
    default: str
    choices: list[str] = field(default_factory=list)
    minimum: Any = None
    maximum: Any = None
    whole: bool = False
    longest: int | None = None
    bases: list[Base] = field(default_factory=list)  # of kind base: the folders that suit
    columns: list[Column] = field(default_factory=list)  # that it can name; of kind column: one of them
    advice: Advice | None = None  # what the recipe recommends for the data at hand

    @property
    def recommended(self) -> Advice | None:
        """The advice, unless it is taken."""
        return self.advice if self.advice and self.advice.value != self.value else None

    @property
    def key(self) -> str:
        return PREFIX + self.name

    @property
    def elsewhere(self) -> bool:
        """Of kind base or column: whether another one is chosen than those that there are."""
        there = {base.name for base in self.bases} | {column.name for column in self.columns}
        return bool(self.value) and self.value not in there | {self.default}

    @property
    def changed(self) -> bool:
        return self.value != self.default


def groups(
    recipe: str,
    config: Mapping[str, Any],
    typed: Mapping[str, str] | None = None,
    advice: Mapping[str, Advice] | None = None,
    offered: Sequence[Column] = (),
    without: Collection[str] = (),
) -> dict[str, list[Setting]]:
    """The settings by group, in their order. `typed` is what a form sent; it goes before `config`. `offered` are the
    columns of the data; settings `without` effect on it are left out."""
    found: dict[str, list[Setting]] = {}
    for name, schema in _properties(recipe).items():
        if name in without:
            continue
        setting = replace(_setting(name, schema, config, typed), advice=(advice or {}).get(name))
        if name == bases.SETTING:
            setting = replace(setting, kind="base", bases=bases.offered(recipe))
        if offered and (naming := schema.get("columns")):
            setting = replace(setting, kind="column" if naming == "one" else setting.kind, columns=list(offered))
        found.setdefault(setting.group, []).append(setting)
    return found


def read(recipe: str, typed: Mapping[str, str]) -> dict[str, Any]:
    """The configuration that a form sent; what is empty is left out, so that its default applies.

    What is no number stays text: the configuration's own validation says what is wrong with it.
    """
    config: dict[str, Any] = {}
    for name, schema in _properties(recipe).items():
        kinds = _kinds(schema)
        text = typed.get(PREFIX + name, "")
        if "boolean" in kinds:
            config[name] = text not in {"", "off"}  # 'off' where on or off has to be chosen
        elif "array" in kinds:
            if text.strip() in choices_of(branches_of(schema)):
                config[name] = text.strip()
            elif text.strip() or isinstance(schema.get("default"), list):
                config[name] = _listed(text)
        elif kinds & {"integer", "number"}:
            if text.strip():
                config[name] = number_or_text(text.strip())
        elif text or ("string" in kinds and schema.get("default") == ""):
            config[name] = text.replace("\r\n", "\n")  # as browsers send the end of a line
    return config


def explained(recipe: str, fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Messages about wrong fields for people: what may be written into each setting, and titles for names.

    What is no setting of the recipe keeps its messages.
    """
    known = _properties(recipe)
    found: dict[str, list[str]] = {}
    for key, texts in fields.items():
        schema = known.get(key.removeprefix(PREFIX)) if key.startswith(PREFIX) else None
        # A value that is wrong in itself is told with what the form shows; what else can be wrong with it (no such
        # folder, no such column, too little memory) by whoever looked.
        ruled = schema is not None and texts == [rule(schema)]
        found[key] = [rule(schema, humane=True)] if ruled else [_with_titles(text, known) for text in texts]
    return found


def title(recipe: str, key: str) -> str:
    """What the form calls a field: '' for what is no single field of it."""
    schema = _properties(recipe).get(key.removeprefix(PREFIX), {}) if key.startswith(PREFIX) else {}
    return schema.get("title", TITLES.get(key, ""))


def _with_titles(text: str, known: Mapping[str, dict[str, Any]]) -> str:
    """A sentence about several settings; names that are no words become the titles of the form."""
    names = "|".join(re.escape(name) for name in known if "_" in name)
    return re.sub(rf"\b({names})\b", lambda name: f"'{known[name[0]].get('title', name[0])}'", text) if names else text


def _properties(recipe: str) -> dict[str, dict[str, Any]]:
    return config_class(recipe).model_json_schema()["properties"]


def _kinds(schema: dict[str, Any]) -> set[str]:
    return {branch["type"] for branch in branches_of(schema) if "type" in branch}


def _setting(name: str, schema: dict[str, Any], config: Mapping[str, Any], typed: Mapping[str, str] | None) -> Setting:
    kinds = _kinds(schema)
    branches = branches_of(schema)
    choices = choices_of(branches)
    limits = next((branch for branch in branches if branch.get("type") in {"integer", "number"}), {})
    default = shown(schema.get("default"))
    kind = "text"
    if "boolean" in kinds:
        kind = "checkbox"
    elif "array" in kinds:
        kind = "text"  # several values with commas between them, or 'auto'
    elif limits:
        kind = "text" if choices else "number"  # 'auto' or a number
    elif choices:
        kind = "choice"
    elif schema.get("lines"):
        kind = "lines"
    if typed is None:
        value = shown(config.get(name, schema.get("default")))
    else:
        value = typed.get(PREFIX + name, "")
    return Setting(
        name=name,
        title=schema.get("title", name),
        description=schema.get("description", ""),
        group=schema.get("group", "Training"),
        kind=kind,
        value=value,
        default=default,
        choices=choices,
        minimum=limits.get("minimum"),
        maximum=limits.get("maximum"),
        whole=limits.get("type") == "integer",
        longest=schema.get("maxLength"),
    )


def shown(value: Any) -> str:
    """A setting's value as the form shows it; for a checkbox 'on' or ''."""
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return _joined(value)
    return "on" if value is True else str(value)


def _joined(values: list[Any]) -> str:
    """A list in one field: separated by commas, in quotes what holds one."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(values)
    return out.getvalue()


def _listed(text: str) -> list[str]:
    """The list that a field holds."""
    rows = csv.reader([text.replace("\n", " ").replace("\r", " ")], skipinitialspace=True)
    return [value.strip() for value in next(rows, []) if value.strip()]
