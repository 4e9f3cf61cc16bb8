"""What was typed into the form of a new job, field by field; an error names the field that can't be used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import get_visible
from common.errors import InvalidInputError, NotFoundError
from datasets.freezing.splits import CONTENT, GIVEN, KEY
from datasets.models import Dataset, Subject
from jobs import placing
from registry.models import Model, ModelVersion

DEFAULTS = {"validation_fraction": "0.1", "test_fraction": "0", "seed": "0"} | {
    "split_by": CONTENT, "split_key": KEY, **placing.DEFAULTS,
}  # fmt: skip
# What a job can belong to: field → rows, path to their owner.
ROWS: dict[str, tuple[Any, str]] = {
    "model": (Model.objects, "owner"),
    "subject": (Subject.objects, "owner"),
    "base_version": (ModelVersion.objects.select_related("model"), "model__owner"),
    "save_to": (Dataset.objects, "owner"),
}
MAX_SEED = 2**63 - 1


def row(values: Mapping[str, str], name: str, user: AbstractBaseUser) -> Any:
    """The model, subject, version or dataset that was chosen; None for none."""
    if not (key := values.get(name, "").strip()):
        return None
    rows, owner = ROWS[name]
    try:
        return get_visible(rows.all(), user, owner, pk=key)
    except NotFoundError as problem:
        hint = "Choose another one, or none."
        raise NotFoundError(problem.message, hint, fields={name: [f"{problem.message} {hint}"]}) from None


def split_key(values: Mapping[str, str]) -> str | None:
    """The key of the metadata that gives the parts; None where they are split another way."""
    return values.get("split_key", "").strip() or None if values.get("split_by") == GIVEN else None


def fraction(values: Mapping[str, str], name: str) -> float:
    text = values.get(name, "").strip().replace(",", ".") or DEFAULTS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise InvalidInputError(
            "A share must be from 0 to below 1.", "Write for example 0.1 for a tenth.",
            fields={name: ["Write a number from 0 to below 1, such as 0.1."]},
        )  # fmt: skip
    return value


def seed(values: Mapping[str, str]) -> int:
    text = values.get("seed", "").strip() or DEFAULTS["seed"]
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) < 21):
        value = None
    else:
        value = int(text)
    if value is None or not 0 <= value <= MAX_SEED:
        message = f"Write a whole number from 0 to {MAX_SEED}."
        raise InvalidInputError("The seed is out of range.", message, fields={"seed": [message]})
    return value
