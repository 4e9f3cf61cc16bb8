"""Truths that a version has never heard of: a new class, or the misspelt name of an old one. Either counts as wrong, so
whoever tells one is told."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from registry.models import ModelVersion, Outcome

NAMED = 5  # of the classes that there are


def classes_said(outcomes: Iterable[Outcome]) -> dict[UUID, str]:
    """By prediction, what is odd about its truth: a class that was none when the version learned. Versions whose
    classes are not known, as those of tables, are left out."""
    wrong = [row for row in outcomes if row.correct is False]
    known = _classes({row.version_id for row in wrong})
    return {
        row.prediction_id: _said(str(row.truth), known[row.version_id])
        for row in wrong
        if row.version_id in known and row.truth not in known[row.version_id]
    }


def _classes(versions: set[int]) -> dict[int, list[str]]:
    if not versions:
        return {}
    rows = ModelVersion.objects.filter(pk__in=versions).values_list("pk", "dataset_version__classes")
    return {pk: list(map(str, classes)) for pk, classes in rows if classes}


def _said(truth: str, classes: list[str]) -> str:
    named = ", ".join(classes[:NAMED]) + (f" and {len(classes) - NAMED} more" if len(classes) > NAMED else "")
    return (
        f"The version learned no class '{truth[:100]}', so this counts as wrong. It knows {named}. "
        "If the name is misspelt, replace it."
    )
