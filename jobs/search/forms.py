"""The form of a new search: which settings, from where to where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.numbers import number_or_text
from jobs.search import space
from jobs.search.overview import properties

PREFIX = "space."


@dataclass(frozen=True)
class Choice:
    """One setting of the form: a range to change, or values to tick."""

    name: str
    title: str
    description: str
    used: bool
    low: str = ""
    high: str = ""
    log: bool = False
    values: list[tuple[str, bool]] = field(default_factory=list)  # as text; whether it is ticked

    @property
    def key(self) -> str:
        return PREFIX + self.name


def choices(recipe: str, typed: Mapping[str, Any] | None) -> list[Choice]:
    """What can be searched; `typed` is what the form sent, else it offers ranges around the defaults."""
    known = properties(recipe)
    found = []
    for name, where in space.offered(recipe).items():
        key = PREFIX + name
        used = key in typed if typed is not None else False
        about = (name, known[name].get("title", name), known[name].get("description", ""), used)
        if isinstance(where, list):
            ticked = _all(typed, f"{key}.values") if typed is not None and used else [str(value) for value in where]
            found.append(Choice(*about, values=[(str(value), str(value) in ticked) for value in where]))
        elif typed is not None and used:
            low, high = typed.get(f"{key}.low", ""), typed.get(f"{key}.high", "")
            found.append(Choice(*about, low=low, high=high, log=bool(typed.get(f"{key}.log"))))
        else:
            found.append(Choice(*about, low=f"{where.low:g}", high=f"{where.high:g}", log=where.log))
    return found


def read(recipe: str, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The space that a form sent, still to be checked by `space.read`."""
    found: dict[str, Any] = {}
    for name, where in space.offered(recipe).items():
        key = PREFIX + name
        if key not in typed:
            continue
        if isinstance(where, list):
            ticked = _all(typed, f"{key}.values")
            found[name] = {"values": [value for value in where if str(value) in ticked]}
        else:
            ends = {end: number_or_text(str(typed.get(f"{key}.{end}", "")).strip()) for end in ("low", "high")}
            found[name] = ends | {"log": bool(typed.get(f"{key}.log"))}
    return found


def _all(typed: Any, key: str) -> list[str]:
    return list(typed.getlist(key)) if hasattr(typed, "getlist") else []
