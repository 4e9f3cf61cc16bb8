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
from datasets.quality.board import Parts
from jobs import blueprints
from jobs.models import Job
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


WORDS = ("train", "Training", " VALID ", "val", "dev", "validation", "test", "Testing", "")
THEIRS = {"valid": "validation", "val": "validation", "dev": "validation", "validation": "validation",
          "test": "test", "testing": "test"}  # fmt: skip


def given_records(values: list[str], first: int = 0) -> list[Record]:
    return [splits.record(sha(first + n), "", "", None, value or None) for n, value in enumerate(values)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=80), st.integers(0, 2**40), st.floats(0, 0.5))
def test_as_given_each_item_is_where_it_says(values, seed, validation):
    records = given_records(["train", *values])
    split, parts = plan(records, by="given", seed=seed, validation_fraction=validation, test_fraction=0)
    assert counted(parts) == split.counts and split.unsaid == values.count("")
    said = {record.sha256: THEIRS.get(record.said) for record in records}
    for key, part in parts.items():
        if said[key] or "validation" in said.values():
            assert part == (said[key] or "train")
    assert {key for key, part in parts.items() if part == "test"} == {key for key in said if said[key] == "test"}
    assert set(split.given) == set(said.values()) - {None}
    if "validation" not in said.values() and validation:
        assert split.counts["train"] > 0 and (split.counts["validation"] > 0) == (len(said) - split.counts["test"] > 1)


def test_what_is_not_given_is_cut_from_training_as_by_content():
    records = given_records(["train"] * 300 + ["test"] * 50)
    split, parts = plan(records, by="given", validation_fraction=0.2, test_fraction=0.1)
    assert split.given == ("test",) and split.counts["test"] == 50 and 30 < split.counts["validation"] < 90
    _, by_content = plan(records[:300], validation_fraction=0.2, test_fraction=0)
    assert all(parts[key] == part for key, part in by_content.items()), "the test share is not cut twice"
    _, before = plan(records[:200] + records[300:320], by="given", validation_fraction=0.2)
    assert all(parts[key] == part for key, part in before.items()), "adding items moves none"
    neither, _ = plan(records[:300], by="given", validation_fraction=0.2, test_fraction=0.1)
    assert neither.given == () and min(neither.counts.values()) > 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["train", "tset", "tset", "holdout"], "names parts that are not known: 'tset' (2), 'holdout' (1)."),
        (["train", *"abcdefg"], "and others."),
        (["", ""], "No item says in 'split' which part it belongs to."),
        (["test", "val"], "'split' gives no item for training."),
    ],
)
def test_what_can_not_be_split_as_given_is_refused_in_words(values, words):
    with pytest.raises(InvalidInputError) as caught:
        plan(given_records(values), by="given")
    assert words in caught.value.message and caught.value.hint and "split_by" in caught.value.fields


def test_a_key_with_a_value_for_each_item_is_refused_early(monkeypatch):
    monkeypatch.setattr(splits, "MOST_SAID", 20)
    split = Split(0.1, 0.0, 0, "given")
    with pytest.raises(InvalidInputError, match="not known"):
        for record in given_records([f"v{n}" for n in range(100)]):
            split.add(record)


