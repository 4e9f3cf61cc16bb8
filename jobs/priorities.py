"""A priority as people write it: a number, or the name of a level."""

from __future__ import annotations

import re
from typing import Any

from common.errors import InvalidInputError
from jobs.states import MAX_PRIORITY, Priority

LEVELS = {level.name.lower(): level.value for level in Priority}
NUMBER = re.compile(r"[+-]?[0-9]{1,6}")


def read_priority(given: Any) -> int:
    """The number for 7, '7' or 'high'. InvalidInputError names the levels."""
    text = str(given).strip().lower() if isinstance(given, str) else ""
    if text in LEVELS:
        return LEVELS[text]
    if NUMBER.fullmatch(text):
        given = int(text)
    elif isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not -MAX_PRIORITY <= given <= MAX_PRIORITY:
        message = "The priority is neither a level nor a number in range."
        hint = f"Use one of {', '.join(LEVELS)}, or a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}."
        raise InvalidInputError(message, hint, fields={"priority": [hint]})
    return given
