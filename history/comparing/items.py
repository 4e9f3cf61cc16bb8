"""Which items came and went between the data of the first run and those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import ProblemError
from datasets.freezing.differences import summary
from datasets.models import DatasetVersion
from history.comparing.runs import Run

# Both lists are read to their ends: small enough to be told while somebody waits.
MOST_ITEMS = 50_000
MOST_PAIRS = 5


@dataclass(frozen=True)
class ItemChanges:
    """From the data of the first run to those of `run`; `counts` None where only `reason` can be given. `moved`
    counts those changed that are in another part and else the same, `said` is all of it in words."""

    run: Run
    before: DatasetVersion
    after: DatasetVersion
    counts: dict[str, int] | None
    moved: int = 0
    said: str = ""
    reason: str = ""


def changes(runs: Sequence[Run]) -> list[ItemChanges]:
    """Of each further version of the first run's dataset, told once; of another dataset, that it is another one."""
    before = runs[0].data
    found: dict[int, ItemChanges] = {}
    counted = 0
    for run in runs[1:]:
        after = run.data
        if before is None or after is None or after.pk in found or after.content_hash == before.content_hash:
            continue
        if after.dataset_id != before.dataset_id:
            found[after.pk] = ItemChanges(
                run, before, after, None, reason="Another dataset: its items are not compared."
            )
        elif counted >= MOST_PAIRS or _items(before) + _items(after) > MOST_ITEMS:
            found[after.pk] = ItemChanges(run, before, after, None, reason="Long lists: its own page compares them.")
        else:
            counted += 1
            found[after.pk] = _counted(run, before, after)
    return list(found.values())


def _counted(run: Run, before: DatasetVersion, after: DatasetVersion) -> ItemChanges:
    try:
        found = summary(before, after, named=0)
        return ItemChanges(run, before, after, found.counts, found.moved, str(found))
    except ProblemError as problem:
        return ItemChanges(run, before, after, None, reason=problem.message)


def _items(version: DatasetVersion) -> int:
    return sum(int(count) for count in version.counts.values())