def test_a_version_as_given_keeps_its_key_and_says_who_named_no_part(images, owner, client):
    fill(images, 30)
    for number, item in enumerate(images.items.order_by("id")):
        item.metadata = {"7": ["Train", "TEST", "dev"][number % 3]} if number else {"other": True}
        item.save()
    wish = {"validation_fraction": 0.2, "test_fraction": 0.1, "split_by": "given", "split_key": "7"}
    version = freeze(images, owner, **wish)
    header, items = manifest(version)
    rule = {"by": "given", "key": "7", "given": ["validation", "test"], "unsaid": 1}
    assert version.split_rule == header["split_rule"] == rule
    assert version.counts == header["counts"] == preview_split(images, **wish)
    assert version.counts == {"train": 10, "validation": 10, "test": 10}
    assert {item["split"] for item in items if int(item["name"].removesuffix(".png")) % 3 == 1} == {"test"}
    assert freeze(images, owner, **wish) == version
    client.force_login(owner)
    shown = client.get(f"/datasets/{images.pk}/versions/1").content.decode()
    assert "in &#x27;7&#x27;" in shown or "in '7'" in shown
    assert "1 item without it counts as given for training" in shown
    part = client.get(f"/datasets/{images.pk}/split", wish).content.decode()
    assert "validation and test, as they are" in part and "1 item says nothing there and counts as given" in part
    answer = client.get(f"/api/v1/datasets/{images.pk}/split", wish).json()
    assert (answer["counts"], answer["unsaid"]) == (version.counts, 1)
    kept = client.get(f"/api/v1/datasets/{images.pk}/versions/1").json()
    assert (kept["split_by"], kept["split_key"]) == ("given", "7")
    wrong = client.get(f"/datasets/{images.pk}/split", wish | {"split_key": "split"}).content.decode()
    assert "No item says in" in wrong
    frozen = client.post(f"/datasets/{images.pk}/freeze", {**wish, "seed": "3"}, follow=True).content.decode()
    assert "v2 is frozen" in frozen
    refused = client.get(f"/api/v1/datasets/{images.pk}/split", wish | {"split_key": " "})
    assert refused.status_code == 400


def test_leaks_are_sought_by_the_parts_that_are_given(images, owner):
    fill(images, 12)
    Item.objects.filter(dataset=images).update(metadata={"split": "train"})
    Item.objects.filter(dataset=images, name="0.png").update(metadata={"split": "test"})
    freeze(images, owner, split_by="given")
    late = [
        Item(dataset=images, sha256=sha(50 + n), name=f"new {n}.png", bytes=1, metadata={"split": said})
        for n, said in enumerate(("Test", "val", "train"))
    ]
    Item.objects.bulk_create(late)
    parts = Parts(images)
    assert parts.split.given == ("test",)
    assert [PARTS[parts.of(item)] for item in late[:2]] == ["test", "validation"]
    assert parts.of(images.items.get(name="0.png")) == PARTS.index("test") != parts.of(late[2])


def test_a_job_and_its_copy_split_as_given(images, owner, client):
    fill(images, 30)
    Item.objects.filter(dataset=images).update(metadata={"fold": "train"})
    Item.objects.filter(dataset=images, name__in=["0.png", "1.png"]).update(metadata={"fold": "test"})
    client.force_login(owner)
    wish = {"recipe": "image-classification", "dataset": images.pk, "split_by": "given", "split_key": "fold"}
    made = client.post("/api/v1/training/jobs", wish, content_type="application/json")
    assert made.status_code == 201, made.content
    job = Job.objects.get(pk=made.json()["id"])
    assert job.dataset_version.split_rule["key"] == "fold" and job.dataset_version.counts["test"] == 2
    request = blueprints.of_job(job)
    assert (request["split_by"], request["split_key"]) == ("given", "fold")
    assert blueprints.check(owner, request)["split_key"] == "fold"
    form = client.get(f"/jobs/new?from={job.pk}").content.decode()
    assert 'name="split_key" maxlength="200" value="fold"' in form and 'value="given" selected' in form
    assert "Given in" in form


def fill(dataset, count: int, **fields) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=sha(n), name=f"{n}.png", label=f"class {n % 3}", group=f"g{n // 10}",
             recorded_at=start + timedelta(hours=n), media_type="image/png", bytes=10, **fields)
        for n in range(count)
    )  # fmt: skip
    dataset.item_count, dataset.status = dataset.items.count(), "active"
    dataset.save()


@pytest.mark.parametrize("by", [rule for rule in splits.RULES if rule != "given"])
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
    assert caught.value.fields == {"split_by": ["One of: content, group, stratified, time, given."]}
