"""The language of governance rules: conditions over an item and its metadata, as data.

    {}                                                                 always
    {"field": "licence", "is": "in", "value": ["CC0", "CC-BY-4.0"]}    one condition
    {"all": [...]}   {"any": [...]}   {"not": {...}}                   of other conditions

A field that an item does not have fits nothing but `is_not`, `not_in` and `exists` false, so that a rule which refuses
every licence but some also refuses items without one. Texts are compared without regard to case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from common.errors import InvalidInputError

MAX_DEPTH = 8
MAX_PARTS = 200
MAX_VALUES = 1000
MAX_TEXT = 500

TEXT, NUMBER, FLAG, LIST, ANY = "text", "number", "true or false", "list", "anything"
FIELDS = {
    "licence": TEXT,
    "consent": TEXT,
    "source": TEXT,
    "personal_data": FLAG,
    "age": NUMBER,  # days since it was recorded, else since it was imported
    "label": TEXT,
    "name": TEXT,
    "group": TEXT,
    "modality": TEXT,
    "media_type": TEXT,
    "bytes": NUMBER,
    "quality": NUMBER,
    "findings": LIST,  # codes of what the quality checks found
    "generated": FLAG,
}
# Families: what stands behind the point is chosen by whoever keeps the data.
FAMILIES = ("metadata", "subject", "generated")


def _equal(found: Any, wanted: Any) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, str) and isinstance(wanted, str):
        return found.casefold() == wanted.casefold()
    return bool(found == wanted)


def _contains(found: Any, wanted: Any) -> bool:
    if isinstance(found, list):
        return any(_equal(entry, wanted) for entry in found)
    return isinstance(found, str) and isinstance(wanted, str) and wanted.casefold() in found.casefold()


def _ordered(found: Any, wanted: Any, fits: Callable[[float, float], bool]) -> bool:
    numbers = (int, float)
    return isinstance(found, numbers) and not isinstance(found, bool) and fits(found, wanted)


OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "is": _equal,
    "is_not": lambda found, wanted: not _equal(found, wanted),
    "in": lambda found, wanted: any(_equal(found, entry) for entry in wanted),
    "not_in": lambda found, wanted: not any(_equal(found, entry) for entry in wanted),
    "less": lambda found, wanted: _ordered(found, wanted, lambda a, b: a < b),
    "more": lambda found, wanted: _ordered(found, wanted, lambda a, b: a > b),
    "contains": _contains,
    "exists": lambda found, wanted: (found not in (None, "", [])) is wanted,
}


def matches(condition: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether a checked condition holds for an item. `facts`: the value of each field; missing ones are None."""
    if not condition:
        return True
    if "all" in condition:
        return all(matches(part, facts) for part in condition["all"])
    if "any" in condition:
        return any(matches(part, facts) for part in condition["any"])
    if "not" in condition:
        return not matches(condition["not"], facts)
    return OPERATORS[condition["is"]](facts.get(condition["field"]), condition.get("value"))


def fields_of(condition: Mapping[str, Any]) -> set[str]:
    """The fields that a checked condition looks at."""
    return {part["field"] for part in _parts(condition) if "field" in part}


def check(condition: Any) -> dict[str, Any]:
    """The condition, if it is one; InvalidInputError says in words what is wrong, and where."""
    count = 0

    def look(part: Any, where: str, depth: int) -> None:
        nonlocal count
        count += 1
        if count > MAX_PARTS:
            raise _wrong(f"The condition has more than {MAX_PARTS} parts.", "Make two rules of it.")
        if depth > MAX_DEPTH:
            raise _wrong(f"{where} lies more than {MAX_DEPTH} levels deep.", "Make it flatter.")
        if not isinstance(part, dict):
            raise _wrong(f"{where} is no object.", 'Write for example {"field": "licence", "is": "exists"}.')
        keys = set(part)
        if keys in ({"all"}, {"any"}):
            key = keys.pop()
            if not isinstance(part[key], list) or not part[key]:
                raise _wrong(f"'{key}' of {where} is no list, or an empty one.", "Put conditions into it.")
            for number, entry in enumerate(part[key], 1):
                look(entry, f"{where}, part {number} of '{key}',", depth + 1)
        elif keys == {"not"}:
            look(part["not"], f"{where}, what 'not' stands before,", depth + 1)
        elif keys == {"field", "is", "value"}:
            _check_one(part, where)
        else:
            raise _wrong(
                f"{where} has the keys {_names(sorted(map(str, keys)))}.",
                "Use 'field', 'is' and 'value'; or 'all', 'any' or 'not' alone.",
            )

    if condition != {}:
        look(condition, "The condition", 1)
    return condition


def _check_one(part: dict[str, Any], where: str) -> None:
    field, operator, value = part["field"], part["is"], part["value"]
    kind = _kind(field)
    if kind is None:
        known = _names([*FIELDS, *(f"{family}.…" for family in FAMILIES)])
        raise _wrong(f"{where} asks for the field {_shown(field)}, which items do not have.", f"Use one of: {known}.")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise _wrong(f"{where} compares by {_shown(operator)}.", f"Use one of: {_names(list(OPERATORS))}.")
    if operator == "exists":
        if not isinstance(value, bool):
            raise _wrong(f"{where} has no true or false after 'exists'.", "Write true, or false for 'is missing'.")
    elif operator in {"in", "not_in"}:
        if not isinstance(value, list) or not 0 < len(value) <= MAX_VALUES:
            raise _wrong(f"{where} needs a list after '{operator}'.", f"Write 1 to {MAX_VALUES:,} values in brackets.")
        for entry in value:
            _check_value(entry, kind, where)
    elif operator in {"less", "more"}:
        if kind not in {NUMBER, ANY} or not _is_number(value):
            raise _wrong(f"{where} compares '{field}' by '{operator}', which needs a number.", "Write a number.")
    elif operator == "contains":
        if kind not in {TEXT, LIST, ANY}:
            raise _wrong(f"{where}: '{field}' holds a {kind} and contains nothing.", "Use 'is'.")
        _check_value(value, TEXT if kind == LIST else kind, where)
    elif kind == LIST:
        raise _wrong(f"{where}: '{field}' is a list.", "Use 'contains' or 'exists'.")
    else:
        _check_value(value, kind, where)


def _kind(field: Any) -> str | None:
    if not isinstance(field, str) or len(field) > MAX_TEXT:
        return None
    family, point, rest = field.partition(".")
    return FIELDS.get(field) or (ANY if point and rest and family in FAMILIES else None)


def _check_value(value: Any, kind: str, where: str) -> None:
    fits = {
        TEXT: isinstance(value, str),
        NUMBER: _is_number(value),
        FLAG: isinstance(value, bool),
        ANY: isinstance(value, str | bool) or _is_number(value),
    }[kind]
    if not fits:
        raise _wrong(f"{where} compares with {_shown(value)}.", f"Write a {kind} there.")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise _wrong(f"{where} has a text of more than {MAX_TEXT} characters.", "Write a shorter one.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parts(condition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield condition
    for part in [*condition.get("all", ()), *condition.get("any", ()), *filter(None, [condition.get("not")])]:
        yield from _parts(part)


def _names(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"


def _shown(value: Any) -> str:
    return f"'{str(value)[:60]}'"


def _wrong(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={"condition": [f"{message} {hint}"]})
