"""What changed from one version to another: items added, removed, and with another label, caption or part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datasets.freezing import manifests
from datasets.models import DatasetVersion

ADDED, REMOVED, CHANGED = KINDS = ("added", "removed", "changed")
COMPARED = ("label", "caption", "group", "split", "aside_rows")


@dataclass(frozen=True)
class Difference:
    """One item that differs. `before` and `after` hold the compared values; None where the item was not there."""

    kind: str
    sha256: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None

    @property
    def moved(self) -> bool:
        """Whether it is in another part and else the same."""
        return self.kind == CHANGED and [key for key, _, _ in self.changes] == ["split"]

    @property
    def changes(self) -> list[tuple[str, Any, Any]]:
        """(what, before, after) of each value that differs; the label alone of what was added or removed."""
        before, after = self.before or {}, self.after or {}
        if self.kind != CHANGED:
            return [("label", before.get("label"), after.get("label"))] if {**before, **after}.get("label") else []
        return [(key, before.get(key), after.get(key)) for key in COMPARED if before.get(key) != after.get(key)]


def differences(before: DatasetVersion | None, after: DatasetVersion) -> Iterator[Difference]:
    """In the order of the items' content; without a version before, all items were added.

    Both manifests are read once, side by side, in constant memory.
    """
    old = manifests.entries(before.content_hash) if before else iter(())
    new = manifests.entries(after.content_hash)
    left, right = next(old, None), next(new, None)
    while left or right:
        if right is None or (left is not None and left["sha256"] < right["sha256"]):
            yield Difference(REMOVED, left["sha256"], left["name"], _compared(left), None)
            left = next(old, None)
        elif left is None or right["sha256"] < left["sha256"]:
            yield Difference(ADDED, right["sha256"], right["name"], None, _compared(right))
            right = next(new, None)
        else:
            found = Difference(CHANGED, right["sha256"], right["name"], _compared(left), _compared(right))
            if found.before != found.after:
                yield found
            left, right = next(old, None), next(new, None)


@dataclass(frozen=True)
class Summary:
    """How many items differ, and the first of each kind."""

    counts: dict[str, int]  # by kind
    first: dict[str, list[Difference]]
    moved: int = 0  # of those changed, how many are in another part and else the same

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __str__(self) -> str:
        changed = self.counts[CHANGED] - self.moved
        words = f"{self.counts[ADDED]:,} added, {self.counts[REMOVED]:,} removed, {changed:,} changed"
        return f"{words}, {self.moved:,} moved to another part." if self.moved else f"{words}."


def summary(before: DatasetVersion | None, after: DatasetVersion, named: int = 50) -> Summary:
    """The differences counted, with at most `named` items of each kind."""
    counts = dict.fromkeys(KINDS, 0)
    first: dict[str, list[Difference]] = {kind: [] for kind in KINDS}
    moved = 0
    for found in differences(before, after):
        counts[found.kind] += 1
        moved += found.moved
        if len(first[found.kind]) < named:
            first[found.kind].append(found)
    return Summary(counts, first, moved)


def _compared(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in COMPARED if entry.get(key)}
