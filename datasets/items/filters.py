"""What a list of items can be asked for, the same on the page, in the API and for an edit of all that fit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from common.errors import InvalidInputError
from datasets.items.edit_values import CODE
from datasets.models import Dataset, DatasetVersion, Governance, Review

SPLITS = ("train", "validation", "test")
NAMES = (
    "search", "label", "quality_from", "quality_to", "review", "governance", "aside", "group", "finding", "version",
    "split",
)  # fmt: skip
NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Filters:
    """Conditions that an item must fulfil, all of them. Empty ones ask for nothing.

    `label` "" asks for items without a class, None for any. `aside`: "no", "yes", or the code of a reason. `version`
    and `split` ask for what a frozen version holds.
    """

    search: str = ""
    label: str | None = None
    quality_from: int | None = None
    quality_to: int | None = None
    review: str = ""
    governance: str = ""
    aside: str = ""
    group: str = ""
    finding: str = ""
    version: DatasetVersion | None = None
    split: str = ""

    def active(self) -> set[str]:
        """The names of those that ask for something."""
        return {one.name for one in fields(self) if getattr(self, one.name) != one.default}

    def __bool__(self) -> bool:
        return bool(self.active())


def read(dataset: Dataset, given: Mapping[str, Any], *, lenient: bool = False) -> Filters:
    """The filters that an address, a form or a body asks for.

    What can't be asked for is an InvalidInputError that names the field. `lenient` passes it over: for looking only,
    since whoever changes all that fit would change more without it.
    """
    wanted: dict[str, Any] = {}
    for name in NAMES:
        value = given.get(name)
        if value is None or (value == "" and name != "label"):
            continue
        try:
            wanted[name] = _value(dataset, name, value)
        except ValueError as error:
            if not lenient:
                problem = str(error)
                raise InvalidInputError(f"{name}: {problem}", problem, fields={name: [problem]}) from None
    if "split" in wanted and "version" not in wanted:
        if not lenient:
            problem = "Say of which version."
            raise InvalidInputError(f"split: {problem}", problem, fields={"version": [problem]})
        del wanted["split"]
    return Filters(**wanted)


def _value(dataset: Dataset, name: str, value: Any) -> Any:
    match name:
        case "quality_from" | "quality_to":
            if isinstance(value, bool) or not NUMBER.fullmatch(str(value).strip()) or int(value) > 100:
                raise ValueError("A whole number from 0 to 100.")
            return int(value)
        case "version":
            number = int(value) if NUMBER.fullmatch(str(value)) else 0
            found = dataset.versions.filter(number=number).first()
            if found is None:
                raise ValueError(f"This dataset has no version {str(value)[:20]}.")
            return found
    if not isinstance(value, str):
        raise ValueError("A text.")
    text = value.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")
    match name:
        case "review" | "governance" | "split":
            allowed = {"review": Review.values, "governance": Governance.values, "split": SPLITS}[name]
            if text not in allowed:
                raise ValueError(f"One of: {', '.join(allowed)}.")
        case "aside" | "finding":
            if not CODE.fullmatch(text):
                raise ValueError("A code such as duplicate." if name == "finding" else "yes, no, or a reason's code.")
        case "search":
            text = text.strip()[:200]
        case _:
            text = text[:200]
    return text
