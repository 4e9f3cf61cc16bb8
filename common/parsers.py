"""JSON as the API takes it: finite numbers, text that the database can hold, bounded size and depth."""

from __future__ import annotations

import json
import math
from typing import Any, BinaryIO

from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from common.errors import TooLargeError

MAX_DEPTH = 32


class StrictJSONParser(BaseParser):
    """Python's own parser lets 1e999 through as infinity, and NUL or half a surrogate pair into texts."""

    media_type = "application/json"

    def parse(
        self, stream: BinaryIO, media_type: str | None = None, parser_context: dict[str, Any] | None = None
    ) -> Any:
        """The value in the body. ParseError (400) says what is wrong with it, TooLargeError (413) its limit."""
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        data = stream.read(limit + 1)
        if len(data) > limit:
            raise TooLargeError(
                f"The body is larger than {limit // 2**20} MiB.", "Send less at a time; upload data as files."
            )
        try:
            return parse_json(data)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"The body is not valid JSON: {_shown(error)}") from error


def parse_json(data: bytes) -> Any:
    """The value in some JSON, under the rules of this module; ValueError or RecursionError when it breaks them."""
    value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite_float)
    _check(value)
    return value


def _shown(error: Exception) -> str:
    return "it is nested too deep." if isinstance(error, RecursionError) else str(error)[:200]


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number that can be used.")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large.")
    return value


def _check(value: Any) -> None:
    """Walks without recursion, since the depth is the sender's choice."""
    open_values = [(value, 0)]
    while open_values:
        current, depth = open_values.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels.")
        if isinstance(current, str):
            check_text(current)
        elif isinstance(current, dict):
            open_values += [(part, depth + 1) for pair in current.items() for part in pair]
        elif isinstance(current, list):
            open_values += [(part, depth + 1) for part in current]


def check_text(text: str) -> None:
    """ValueError for text that PostgreSQL can't store."""
    if "\x00" in text:
        raise ValueError("a text holds the character NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a text holds half a surrogate pair.") from None
