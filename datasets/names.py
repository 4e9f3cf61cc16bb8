"""Names that senders give. They are labels and nothing more: no name ever becomes a path on this machine."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from datasets.limits import MAX_DEPTH, MAX_LABEL, MAX_NAME

# What operating systems put into folders and archives by themselves.
SYSTEM_FILES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", ".directory"})
DRIVE = re.compile(r"[A-Za-z]:")


def clean(name: str) -> str:
    """A path as it is shown: forward slashes, no dots, drives or unprintable characters, at most 500 long."""
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    parts = [part.strip() for part in DRIVE.sub("", printable, count=1).split("/")]
    kept = "/".join(part for part in parts if part not in {"", ".", ".."})
    return kept[-MAX_NAME:].lstrip("/") or "unnamed"


def label(name: str) -> str:
    """The class of a file: the name of the folder that holds it; empty at the top. Expects a clean name."""
    return PurePosixPath(name).parent.name[:MAX_LABEL]


def is_system_file(name: str) -> bool:
    """Whether an operating system made it, not a person: it is passed over without a word."""
    parts = name.replace("\\", "/").split("/")
    return parts[-1] in SYSTEM_FILES or parts[-1].startswith("._") or "__MACOSX" in parts[:-1]


def fault(name: str) -> str | None:
    """What makes a name inside an archive an attack or unusable; None when nothing does."""
    parts = name.split("/")
    if ".." in parts:
        return "leads out of the archive ('..')"
    if name.startswith("/") or DRIVE.match(name):
        return "is an absolute path"
    if "\\" in name:
        return "has a backslash"
    if "\x00" in name:
        return "has a NUL character"
    if len(parts) > MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters"
    return None


def shown(name: str) -> str:
    """A name short enough for a sentence."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= 80 else printable[:77] + "…"
