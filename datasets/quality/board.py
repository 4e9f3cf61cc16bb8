"""What is remembered of each item while a dataset is compared with itself: columns of numbers, not rows of the
database. A text costs about 330 bytes, a picture or recording about 60."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from common.errors import NotFoundError
from datasets.freezing import manifests, splits
from datasets.freezing.splits import CONTENT, GIVEN, GROUP, PARTS, TIME, Split
from datasets.models import Dataset, Item, Modality
from datasets.quality import alike, texts
from datasets.quality.prints import Print
from datasets.quality.profile import Profile

if TYPE_CHECKING:
    import numpy as np

NONE = -1
MIN_COMPARED = 40  # characters of a text below which only equal ones are told
LONG_ANSWER = 20  # characters


class Board:
    """Filled item by item in the order of their ids, settled once, then compared."""

    ids: np.ndarray
    labels: np.ndarray  # numbers of `labelled`; -1 for none
    sets: np.ndarray  # 0 train, 1 validation, 2 test; -1 for none
    digests: np.ndarray  # of the normalised content; 0 where it can't be read
    hashes: np.ndarray  # by which near duplicates are sought; 0 for none
    prompts: np.ndarray
    answers: np.ndarray
    long: np.ndarray  # whether the answer is more than a word or two
    bands: np.ndarray  # of a text's MinHash: a row an item
    signs: np.ndarray  # of each of its hashes the lowest byte: by how many agree, what two texts share is estimated
    compared: np.ndarray  # 1 or 0: whether a text is long enough to be compared

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.kind = dataset.modality
        self.profile = Profile()
        self.parts = Parts(dataset)
        self.names: dict[str, int] = {}  # labels by their numbers
        self._columns = {name: array(code) for name, code in COLUMNS.items()}
        self._bands: list[np.ndarray] = []
        self._signs: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self._columns["ids"])

    def add(self, items: list[Item], prints: dict[int, Print]) -> None:
        """A batch of items with their fingerprints."""
        import numpy as np

        keep = self._columns
        signatures = []
        for item in items:
            known = prints[item.pk]
            facts, readable = known.facts, "unreadable" not in known.facts
            self.profile.add(facts)
            keep["ids"].append(item.pk)
            keep["labels"].append(self.names.setdefault(item.label, len(self.names)) if item.label else NONE)
            keep["sets"].append(self.parts.of(item))
            keep["digests"].append(_number(facts["normal"]) if readable and "normal" in facts else 0)
            keep["hashes"].append(int.from_bytes(_hash(self.kind, facts, known.value), "little"))
            keep["prompts"].append(_number(facts.get("prompt", "")))
            long = facts.get("answer_characters", 0) >= LONG_ANSWER
            keep["answers"].append(_number(facts.get("answer", "")))
            keep["long"].append(long)
            if self.kind == Modality.TEXT:
                compared = readable and facts["characters"] >= MIN_COMPARED
                keep["compared"].append(compared)
                empty = np.zeros(texts.PERMUTATIONS, np.uint32)
                signatures.append(np.frombuffer(known.value, np.uint32) if compared else empty)
        if signatures:
            stacked = np.stack(signatures)
            self._bands.append((alike.bands(stacked) >> np.uint64(32)).astype(np.uint32))
            self._signs.append(stacked.astype(np.uint8))

    def settle(self) -> None:
        """No more items will come."""
        import numpy as np

        self.profile.settle()
        self.bands = np.concatenate(self._bands) if self._bands else np.zeros((0, alike.BANDS), np.uint32)
        self.signs = np.concatenate(self._signs) if self._signs else np.zeros((0, texts.PERMUTATIONS), np.uint8)
        self._bands, self._signs = [], []
        for name in COLUMNS:
            setattr(self, name, np.asarray(self._columns[name]))
        self.labelled = {number: name for name, number in self.names.items()}

    def item(self, place: int) -> Item:
        """The item at a place; NotFoundError when it was deleted meanwhile."""
        found = Item.objects.filter(pk=int(self.ids[place])).first()
        if found is None:
            raise NotFoundError("The item is gone.", "Look again.")
        return found


COLUMNS = {"ids": "q", "labels": "i", "sets": "b", "digests": "Q", "hashes": "Q", "prompts": "Q", "answers": "Q",
           "long": "b", "compared": "b"}  # fmt: skip


class Parts:
    """Which part of a split an item falls to: in the newest version, else as a job would split it."""

    def __init__(self, dataset: Dataset) -> None:
        version = dataset.versions.order_by("-number").first()
        self.said = f"version {version.number}" if version else "the split that a job would get"
        self.known: dict[int, int] = {}
        rule: dict[str, Any] = {}
        fractions, seed = (0.1, 0.0), 0
        if version:
            entries = manifests.entries(version.content_hash)
            self.known = {int(entry["id"]): PARTS.index(entry["split"]) for entry in entries}
            rule = version.split_rule
            fractions, seed = (version.validation_fraction, version.test_fraction), version.seed
        # Without having seen all items a split by time says nothing of a new one.
        by = rule.get("by")
        self.split = None if by == TIME else Split(*fractions, seed, by if by in {GROUP, GIVEN} else CONTENT)
        if self.split and by == GIVEN:
            self.split.key, self.split.given = rule["key"], tuple(rule["given"])

    def of(self, item: Item) -> int:
        """0 train, 1 validation, 2 test; -1 when it is not known."""
        if (part := self.known.get(item.pk)) is not None:
            return part
        if self.split is None:
            return NONE
        said = splits.said(item.metadata, self.split.key)
        return PARTS.index(self.split.of(splits.record(item.sha256, item.label, item.group, item.recorded_at, said)))


def _number(digest: str) -> int:
    return int(digest[:16], 16) if digest else 0


def _hash(kind: str, facts: dict[str, Any], value: bytes) -> bytes:
    """The 64 bits by which near duplicates are sought; none for what looks or sounds like nothing."""
    if kind == Modality.TEXT or not value or facts.get("spread", 255) < 2 or facts.get("level", 1) < 1e-3:
        return b""
    return value[:8] if kind != Modality.VIDEO else value[4 * 8 : 5 * 8]
