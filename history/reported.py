"""What a report of a program may say of its run: each problem in words, at its field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

METRICS, METRIC_NAME, MODEL_NAME, GENRE = 1_000, 100, 200, 100
RECIPE = re.compile(r"[A-Za-z0-9_-]*")
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
Problems = dict[str, str]


def problems(given: Mapping[str, Any]) -> Problems:
    """What of a report contradicts itself, or is more than a session holds; {} when nothing does."""
    found = {
        "metrics": _metrics(given.get("metrics") or {}),
        "performance_by_model": _names(given.get("performance_by_model") or {}, MODEL_NAME),
        "genre_distribution": _names(given.get("genre_distribution") or {}, GENRE) or _genres(given),
        "examples_successful": _examples(given),
        "quality_average": _quality(given),
        "recipe": "" if RECIPE.fullmatch(given.get("recipe", "")) else "Letters, digits, - and _ only.",
        "completed_at": "Must not be before started_at." if given["completed_at"] < given["started_at"] else "",
    }
    return {name: problem for name, problem in found.items() if problem}


def _metrics(metrics: Mapping[str, Any]) -> str:
    if len(metrics) > METRICS:
        return f"At most {METRICS:,} metrics; these are {len(metrics):,}."
    return _names(metrics, METRIC_NAME)


def _names(named: Mapping[str, Any], longest: int) -> str:
    for name in named:
        if len(name) > longest:
            return f"A name here has at most {longest} characters: shorten '{name[:30]}…'."
        if CONTROLS.search(name):
            return f"A name here has no line breaks or other control characters: {name[:60]!r}."
    return ""


def _genres(given: Mapping[str, Any]) -> str:
    """Without a list of genres the distribution says by itself which there were."""
    if not given.get("genres"):
        return ""
    others = [name for name in given.get("genre_distribution") or {} if name not in given["genres"]]
    return f"Not among genres: {', '.join(others[:5])}." if others else ""


def _examples(given: Mapping[str, Any]) -> str:
    asked, kept, failed = (given.get(f"examples_{name}") for name in ("requested", "successful", "failed"))
    if asked is None or (kept or 0) + (failed or 0) <= asked:
        return ""
    return f"{kept or 0:,} successful and {failed or 0:,} failed are more than the {asked:,} requested."


def _quality(given: Mapping[str, Any]) -> str:
    told = {name: given.get(f"quality_{name}") for name in ("min", "average", "max")}
    known = {name: value for name, value in told.items() if value is not None}
    if list(known.values()) == sorted(known.values()):
        return ""
    return f"Must be quality_min ≤ quality_average ≤ quality_max; given are {', '.join(map(str, known.values()))}."
