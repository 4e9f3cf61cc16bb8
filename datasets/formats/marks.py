"""What is said about an item beside its content: label, caption, group, subject, time; from columns and from names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from datasets.limits import MAX_LABEL
from datasets.refused import Refused

LABELS = ("label", "class", "category", "target")
CAPTIONS = ("caption", "text", "description", "prompt")
# What people call the sets of a split that they made themselves; kept in an item's metadata.
SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "validation",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip
MAX_STARS = 3
_PLACEHOLDER = re.compile(r"\{(label|group|subject|split)\}|\*|[^{}*]+|.")


@dataclass(frozen=True)
class Marks:
    """Empty where nothing is known."""

    label: str = ""
    caption: str = ""
    group: str = ""
    subject: str = ""
    recorded_at: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def over(self, other: Marks) -> Marks:
        """These, and the other's where these say nothing."""
        return Marks(
            self.label or other.label, self.caption or other.caption, self.group or other.group,
            self.subject or other.subject, self.recorded_at or other.recorded_at, {**other.metadata, **self.metadata},
        )  # fmt: skip


def marks_of(given: dict[str, Any], options: dict[str, Any], *, captions: bool = False) -> Marks:
    """The marks in a record's columns; every other column goes to the metadata, empty ones nowhere.

    `captions`: whether a column of texts is a caption. Refused when a label is no short text.
    """
    rest = {key: value for key, value in given.items() if value not in (None, "")}
    column = {key.lower(): key for key in rest}

    def take(option: str, *names: str) -> str:
        chosen = [options[option].lower()] if option in options else names
        key = next((column[name] for name in chosen if name in column), None)
        return "" if key is None else _short(key, rest.pop(key))

    label = take("label_column", *LABELS)
    caption = ""
    chosen = [options["caption_column"].lower()] if "caption_column" in options else CAPTIONS if captions else ()
    for name in chosen:
        if name in column and column[name] in rest and isinstance(rest[column[name]], str):
            caption = rest.pop(column[name])
            break
    group = take("group_column", "group")
    subject = take("subject_column", "subject")
    moment = None
    if (key := column.get("recorded_at")) in rest and (moment := _moment(rest[key])) is not None:
        rest.pop(key)
    if (key := column.get("split")) in rest and str(rest[key]).strip().lower() in SPLITS:
        rest["split"] = SPLITS[str(rest.pop(key)).strip().lower()]
    return Marks(label, caption, group, subject, moment, rest)


def pattern(text: str) -> re.Pattern[str]:
    """`{label}_{group}_*.wav` as an expression that takes time in proportion to a name's length.

    A placeholder ends at the character that follows it, so nothing is tried twice. ValueError in words.
    """
    parts = _PLACEHOLDER.findall(text) and [match.group() for match in _PLACEHOLDER.finditer(text)]
    if not parts or ("{label}" not in parts and "{group}" not in parts and "{subject}" not in parts):
        raise ValueError("A pattern needs {label}, {group} or {subject}, such as {label}_{group}_*.wav.")
    if parts.count("*") > MAX_STARS:
        raise ValueError(f"A pattern has at most {MAX_STARS} asterisks.")
    made = ""
    for part, after in zip(parts, [*parts[1:], ""], strict=True):
        is_open = part == "*" or (part[0] == "{" and len(part) > 1)
        if part in {"{", "}"}:
            raise ValueError("Only {label}, {group}, {subject} and {split} stand in braces.")
        if is_open and (after == "*" or after.startswith("{")):
            raise ValueError("Something must stand between two placeholders, to tell where the first one ends.")
        if part == "*":
            made += "[^/]*"
        elif is_open:
            if f"<{part[1:-1]}>" in made:
                raise ValueError(f"{part} stands in it twice.")
            ends = re.escape(after[0]) if after else ""
            made += f"(?P<{part[1:-1]}>[^/{ends}]{{1,{MAX_LABEL}}})"
        else:
            made += re.escape(part)
    return re.compile(made)


def marks_from_name(name: str, expression: re.Pattern[str]) -> Marks:
    """What a file's name says; patterns with a slash look at the whole path."""
    subject = name if "/" in expression.pattern.replace("[^/", "") else name.rsplit("/", 1)[-1]
    found = expression.fullmatch(subject)
    parts = found.groupdict() if found else {}
    split = (parts.get("split") or "").lower()
    metadata = {"split": SPLITS.get(split, split)} if split else {}
    return Marks(
        label=parts.get("label") or "", group=parts.get("group") or "", subject=parts.get("subject") or "",
        metadata=metadata,
    )  # fmt: skip


def with_label(marks: Marks, label: str) -> Marks:
    return replace(marks, label=marks.label or label)


def _short(name: str, value: Any) -> str:
    if isinstance(value, dict | list):
        raise Refused("bad_row", f"'{name}' is no text or number.")
    text = str(value).strip()
    if len(text) > MAX_LABEL:
        raise Refused("bad_row", f"'{name}' is longer than {MAX_LABEL} characters.")
    return text


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
