"""Which part of a split an item falls to: train, validation or test.

By content, by group and stratified, an item's place depends on the seed and its content (or its group's name) alone, so
adding items moves none. Only where a part that was asked for would stay empty, the unit nearest to it is moved there;
stratified, that is looked at label by label. By time, the newest items are for testing, those before them for
validation: there new items do move older ones on.

As given, an item's metadata name its part, as published sets do. A part that no item names is cut from what is given
for training, by the items' content. An item without a value counts as given for training, and is told; a value that is
no part is refused by name: by a slip of the pen a model would else train on what it is tested with.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, Func, QuerySet, TextField, Value

from common.errors import InvalidInputError
from common.numbers import BIGINT_MAX
from datasets.formats.marks import SPLITS
from datasets.models import Item

TRAIN, VALIDATION, TEST = PARTS = ("train", "validation", "test")
CONTENT, GROUP, STRATIFIED, TIME, GIVEN = RULES = ("content", "group", "stratified", "time", "given")
RULE_WORDS = {
    CONTENT: "By content, item by item",
    GROUP: "By group, kept together",
    STRATIFIED: "Stratified by class",
    TIME: "By time, newest for testing",
    GIVEN: "As given in the metadata",
}
KEY = "split"  # of the metadata, where no other one is named
MAX_KEY = 200
MOST_SAID = 10_000  # different values; a key with more does not name parts
NAMED = 5  # values that are no part, in the message about them
HELD = (VALIDATION, TEST)
GIVENS = ((), (VALIDATION,), (TEST,), HELD)
_SCALE = 2**64


class Record(NamedTuple):
    """What a split looks at. `at` is in microseconds since 1970, `said` what the metadata say of its part."""

    sha256: str
    label: str
    group: str
    at: int | None
    said: str = ""


@dataclass
class _Stratum:
    """Items that are split among themselves. A unit is what goes to one part as a whole."""

    items: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    low: dict[str, tuple[int, str]] = field(default_factory=dict)  # of each part, the unit that stands lowest
    high: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, part: str, place: int, unit: str, size: int) -> None:
        self.items[part] += size
        self.units[part] += 1
        here = (place, unit)
        self.low[part] = min(self.low.get(part, here), here)
        self.high[part] = max(self.high.get(part, here), here)


@dataclass
class Split:
    """A plan: `add` every item, `settle`, then ask for each item's part, in the same order."""

    validation_fraction: float
    test_fraction: float
    seed: int
    by: str = CONTENT
    key: str = KEY  # of the metadata, as given
    given: tuple[str, ...] = ()  # as given, which of validation and test the items name; known once it is settled
    unsaid: int = 0  # as given, items without a value
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    _strata: dict[str, _Stratum] = field(default_factory=lambda: defaultdict(_Stratum))
    _groups: Counter[str] = field(default_factory=Counter)
    _moved: dict[str, str] = field(default_factory=dict)
    _times: array[int] = field(default_factory=lambda: array("q"))
    _equal: Counter[int] = field(default_factory=Counter)  # of each time, how many were given a part
    _timeless: int = 0
    _said: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        if self.by == GIVEN:
            self._add_given(record)
        elif self.by == TIME:
            if record.at is None:
                self._timeless += 1
            else:
                self._times.append(record.at)
        elif self.by == GROUP and record.group:
            self._groups[record.group] += 1
        else:
            self._add_unit(record.label if self.by == STRATIFIED else "", record.sha256, 1)

    def settle(self) -> None:
        """Everything was added. InvalidInputError when it can't be split by this rule."""
        if self.by == TIME:
            self._settle_times()
            return
        if self.by == GIVEN:
            self._settle_given()
            return
        for group, size in self._groups.items():
            self._add_unit("", f"group:{group}", size)
        for stratum in self._strata.values():
            self._settle_stratum(stratum)

    def of(self, record: Record) -> str:
        """The part of this item."""
        if self.by == TIME:
            return self._by_time(record.at or 0)
        if self.by == GIVEN and (part := SPLITS.get(record.said)) in HELD:
            return str(part)
        unit = f"group:{record.group}" if self.by == GROUP and record.group else record.sha256
        return self._moved.get(unit) or self._by_place(place(self.seed, unit), self.given)

    @property
    def rule(self) -> dict[str, Any]:
        """How it is split, as a version keeps it."""
        if self.by != GIVEN:
            return {"by": self.by}
        return {"by": GIVEN, "key": self.key, "given": list(self.given), "unsaid": self.unsaid}

    def thresholds(self) -> tuple[int, int]:
        """The places from which on an item is no longer for testing, and no longer for validation."""
        return _first_at(self.test_fraction), _first_at(self.test_fraction + self.validation_fraction)

    def wanted(self) -> list[str]:
        """The parts that must not stay empty, the most needed first; but for those that are given."""
        validation, test = self._fractions(self.given)
        return [TRAIN] + [VALIDATION] * (validation > 0) + [TEST] * (test > 0)

    def _fractions(self, given: tuple[str, ...]) -> tuple[float, float]:
        """The shares that are cut, for validation and for testing: of a given part, none."""
        validation = 0.0 if VALIDATION in given else self.validation_fraction
        return validation, 0.0 if TEST in given else self.test_fraction

    def _add_unit(self, stratum: str, unit: str, size: int, given: tuple[str, ...] = ()) -> None:
        where = place(self.seed, unit)
        self._strata[stratum].add(self._by_place(where, given), where, unit, size)

    def _by_place(self, place: int, given: tuple[str, ...] = ()) -> str:
        share = place / _SCALE
        validation, test = self._fractions(given)
        if share < test:
            return TEST
        return VALIDATION if share < test + validation else TRAIN

    def _add_given(self, record: Record) -> None:
        self._said[record.said] += 1
        if len(self._said) > MOST_SAID:
            self._check_said(self._said)
        if SPLITS.get(record.said, TRAIN) == TRAIN:
            # Which parts are given is known when all were seen: until then each case is kept.
            for given in GIVENS:
                self._add_unit(" ".join(given), record.sha256, 1, given)

    def _settle_given(self) -> None:
        said, self.unsaid = self._said, self._said.pop("", 0)
        self._check_said(said)
        for value, count in said.items():
            if (part := SPLITS[value]) in HELD:
                self.counts[part] += count
        self.given = tuple(part for part in HELD if self.counts[part])
        self._settle_stratum(self._strata[" ".join(self.given)])

    def _check_said(self, said: Counter[str]) -> None:
        """InvalidInputError when an item names what is no part, or none is for training."""
        strange = {value: count for value, count in said.most_common() if value not in SPLITS}
        message = ""
        if strange:
            values = ", ".join(f"'{value[:40]}' ({count:,})" for value, count in list(strange.items())[:NAMED])
            more = " and others" if len(strange) > NAMED else ""
            message = f"'{self.key}' names parts that are not known: {values}{more}."
        elif not said and self.unsaid:
            message = f"No item says in '{self.key}' which part it belongs to."
        elif said and not self.unsaid and not any(SPLITS[value] == TRAIN for value in said):
            message = f"'{self.key}' gives no item for training."
        if message:
            hint = "Use train, validation and test, name the right key of the metadata, or split another way."
            raise InvalidInputError(message, hint, fields={"split_by": [message]})

    def _settle_stratum(self, stratum: _Stratum) -> None:
        self._fill(stratum)
        for part, count in stratum.items.items():
            self.counts[part] += count

    def _fill(self, stratum: _Stratum) -> None:
        """Move single units into parts that would stay empty: training first, then validation, then test."""
        for name in self.wanted()[: stratum.units.total()]:
            if stratum.units[name]:
                continue
            giver = max(PARTS, key=lambda other: (stratum.units[other], PARTS.index(other)))
            less_needed = PARTS.index(giver) > PARTS.index(name)
            if stratum.units[giver] < (1 if less_needed else 2):
                continue
            # Training stands above the others: the highest moves up into it, the lowest down out of it.
            ends = (stratum.high, stratum.low) if name == TRAIN else (stratum.low, stratum.high)
            unit = ends[0][giver][1]
            if unit in self._moved:
                unit = ends[1][giver][1]
            self._moved[unit] = name
            size = self._groups[unit.removeprefix("group:")] if unit.startswith("group:") else 1
            for part, sign in ((giver, -1), (name, 1)):
                stratum.units[part] += sign
                stratum.items[part] += sign * size

    def _settle_times(self) -> None:
        if self._timeless:
            raise InvalidInputError(
                f"{self._timeless:,} item{'s have' if self._timeless > 1 else ' has'} no time of recording.",
                "Give every item one, or choose another way to split.",
                fields={"split_by": ["Some items have no time of recording."]},
            )
        self._times = array("q", sorted(self._times))
        total = len(self._times)
        sizes = {TEST: round(total * self.test_fraction), VALIDATION: round(total * self.validation_fraction)}
        for name in self.wanted()[1:total]:
            sizes[name] = max(1, sizes[name])
        sizes[TEST] = min(sizes[TEST], max(0, total - 1))
        sizes[VALIDATION] = min(sizes[VALIDATION], max(0, total - 1 - sizes[TEST]))
        self.counts = {TRAIN: total - sizes[TEST] - sizes[VALIDATION], **sizes}
        self.counts = {name: self.counts[name] for name in PARTS}

    def _by_time(self, at: int) -> str:
        train, held = self.counts[TRAIN], self.counts[TRAIN] + self.counts[VALIDATION]
        before, after = bisect_left(self._times, at), bisect_right(self._times, at)
        if after - before > 1:  # of items of the same moment, those that come first are the older ones
            before, self._equal[at] = before + self._equal[at], self._equal[at] + 1
        if before < train:
            return TRAIN
        return VALIDATION if before < held else TEST


