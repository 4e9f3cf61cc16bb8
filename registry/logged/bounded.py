"""What goes into the log has a limit: long texts are cut, pictures become their hash, and no value is out of bounds."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from common.numbers import finite
from common.wording import storable

MAX_BYTES = 64 * 1024  # of one value as JSON
LONGEST_TEXT = 10_000
MOST_ENTRIES = 1_000
DEEPEST = 8
PICTURES = ("image", "audio", "video")  # keys under which an answer has bytes as base64


def bounded(value: Any) -> Any:
    """A copy that the database can hold, of at most 64 KiB as JSON; what was left out is said in its place."""
    small = _cut(finite(value), DEEPEST)
    size = len(json.dumps(small, ensure_ascii=False).encode())
    return small if size <= MAX_BYTES else {"left_out": "too large to be kept", "bytes": size}


def digest_of(text: str) -> dict[str, Any]:
    """What stands for a text that is not kept."""
    return {"sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(), "characters": len(text)}


def _cut(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        text = storable(value)
        return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}… ({len(text):,} characters)"
    if isinstance(value, dict) and depth:
        pairs = list(value.items())[:MOST_ENTRIES]
        return {storable(str(key))[:200]: _entry(key, inner, depth - 1) for key, inner in pairs}
    if isinstance(value, list | tuple) and depth:
        return [_cut(inner, depth - 1) for inner in value[:MOST_ENTRIES]]
    return value if value is None or isinstance(value, bool | int | float) else storable(str(value))[:200]


def _entry(key: Any, value: Any, depth: int) -> Any:
    if key in PICTURES and isinstance(value, str):
        return {"sha256": hashlib.sha256(value.encode("utf-8", "replace")).hexdigest(), "characters": len(value)}
    return _cut(value, depth)
