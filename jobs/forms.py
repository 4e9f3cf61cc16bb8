"""The form of a recipe's settings, made from the JSON schema of its typed configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.catalogue import config_class

PREFIX = "config."


@dataclass(frozen=True)
class Setting:
    """One field of the form."""

    name: str
    title: str
    description: str
    group: str
    kind: str  # choice, number, checkbox, text
    value: str  # as the form shows it; for a checkbox 'on' or ''
    default: str
    choices: list[str] = field(default_factory=list)
    minimum: Any = None
    maximum: Any = None
    whole: bool = False
    longest: int | None = None

    @property
    def key(self) -> str:
        return PREFIX + self.name

    @property
    def changed(self) -> bool:
        return self.value != self.default


def groups(recipe: str, config: Mapping[str, Any], typed: Mapping[str, str] | None = None) -> dict[str, list[Setting]]:
    """The settings by group, in their order. `typed` is what a form sent; it goes before `config`."""
    found: dict[str, list[Setting]] = {}
    for name, schema in _properties(recipe).items():
        setting = _setting(name, schema, config, typed)
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
            config[name] = text != ""
        elif kinds & {"integer", "number"}:
            if text.strip():
                config[name] = _number(text.strip())
        elif text or ("string" in kinds and schema.get("default") == ""):
            config[name] = text
    return config


def _properties(recipe: str) -> dict[str, dict[str, Any]]:
    return config_class(recipe).model_json_schema()["properties"]


def _branches(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema.get("anyOf", [schema])


def _kinds(schema: dict[str, Any]) -> set[str]:
    return {branch["type"] for branch in _branches(schema) if "type" in branch}


def _setting(name: str, schema: dict[str, Any], config: Mapping[str, Any], typed: Mapping[str, str] | None) -> Setting:
    kinds = _kinds(schema)
    branches = _branches(schema)
    choices = [str(value) for branch in branches for value in branch.get("enum", [branch.get("const")]) if value]
    limits = next((branch for branch in branches if branch.get("type") in {"integer", "number"}), {})
    default = _shown(schema.get("default"))
    kind = "text"
    if "boolean" in kinds:
        kind = "checkbox"
    elif limits:
        kind = "text" if choices else "number"  # 'auto' or a number
    elif choices:
        kind = "choice"
    if typed is None:
        value = _shown(config.get(name, schema.get("default")))
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


def _shown(value: Any) -> str:
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