def place(seed: int, unit: str) -> int:
    """Where a unit stands, from 0 to 2^64 - 1: a stable hash."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{unit}".encode()).digest()[:8], "big")


def said(metadata: dict[str, Any], key: str) -> str:
    """What an item's metadata say of its part, as `Record` holds it."""
    return _plain(metadata.get(key))


def said_in(items: QuerySet[Item], split: Split) -> QuerySet[Item]:
    """The items with `said`, which `record` reads; empty unless the split goes by it."""
    if split.by != GIVEN:
        return items.annotate(said=Value(""))
    # Not a key transform: that takes a key of digits for a place in a list.
    text = Func(F("metadata"), Value(split.key), function="jsonb_extract_path_text", output_field=TextField())
    return items.annotate(said=text)


def record(sha256: str, label: str, group: str, recorded_at: Any, said: Any) -> Record:
    """What a split looks at, from an item's columns."""
    return Record(sha256, label, group, microseconds(recorded_at), _plain(said))


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip().lower()


def check(validation: float, test: float, seed: int, by: str = CONTENT, key: str = KEY) -> None:
    """InvalidInputError for fractions, seeds and rules by which nothing can be split."""
    problems: dict[str, list[str]] = {}
    for name, value in (("validation_fraction", validation), ("test_fraction", test)):
        if not (isinstance(value, int | float) and math.isfinite(value) and 0 <= value < 1):
            problems[name] = ["A number from 0 up to, and not including, 1."]
    if not problems and validation + test >= 1:
        problems["validation_fraction"] = ["Together with the test fraction it must leave something to train on."]
    if not -BIGINT_MAX <= seed <= BIGINT_MAX:
        problems["seed"] = ["A whole number of at most 63 bits."]
    if by not in RULES:
        problems["split_by"] = [f"One of: {', '.join(RULES)}."]
    if not key.strip() or len(key) > MAX_KEY or "\x00" in key:
        problems["split_key"] = [f"A key of the metadata, of up to {MAX_KEY} characters."]
    if problems:
        name, texts = next(iter(problems.items()))
        raise InvalidInputError(
            f"{name}: {texts[0]}", "Use for example 0.1 for validation and 0 for test.", fields=problems
        )


