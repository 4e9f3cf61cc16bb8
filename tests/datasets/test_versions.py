"""Freezing: the same data and the same wish give the same version; adding items moves none."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import ConflictError, InvalidInputError
from common.files import store
from datasets.creation import named_files
from datasets.freezing.manifests import left_out
from datasets.freezing.versions import freeze, preview_split
from datasets.intake.imports import create_dataset, receive
from datasets.models import DatasetVersion, Item
from tests.datasets.conftest import File, picture


def fill(dataset, numbers) -> None:
    """Rows without files: the split looks at hashes alone."""
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=hashlib.sha256(str(number).encode()).hexdigest(), name=f"{number}.png",
             label=f"class {number % 3}", media_type="image/png", bytes=10)
        for number in numbers
    )  # fmt: skip
    dataset.item_count = dataset.items.count()
    dataset.status = "active" if dataset.item_count else "empty"
    dataset.save()


def manifest(version):
    with store().open(version.content_hash) as file:
        header, *items = [json.loads(line) for line in file]
    return header, items


def test_the_manifest_says_what_the_engine_needs(images, owner):
    fill(images, range(100))
    version = freeze(images, owner, validation_fraction=0.2, test_fraction=0.1, seed=3)
    assert store().verify(version.content_hash)
    header, items = manifest(version)
    assert (header["modality"], header["classes"]) == ("image", ["class 0", "class 1", "class 2"])
    assert header["counts"] == version.counts
    splits = [item["split"] for item in items]
    assert {name: splits.count(name) for name in ("train", "validation", "test")} == version.counts
    assert all(version.counts.values()) and sum(version.counts.values()) == 100
    row = images.items.get(sha256=items[0]["sha256"])
    assert items[0] == {
        "id": str(row.pk), "sha256": row.sha256, "name": row.name, "label": row.label,
        "split": splits[0], "bytes": 10,
    }  # fmt: skip
    assert version.byte_count == 1000 and version.number == 1


def test_the_engine_reads_it(images, owner, bring, home):
    from engine.data import open_dataset
    from engine.protocol import DataSpec

    bring(images, *((f"cats/{number}.png", picture(number)) for number in range(5)), ("top.png", picture(9)))
    version = freeze(images, owner)
    data = open_dataset(DataSpec(manifest=store().path(version.content_hash), store=home / "store"), "image")
    assert len(data.items) == 6 and {item.label for item in data.items} == {"cats", None}
    assert all(data.read(item) for item in data.items)


def test_freezing_again_gives_the_same_version(images, owner):
    fill(images, range(50))
    first = freeze(images, owner, seed=1)
    assert freeze(images, owner, seed=1) == first
    assert freeze(images, owner, seed=2).number == 2
    assert freeze(images, owner, seed=1, validation_fraction=0.2).number == 3
    fill(images, range(50, 51))
    assert freeze(images, owner, seed=1).number == 4
    assert freeze(images, owner, seed=1, validation_fraction=0, test_fraction=0) != freeze(
        images, owner, seed=2, validation_fraction=0, test_fraction=0
    ), "another seed is another version, even where the split is the same"


@pytest.mark.django_db(transaction=True)
def test_freezing_from_many_threads_makes_one_version(images, owner):
    fill(images, range(500))
    found = []

    def run():
        found.append(freeze(images, owner, seed=5).pk)
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and set(found) == {DatasetVersion.objects.get().pk}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.integers(30, 200), added=st.integers(1, 100), seed=st.integers(-(2**62), 2**62),
    validation=st.floats(0.1, 0.4), test=st.floats(0.1, 0.4),
)  # fmt: skip
def test_adding_items_moves_none(images, owner, before, added, seed, validation, test):
    wish = {"validation_fraction": validation, "test_fraction": test, "seed": seed}
    Item.objects.all().delete()
    fill(images, range(before))
    _, first = manifest(freeze(images, owner, **wish))
    fill(images, range(before, before + added))
    header, second = manifest(freeze(images, owner, **wish))
    later = {item["sha256"]: item["split"] for item in second}
    moved = [item for item in first if later[item["sha256"]] != item["split"]]
    assert len(later) == before + added
    assert len(moved) <= 2, "only items that filled an empty set may go back"
    assert preview_split(images, **wish) == header["counts"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 8), st.integers(0, 10**6), st.floats(0, 0.5), st.floats(0, 0.49))
def test_no_set_that_was_asked_for_is_empty_when_there_are_enough_items(images, count, seed, validation, test):
    Item.objects.all().delete()
    fill(images, range(seed, seed + count))
    counts = preview_split(images, validation_fraction=validation, test_fraction=test, seed=seed)
    assert sum(counts.values()) == count and min(counts.values()) >= 0
    assert counts["train"] >= 1
    if count >= 2 and validation > 0:
        assert counts["validation"] >= 1
    if count >= 3 and test > 0:
        assert counts["test"] >= 1
    assert validation > 0 or counts["validation"] == 0
    assert test > 0 or counts["test"] == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_single_text_is_trained_on(texts, owner, bring, seed):
    bring(texts, ("book.txt", b"Once upon a time"))
    assert freeze(texts, owner, validation_fraction=0.5, seed=seed).counts == {
        "train": 1, "validation": 0, "test": 0,
    }  # fmt: skip


def test_the_shares_are_what_was_asked_for(images):
    fill(images, range(5000))
    counts = preview_split(images, validation_fraction=0.2, test_fraction=0.1, seed=0)
    assert abs(counts["validation"] - 1000) < 120 and abs(counts["test"] - 500) < 90


@pytest.mark.parametrize(
    ("validation", "test", "field"),
    [(-0.1, 0, "validation_fraction"), (1, 0, "validation_fraction"), (0, 1.5, "test_fraction"),
     (0.5, 0.5, "validation_fraction"), (float("nan"), 0, "validation_fraction")],
)  # fmt: skip
def test_impossible_fractions_are_refused_with_their_field(images, owner, validation, test, field):
    fill(images, range(3))
    for call in (lambda **wish: freeze(images, owner, **wish), lambda **wish: preview_split(images, **wish)):
        with pytest.raises(InvalidInputError) as caught:
            call(validation_fraction=validation, test_fraction=test)
        assert field in caught.value.fields and caught.value.hint


def test_only_an_active_dataset_can_be_frozen(images, owner):
    with pytest.raises(ConflictError, match="no items"):
        freeze(images, owner)
    receive(images, owner, [File("a.png", picture())])
    with pytest.raises(ConflictError, match="still importing"):
        freeze(images, owner)
    assert not DatasetVersion.objects.exists()
    other, _ = create_dataset(owner, name="x", modality="image")
    assert preview_split(other) == {"train": 0, "validation": 0, "test": 0}


def test_only_what_passed_the_gates_goes_in_and_the_rest_is_listed(images, owner):
    fill(images, range(10))
    first, second, third, *rest = images.items.order_by("id")
    images.items.exclude(pk=third.pk).update(review="approved")
    Item.objects.filter(pk=first.pk).update(aside="duplicate")
    Item.objects.filter(pk=second.pk).update(review="rejected")
    images.approvals = 1
    images.save()
    version = freeze(images, owner)
    _, items = manifest(version)
    assert {item["id"] for item in items} == {str(item.pk) for item in rest}
    assert sum(version.counts.values()) == 7 and version.byte_count == 70
    assert version.left_out == {"set_aside": 1, "rejected": 1, "not_approved": 1}
    assert {row["id"]: row["reason"] for row in left_out(version.left_out_hash)} == {
        str(first.pk): "set_aside", str(second.pk): "rejected", str(third.pk): "not_approved",
    }  # fmt: skip
    assert named_files([version.left_out_hash, "0" * 64]) == {version.left_out_hash}
    assert preview_split(images) == version.counts
    images.items.update(aside="by_hand")
    with pytest.raises(ConflictError, match="passed its gates: 10 set aside") as caught:
        freeze(images, owner)
    assert caught.value.hint


def test_a_version_knows_the_one_before_it(images, owner):
    fill(images, range(5))
    first = freeze(images, owner)
    fill(images, range(5, 9))
    second = freeze(images, owner)
    assert (first.parent, second.parent) == (None, first)
    assert (first.left_out, first.left_out_hash) == ({}, "")


def test_lines_say_more_only_where_there_is_more(texts, owner):
    fill(texts, range(3))
    second = texts.items.order_by("sha256")[1]
    Item.objects.filter(pk=second.pk).update(
        content={"prompt": "Ünd?", "completion": "Ja."}, caption="A \"split\":\"\" in it", group="7", origin={"row": 4},
        facts={"seconds": 1.5, "language": "de", "aside_rows": [[1, 3]]}, width=4, height=3,
    )  # fmt: skip
    _, (plain, more, _) = manifest(freeze(texts, owner))
    assert set(plain) == {"id", "sha256", "name", "label", "split", "bytes"}
    assert more["content"] == {"prompt": "Ünd?", "completion": "Ja."} and more["group"] == "7"
    assert more["facts"] == {"seconds": 1.5, "width": 4, "height": 3} and more["aside_rows"] == [[1, 3]]
    assert more["caption"] == 'A "split":"" in it' and more["origin"] == {"row": 4}
