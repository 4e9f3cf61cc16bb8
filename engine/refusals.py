"""What is wrong with settings that are refused, as sentences that say what may be written.

Pydantic's own phrases are for programmers."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
OWN = "value_error"  # of a rule of the configuration's own, in its words
UNKNOWN = "extra_forbidden"
NAMED = 40  # settings that a message lists


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong, as 'field: reason' joined by semicolons."""
    found = problems(error, model)
    return "; ".join(f"{field}: {reason}" if field else reason for field, reason in found.items()).rstrip(".")


def problems(error: ValidationError, model: type[BaseModel]) -> dict[str, str]:
    """What is wrong, by setting; '' for what concerns several."""
    known = model.model_json_schema()["properties"]
    found: dict[str, list[str]] = {}
    for problem in error.errors():
        # Branches of a union end in a marker that is of no use to a reader.
        field = str(problem["loc"][0]) if problem["loc"] else ""
        if problem["type"] == UNKNOWN and len(problem["loc"]) == 1:
            reason = unknown(field, known)
        elif problem["type"] == OWN or field not in known:
            reason = problem["msg"].removeprefix("Value error, ")
        else:
            reason = rule(known[field])
        if reason not in found.setdefault(field, []):
            found[field].append(reason)
    return {field: "; ".join(reasons) for field, reasons in found.items()}


def unknown(name: str, known: Mapping[str, Any]) -> str:
    """That there is no such setting, with the one that may be meant."""
    near = get_close_matches(name, known, 1, 0.6)
    told = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(list(known)[:NAMED])}."
    return f"There is no setting of this name. {told}"


def rule(schema: Mapping[str, Any], humane: bool = False) -> str:
    """What may be written into a setting, as a sentence; `humane`: choices as forms show them."""
    branches = branches_of(schema)
    choices = [choice.replace("_", " ") if humane else choice for choice in choices_of(branches)]
    number = next((branch for branch in branches if branch.get("type") in {"integer", "number"}), None)
    listed = next((branch for branch in branches if branch.get("type") == "array"), None)
    if number:
        words = [*choices, f"a {'whole ' * (number['type'] == 'integer')}number{_range(number)}"]
        optional = ", or leave it empty" * (schema.get("default") is None)
        return f"Write {' or '.join(words)}{optional}."
    if listed:
        among = choices_of(branches_of(listed.get("items", {})))
        what = f"a list of {', '.join(among)}" if among else "a list of texts"
        most = f", at most {listed['maxItems']:,}" if "maxItems" in listed else ""
        return f"Write {' or '.join([*choices, what])}{most}."
    if choices:
        return f"Choose one of: {', '.join(choices)}."
    if any(branch.get("type") == "boolean" for branch in branches):
        return "Write true or false."
    longest = next((branch["maxLength"] for branch in branches if "maxLength" in branch), None)
    return f"Write at most {longest:,} characters." if longest else "Write a text."


def branches_of(schema: Mapping[str, Any]) -> list[Any]:
    """The forms that a setting can have."""
    return schema.get("anyOf", [schema])


def choices_of(branches: list[Any]) -> list[str]:
    """The words that can be chosen."""
    return [str(value) for branch in branches for value in branch.get("enum", [branch.get("const")]) if value]


def _range(number: Mapping[str, Any]) -> str:
    """' from 1 to 10', ' above 0 and at most 1', ' from 0 to below 1'; '' without limits."""
    text = " and ".join(f"{word} {_figure(number[name])}" for name, word in LIMITS.items() if name in number)
    if "minimum" in number:
        text = text.replace(" and at most ", " to ").replace(" and below ", " to below ")
    return f" {text}" if text else ""


def _figure(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else f"{value:g}"
