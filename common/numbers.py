"""Numbers that may leave or enter the hub: finite ones."""

from __future__ import annotations

import math
import re
from typing import Any

INT_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1
ABSURD = 1e100  # figures from here on tell that a run diverged, and nothing else: sums and charts leave them out
THOUSANDS = re.compile(r"[-+]?[1-9][0-9]{0,2}(,[0-9]{3})+")


def finite(value: Any) -> Any:
    """A copy of a JSON value in which each float that is not finite has become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value


def sane(value: float | None) -> float | None:
    """A value that can be added up and drawn; None for what is missing, not finite or absurdly large."""
    return value if value is not None and abs(value) < ABSURD else None


def typed(text: str, kind: type = float) -> Any:
    """The number that a person typed, with a point or a decimal comma. ValueError for anything else, and for 10,000:
    whether that is ten or ten thousand nobody knows."""
    text = text.strip()
    if THOUSANDS.fullmatch(text):
        raise ValueError("A comma before three digits can mean two things.")
    return kind(text.replace(",", "."))


def number_or_text(text: str) -> int | float | str:
    """The finite number that was typed, whole where it can be; else the text as it is."""
    for kind in (int, float):
        try:
            number = typed(text, kind)
        except ValueError:
            continue
        if kind is int or math.isfinite(number):
            return number
    return text
