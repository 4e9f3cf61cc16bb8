"""The rules of a split: what stays together, what is in each part, and that adding items moves none."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InvalidInputError
from datasets.freezing import splits
from datasets.freezing.splits import PARTS, Record, Split
from datasets.freezing.versions import freeze, preview_split
from datasets.models import Item
from tests.datasets.test_versions import manifest


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def plan(records: list[Record], **wanted) -> tuple[Split, dict[str, str]]:
    split = Split(**{"validation_fraction": 0.2, "test_fraction": 0.1, "seed": 0} | wanted)
    for record in records:
        split.add(record)
    split.settle()
    return split, {record.sha256: split.of(record) for record in records}


def counted(parts: dict[str, str]) -> dict[str, int]:
    return {name: list(parts.values()).count(name) for name in PARTS}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 120), st.integers(1, 12), st.integers(0, 2**40), st.floats(0, 0.5), st.floats(0, 0.49))
def test_no_group_is_in_two_parts(count, groups, seed, validation, test):
    records = [Record(sha(n), "", f"g{n % groups}" if n % 5 else "", None) for n in range(count)]
    split, parts = plan(records, by="group", seed=seed, validation_fraction=validation, test_fraction=test)
    where: dict[str, set[str]] = {}
    for record in records:
        if record.group:
            where.setdefault(record.group, set()).add(parts[record.sha256])
    assert all(len(found) == 1 for found in where.values())
    assert counted(parts) == split.counts, "what was foretold is what happens, also where a group was moved"


def test_adding_to_groups_moves_none():
    records = [Record(sha(n), "", f"g{n % 40}", None) for n in range(400)]
    _, before = plan(records[:300], by="group")
    _, after = plan(records, by="group")
    assert all(after[key] == part for key, part in before.items())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 2**40))
def test_stratified_each_class_is_in_each_part(sizes, seed):
    records = [Record(sha(1000 * label + n), f"class {label}", "", None) for label, size in enumerate(sizes)
               for n in range(size)]  # fmt: skip
    split, parts = plan(records, by="stratified", seed=seed)
    assert counted(parts) == split.counts
    for label, size in enumerate(sizes):
        found = {parts[record.sha256] for record in records if record.label == f"class {label}"}
        assert found >= set(["train", "validation", "test"][:size]), "as many parts as it has items"


def test_stratified_adding_to_large_classes_moves_none():
    records = [Record(sha(n), f"class {n % 3}", "", None) for n in range(900)]
    _, before = plan(records[:600], by="stratified")
    _, after = plan(records, by="stratified")
    assert all(after[key] == part for key, part in before.items())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=80), st.floats(0, 0.5), st.floats(0, 0.49))
def test_by_time_no_part_is_older_than_the_one_before_it(times, validation, test):
    records = sorted(Record(sha(n), "", "", at) for n, at in enumerate(times))
    split, parts = plan(records, by="time", validation_fraction=validation, test_fraction=test)
    assert counted(parts) == split.counts and split.counts["train"] >= 1
    spans = [[record.at for record in records if parts[record.sha256] == name] for name in PARTS]
    spans = [span for span in spans if span]
    assert all(max(earlier) <= min(later) for earlier, later in pairwise(spans))
    if len(times) >= 3:
        assert (split.counts["validation"] > 0) == (validation > 0) and (split.counts["test"] > 0) == (test > 0)


def fill(dataset, count: int, **fields) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=sha(n), name=f"{n}.png", label=f"class {n % 3}", group=f"g{n // 10}",
             recorded_at=start + timedelta(hours=n), media_type="image/png", bytes=10, **fields)
        for n in range(count)
    )  # fmt: skip
    dataset.item_count, dataset.status = dataset.items.count(), "active"
    dataset.save()


@pytest.mark.parametrize("by", splits.RULES)
def test_the_preview_is_what_is_frozen(images, owner, by):
    fill(images, 400)
    wish = {"validation_fraction": 0.2, "test_fraction": 0.1, "seed": 7, "split_by": by}
    version = freeze(images, owner, **wish)
    header, items = manifest(version)
    assert preview_split(images, **wish) == version.counts == header["counts"]
    assert {name: [item["split"] for item in items].count(name) for name in PARTS} == version.counts
    assert version.split_rule == {"by": by}
    assert header.get("split_rule") == (None if by == "content" else {"by": by})
    assert freeze(images, owner, **wish) == version
    if by == "time":
        newest = sorted(items, key=lambda item: int(item["name"].removesuffix(".png")))
        assert [item["split"] for item in newest] == ["train"] * 280 + ["validation"] * 80 + ["test"] * 40


@pytest.mark.parametrize("by", ["content", "group", "stratified"])
def test_the_database_counts_as_the_plan_does(images, by):
    fill(images, 600)
    for seed in range(5):
        fast = Split(0.2, 0.1, seed, by)
        assert splits.counted(fast, images.items.all())
        slow, _ = plan([Record(*row, None) for row in images.items.values_list("sha256", "label", "group")],
                       by=by, seed=seed)  # fmt: skip
        assert fast.counts == slow.counts
    assert not splits.counted(Split(0.2, 0.0001, 0, by), images.items.all()), "testing would stay empty"


def test_items_without_a_time_are_refused_in_words(images, owner):
    fill(images, 10)
    Item.objects.filter(name="3.png").update(recorded_at=None)
    for call in (lambda **wish: freeze(images, owner, **wish), lambda **wish: preview_split(images, **wish)):
        with pytest.raises(InvalidInputError, match="1 item has no time of recording") as caught:
            call(split_by="time")
        assert "split_by" in caught.value.fields
    Item.objects.filter(name="3.png").update(aside="by_hand")
    assert sum(freeze(images, owner, split_by="time").counts.values()) == 9, "what was set aside needs none"


def test_a_rule_that_is_not_known_is_refused(images):
    with pytest.raises(InvalidInputError) as caught:
        preview_split(images, split_by="moon")
    assert caught.value.fields == {"split_by": ["One of: content, group, stratified, time."]}
