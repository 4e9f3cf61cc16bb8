"""Which settings are searched, and where: checked at every door against the recipe's own rules.

A space maps a setting to {"low", "high", "log"} or to {"values": […]}. `whole` is added for whole numbers. What a
setting allows is known from the recipe's configuration, so both ends of a range and each value must pass it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from common.errors import InvalidInputError
from engine.catalogue import config_class
from engine.refusals import problems

MOST_SETTINGS = 12
MOST_VALUES = 50
# Not offered: what decides how a run goes and not how well, what only reports, and what moves the yardstick, so that
# trials could not be compared.
NEVER = frozenset({
    "base_model", "deterministic", "precision", "compile", "accumulate", "gradient_checkpointing", "evaluate_every",
    "evaluation_batches", "sample_every", "sample_length", "sample_steps", "guidance", "validation_fraction",
    "test_fraction", "horizon", "false_alarm_rate", "quiet_rows", "tokenizer", "vocabulary_size", "task", "threshold",
    "failure", "fail_attempts", "memory",
})  # fmt: skip
# Where to look for a number whose default depends on the data; one that is not here is not offered.
USUAL = {"learning_rate": (1e-5, 1e-2, True), "lora_alpha": (4.0, 128.0, True), "alpha": (1.0, 64.0, True)}


@dataclass(frozen=True)
class Range:
    """A range that a form offers for a setting."""

    low: float
    high: float
    log: bool
    whole: bool


def read(recipe: str, given: Any) -> dict[str, dict[str, Any]]:
    """The space as it is stored. InvalidInputError names each wrong setting as `space.<setting>`."""
    if not isinstance(given, dict) or not given:
        raise _wrong({"space": ["Choose at least one setting to search."]})
    if len(given) > MOST_SETTINGS:
        raise _wrong({"space": [f"Search at most {MOST_SETTINGS} settings at a time: those that matter most."]})
    known = _properties(recipe)
    found: dict[str, dict[str, Any]] = {}
    wrong: dict[str, list[str]] = {}
    for name, asked in given.items():
        try:
            if name not in known:
                raise ValueError(f"{recipe} has no setting '{str(name)[:60]}'. It has: {', '.join(known)}.")
            found[name] = _one(recipe, name, known[name], asked)
        except ValueError as error:
            wrong[f"space.{str(name)[:60]}"] = [str(error)]
    if wrong:
        raise _wrong(wrong)
    return found


def offered(recipe: str) -> dict[str, Range | list[Any]]:
    """What a form offers to search: a range around each number's default, the choices of the others."""
    found: dict[str, Range | list[Any]] = {}
    for name, schema in _properties(recipe).items():
        if name in NEVER:
            continue
        default = schema.get("default")
        number = _number(schema)
        choices = _choices(schema)
        if number and isinstance(default, int | float) and not isinstance(default, bool):
            found[name] = _around(default, number)
        elif number and choices:
            if name in USUAL:
                found[name] = _usual(number, *USUAL[name])
        elif len(choices) > 1:
            found[name] = choices
        elif schema.get("type") == "boolean":
            found[name] = [False, True]
    return found


def _one(recipe: str, name: str, schema: dict[str, Any], asked: Any) -> dict[str, Any]:
    if not isinstance(asked, dict):
        raise ValueError('Write {"low": …, "high": …} or {"values": […]}.')
    unknown = sorted(set(asked) - {"low", "high", "log", "values", "whole"})
    if unknown:
        raise ValueError(f"'{unknown[0][:60]}' is not known here. Known are: low, high, log, values.")
    if "values" in asked:
        return {"values": _values(recipe, name, asked)}
    number = _number(schema)
    if number is None:
        raise ValueError("This setting is no number: name its values.")
    low, high, log = asked.get("low"), asked.get("high"), asked.get("log", False)
    whole = number["type"] == "integer"
    for value in (low, high):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("low and high must be numbers.")
        if whole and value != int(value):
            raise ValueError("low and high must be whole numbers.")
    if not isinstance(log, bool):
        raise ValueError("log is true or false.")
    if low >= high:
        raise ValueError(f"low ({low:g}) must be less than high ({high:g}).")
    if log and low <= 0:
        raise ValueError("On a logarithmic scale low must be above 0.")
    kind = int if whole else float
    for value in (low, high):
        _allowed(recipe, name, kind(value))
    return {"low": kind(low), "high": kind(high), "log": log, "whole": whole}


def _values(recipe: str, name: str, asked: dict[str, Any]) -> list[Any]:
    values = asked["values"]
    if set(asked) - {"values"}:
        raise ValueError("Give a range or values, one of the two.")
    if not isinstance(values, list) or not 2 <= len(values) <= MOST_VALUES:
        raise ValueError(f"Name from 2 to {MOST_VALUES} values.")
    plain = [value for value in values if value is None or isinstance(value, str | int | float)]
    if len(plain) != len(values) or len({(type(value), value) for value in plain}) != len(values):
        raise ValueError("Values are texts, numbers, true or false, each once.")
    for value in values:
        _allowed(recipe, name, value)
    return values


def _allowed(recipe: str, name: str, value: Any) -> None:
    """ValueError in the words of the recipe when a setting can't have this value."""
    settings = config_class(recipe)
    try:
        settings.__pydantic_validator__.validate_assignment(settings.model_construct(), name, value)
    except ValidationError as error:
        told = problems(error, settings)
        if name in told:  # else it contradicts another setting, which a trial may change too
            raise ValueError(f"{value!r} can't be used. {told[name]}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{value!r} can't be used: {error}.") from None


def _usual(number: dict[str, Any], low: float, high: float, log: bool) -> Range:
    """A declared range, as far as the recipe allows it."""
    low, high = max(low, number.get("minimum", low)), min(high, number.get("maximum", high))
    return Range(low, high, log, whole=number["type"] == "integer")


def _around(default: float, number: dict[str, Any]) -> Range:
    """From a third to three times a whole number or a share, ten times either way for a small number."""
    whole = number["type"] == "integer"
    wide = 3.0 if whole or default >= 0.05 else 10.0
    low, high = default / wide, default * wide
    lowest = number.get("minimum", number.get("exclusiveMinimum", low))
    highest = number.get("maximum", number.get("exclusiveMaximum", high))
    if not default:
        low, high = lowest, min(highest, 0.5) if not whole else min(highest, 10)
    below = "exclusiveMaximum" in number and high >= highest
    low, high = max(low, lowest), (highest * 0.9 if below else min(high, highest))
    if whole:
        low, high = int(max(1, low) if default else low), max(int(high), int(low) + 1)
    return Range(float(f"{low:.3g}"), float(f"{high:.3g}"), log=low > 0 and high / low > 20, whole=whole)


def _properties(recipe: str) -> dict[str, dict[str, Any]]:
    return config_class(recipe).model_json_schema()["properties"]


def _number(schema: dict[str, Any]) -> dict[str, Any] | None:
    branches = schema.get("anyOf", [schema])
    return next((branch for branch in branches if branch.get("type") in ("integer", "number")), None)


def _choices(schema: dict[str, Any]) -> list[Any]:
    branches = schema.get("anyOf", [schema])
    return [value for branch in branches for value in branch.get("enum", [branch.get("const")]) if value is not None]


def _wrong(fields: dict[str, list[str]]) -> InvalidInputError:
    name, texts = next(iter(fields.items()))
    title = name.removeprefix("space.") if name != "space" else ""
    message = f"{title}: {texts[0]}" if title else texts[0]
    return InvalidInputError(message, "Correct the settings to search.", fields=fields)
