"""One look at a dataset: measure each item, compare them, write down what was found.

What was measured is kept by content (`Fingerprint`), so a run that goes on after a crash, and the next run of a dataset
that grew, measure only what is new. Comparing begins anew each time.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from django.db.models import Count
from django_q.models import OrmQ

from common.background import QUEUE
from common.push import publish
from datasets.claims import Claim
from datasets.models import Dataset, Item, Modality, QualityRun
from datasets.quality import compare, prints, ranges, score, writing
from datasets.quality.board import Board
from datasets.quality.found import Found
from datasets.quality.prints import Print

BATCH = 250
PUBLISH_SECONDS = 0.5
SLICE_SECONDS = 5.0  # after which other background work that waits may go first
UNEVEN = 10  # times as many items in the largest class as in the smallest
SMALL = 5
FEW_LABELLED = 0.05  # of the items: where no more have a label, labels are not what the dataset is about
LEAST = 100  # points that what is said of the whole dataset may take


class GiveWayError(Exception):
    """Other work waits: go on later, with what was measured so far."""


class Look:
    """A run at work. With `gives_way` it stops where other background work waits for its worker."""

    def __init__(self, claim: Claim[QualityRun], *, gives_way: bool) -> None:
        self.claim, self.gives_way = claim, gives_way
        self.run = claim.row
        self.dataset: Dataset = claim.row.dataset
        self.board = Board(self.dataset)
        self.states: dict[int, str] = {}
        self.found: dict[int, list[Found]] = defaultdict(list)
        self.started = self.said = time.monotonic()
        self.measured = 0
        self.labels: dict[str, Any] = {}

    def all(self) -> tuple[float | None, dict[str, Any]]:
        """The whole look. Returns the dataset's score and a summary."""
        self._measure()
        self._compare()
        self._write()
        whole = self._whole()
        worth = score.settle(self.dataset, whole)
        return worth, self._summary(whole)

    def _measure(self) -> None:
        items = self.dataset.items.filter(aside="")
        self._say("Looking at each item", total=2 * items.count(), done=0)
        for batch in _batches(items):
            known = prints.known(batch, self.board.kind)
            self.measured += len(batch) - len(known)
            self.board.add(batch, prints.of(batch, self.board.kind, self.claim.beat))
            self._on(len(self.board))
            slice_is_over = self.measured and time.monotonic() - self.started > SLICE_SECONDS
            if self.gives_way and slice_is_over and _others_wait():
                raise GiveWayError
        self.board.settle()

    def _compare(self) -> None:
        if self.board.kind == Modality.TABLE:
            return
        self._say("Comparing items")
        same, groups = compare.duplicates(self.board)
        self._keep(same)
        self._keep(compare.conflicts(self.board, groups))
        self._keep(compare.answers(self.board))
        self._say("Looking for near duplicates")
        self._keep(compare.near_duplicates(self.board, groups, self.claim.beat))
        self._keep(compare.leaks(self.board, groups))
        self._say("Looking for wrong labels")
        with self.claim.computing():
            doubtful, self.labels = compare.mislabelled(self.board, self.claim.beat)
        self._keep(doubtful)

    def _write(self) -> None:
        self._say("Writing down what was found")
        count = len(self.board)
        last = int(self.board.ids[-1]) if count else 0
        for batch in _batches(self.dataset.items.filter(aside="", pk__lte=last)):
            known = prints.of(batch, self.board.kind, self.claim.beat)
            said = {item.pk: [*self._judged(item, known[item.pk]), *self.found.get(item.pk, ())] for item in batch}
            seen = {item.pk: writing.state(item) for item in batch}
            writing.replace(self.claim, self.dataset, seen, said)
            count += len(batch)
            self._on(count)

    def _judged(self, item: Item, known: Print) -> Iterator[Found]:
        if problem := known.facts.get("unreadable"):
            yield Found("unreadable", problem)
            return
        aside = item.facts.get("aside_rows", [])
        for found in prints.MEASURES[self.board.kind].judge(known.facts, self.board.profile):
            if found.row is None or not ranges.holds(aside, found.row):
                yield found

    def _keep(self, found: compare.Findings) -> None:
        for place, ones in found.items():
            self.found[int(self.board.ids[place])] += ones

    def _whole(self) -> list[dict[str, Any]]:
        """What is said of the dataset as a whole."""
        rows = self.dataset.items.filter(aside="").order_by("label").values_list("label").annotate(count=Count("id"))
        counts = dict(rows)
        unlabelled = counts.pop("", 0)
        said: list[Found] = []
        labelled = sum(counts.values())
        if len(counts) > 1:
            # A stray file makes a class of its own: it is a small one, and says nothing of the others.
            whole = {name: count for name, count in counts.items() if count >= SMALL}
            compared = (whole if len(whole) > 1 else counts).items()
            (least, few), (most, many) = (pick(compared, key=lambda pair: pair[1]) for pick in (min, max))
            if many > UNEVEN * few:
                said.append(Found("class_imbalance", f"'{most}' has {many:,} items, '{least}' {few:,}."))
            small = sorted(name for name, count in counts.items() if count < SMALL)
            if small:
                named = ", ".join(f"'{name}'" for name in small[:5]) + (", …" if len(small) > 5 else "")
                said.append(Found("small_class", f"{len(small):,} of {len(counts):,} classes: {named}."))
        if unlabelled and labelled > FEW_LABELLED * (labelled + unlabelled):
            said.append(Found("unlabelled", f"{unlabelled:,} of {unlabelled + labelled:,} items."))
        return [{"code": one.code, "points": one.taken, "reason": one.reason} for one in said]

    def _summary(self, whole: list[dict[str, Any]]) -> dict[str, Any]:
        counts = Counter(one.code for ones in self.found.values() for one in ones)
        rows = self.dataset.findings.filter(item__aside="").order_by().values_list("code").annotate(count=Count("id"))
        return {
            "items": len(self.board), "measured": self.measured, "counts": dict(counts) | dict(rows), "whole": whole,
            "labels": self.labels, "parts": self.board.parts.said,
            "last_item": int(self.board.ids[-1]) if len(self.board) else 0,
        }  # fmt: skip

    def _say(self, phase: str, **values: int) -> None:
        self.claim.update(phase=phase, **values)
        publish(f"dataset.{self.dataset.pk}")

    def _on(self, done: int) -> None:
        """Show how far it is, a few times a second at most."""
        if time.monotonic() - self.said > PUBLISH_SECONDS:
            self.said = time.monotonic()
            total = self.run.total = max(done, 2 * len(self.board), self.run.total)
            self.claim.update(done=done, total=total)
            publish(f"dataset.{self.dataset.pk}")


def _batches(items: Any) -> Iterator[list[Item]]:
    """Some hundred items at a time, in the order of their ids."""
    last = 0
    while batch := list(items.filter(pk__gt=last).order_by("pk")[:BATCH]):
        yield batch
        last = batch[-1].pk


def _others_wait() -> bool:
    """Whether a task lies in the background queue that no worker has taken."""
    from django.utils import timezone

    return OrmQ.objects.filter(key=QUEUE, lock__lte=timezone.now()).exists()
