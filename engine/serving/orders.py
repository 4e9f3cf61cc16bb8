"""What the model server is told to load, and how it says that something went wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.protocol import FailureCode

MAX_REPLICAS = 16
SHARE = 0.5  # of the memory of this machine that models may take, unless it is said


@dataclass(frozen=True)
class Order:
    """A version to load: its folder, the recipe that made it, its files with their SHA-256 and their bytes."""

    key: str
    artifact: str
    recipe: str
    checksums: dict[str, str] = field(default_factory=dict)
    size: int = 0

    @property
    def artifact_path(self) -> Path:
        return Path(self.artifact)

    def as_dict(self) -> dict[str, Any]:
        return {"key": self.key, "artifact": self.artifact, "recipe": self.recipe,
                "checksums": self.checksums, "size": self.size}  # fmt: skip

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Order:
        """From a message; ValueError when it is none."""
        texts = [given.get(name) for name in ("key", "artifact", "recipe")]
        checksums, size = given.get("checksums", {}), given.get("size", 0)
        if not all(isinstance(text, str) and text and "\0" not in text for text in texts):
            raise ValueError("An order names a key, an artifact and a recipe.")
        if not isinstance(checksums, dict) or not all(isinstance(text, str) for text in checksums.values()):
            raise ValueError("Checksums are texts.")
        return cls(*texts, checksums, size if isinstance(size, int) else 0)  # type: ignore[arg-type]


def problem(code: FailureCode, message: str, hint: str) -> dict[str, str]:
    """An error as a client gets it."""
    return {"code": code, "message": message, "hint": hint}


BUSY = problem(FailureCode.WORKER_LOST, "Too many requests wait for this model.", "Try again in a moment.")
DIED = problem(
    FailureCode.WORKER_LOST,
    "The model process died while it worked on this request, and again when it was tried anew.",
    "Try smaller inputs; the log of the node says why it died.",
)
NEVER_STARTED = problem(
    FailureCode.WORKER_LOST,
    "The model process ended each time it was started.",
    "The log of the node says why; memory may be short.",
)


def memory_limit(said: str) -> int:
    """Bytes that all models together may take: "6G", "800M", "40%" of this machine's memory, or '' for half of it.

    ValueError for anything else.
    """
    text = said.strip().upper().removesuffix("IB").removesuffix("B")
    if not text:
        return int(_memory() * SHARE)
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
    if text.endswith("%"):
        limit = float(text[:-1]) / 100 * _memory()
    else:
        limit = float(text.rstrip("KMGT")) * units.get(text[-1], 1)
    if not 0 < limit < float("inf"):
        raise ValueError(f"'{said}' is no amount of memory.")
    return int(limit)


def _memory() -> int:
    """The memory of this machine, or of the container around us when that has less."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found = min(found, int(Path(name).read_text()))
        except (OSError, ValueError):
            continue
    return found


def private_bytes(pid: int | str = "self") -> int:
    """What a process holds for itself alone, not shared with the one it was forked from; 0 when that can't be read."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Swap:")))