def counted(split: Split, items: QuerySet[Item]) -> bool:
    """Fill `split.counts` by one look of the database at all items, which is fast for a million of them.

    False where that does not settle it: by time, as given, and where a part would stay empty and be filled.
    """
    if split.by in {TIME, GIVEN}:
        return False
    inner, values = items.order_by().values("sha256", "group", "label").query.sql_with_params()
    unit = """CASE WHEN "group" = '' THEN sha256 ELSE 'group:' || "group" END""" if split.by == GROUP else "sha256"
    stratum = "label" if split.by == STRATIFIED else "''"
    sql = f"""
        SELECT count(*) FILTER (WHERE place < %s), count(*) FILTER (WHERE place >= %s AND place < %s),
               count(*) FILTER (WHERE place >= %s)
        FROM (SELECT substring(sha256(convert_to(%s || {unit}, 'UTF8')) FOR 8) AS place, {stratum} AS stratum
              FROM ({inner}) items) places
        GROUP BY stratum"""
    test, held = (_as_bytes(threshold) for threshold in split.thresholds())
    with connection.cursor() as cursor:
        cursor.execute(sql, [test, test, held, held, f"{split.seed}:", *values])
        strata = [dict(zip((TEST, VALIDATION, TRAIN), row, strict=True)) for row in cursor.fetchall()]
    if any(not counts[name] for counts in strata for name in split.wanted()):
        return False
    split.counts = {name: sum(counts[name] for counts in strata) for name in PARTS}
    return True


def microseconds(at: Any) -> int | None:
    """A moment as a number; None for none."""
    return None if at is None else round(at.timestamp() * 1e6)


def _first_at(share: float) -> int:
    """The lowest place whose share is not below `share`, as `Split` compares them."""
    low, high = 0, _SCALE
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if middle / _SCALE >= share else (middle + 1, high)
    return low


def _as_bytes(place: int) -> bytes:
    """For comparing with eight bytes of a hash; 2^64 stands above them all."""
    return place.to_bytes(8, "big") if place < _SCALE else b"\xff" * 9
