"""What people write beside a session: a note, tags, a star. What was recorded stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.errors import InvalidInputError
from common.pages import clean
from history.models import Session

NOTE, TAGS, TAG = 5_000, 20, 40  # the longest note, the most tags, the longest tag
CONTROLS = re.compile(r"[\x00-\x1f\x7f,]+")


def change(
    session: Session, *, note: str | None = None, tags: Iterable[str] | None = None, starred: bool | None = None
) -> Session:
    """Change what is given; None leaves it. InvalidInputError names the field that is too long."""
    changed = []
    if note is not None:
        session.note = _note(note)
        changed.append("note")
    if tags is not None:
        session.tags = _tags(tags)
        changed.append("tags")
    if starred is not None:
        session.starred = starred
        changed.append("starred")
    if changed:
        session.save(update_fields=changed)
    return session


def split(text: str) -> list[str]:
    """Tags from a field, where commas stand between them."""
    return [tag for part in text.split(",") if (tag := part.strip())]


def _note(text: str) -> str:
    note = clean(text).replace("\r\n", "\n").strip()
    if len(note) > NOTE:
        raise _wrong("note", f"A note has at most {NOTE:,} characters; this one has {len(note):,}.")
    return note


def _tags(given: Iterable[str]) -> list[str]:
    """Each once, in the order given. A comma would divide a tag in two."""
    tags = list(dict.fromkeys(tag for text in given if (tag := " ".join(CONTROLS.sub(" ", clean(text)).split()))))
    if len(tags) > TAGS:
        raise _wrong("tags", f"A session has at most {TAGS} tags; these are {len(tags)}.")
    if long := next((tag for tag in tags if len(tag) > TAG), None):
        raise _wrong("tags", f"A tag has at most {TAG} characters: shorten '{long[:TAG]}…'.")
    return tags


def _wrong(name: str, problem: str) -> InvalidInputError:
    return InvalidInputError(problem, "Shorten it and save again.", fields={name: [problem]})
