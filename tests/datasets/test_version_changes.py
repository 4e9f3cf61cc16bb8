"""What changed between versions, and what is deleted for good."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from datasets import creation
from datasets.freezing import differences, removal
from datasets.freezing.versions import freeze
from datasets.gating import governance
from datasets.gating.switches import set_gates
from datasets.items import edits
from datasets.models import Item
from datasets.reviewing import reviews
from jobs.creation import create_job
from tests.datasets.conftest import picture
from tests.datasets.test_versions import fill


def test_the_difference_of_two_versions(images, owner):
    fill(images, range(40))
    before = freeze(images, owner, validation_fraction=0)
    gone, renamed, told, *_ = images.items.order_by("id")
    edits.edit_items(images, owner, [renamed.pk], field="label", value="zebra")
    edits.edit_items(images, owner, [told.pk], field="caption", value="Stripes.")
    edits.edit_items(images, owner, [gone.pk], field="aside", value="by_hand")
    fill(images, range(40, 43))
    after = freeze(images, owner, validation_fraction=0)
    found = differences.summary(before, after, named=2)
    assert found.counts == {"added": 3, "removed": 1, "changed": 2} and found.total == 6
    assert [row.name for row in found.first["removed"]] == [gone.name] and len(found.first["added"]) == 2
    changes = {row.name: row.changes for row in found.first["changed"]}
    assert changes == {
        renamed.name: [("label", renamed.label, "zebra")], told.name: [("caption", None, "Stripes.")],
    }  # fmt: skip
    assert differences.summary(after, after).total == 0
    back = differences.summary(after, before)
    assert back.counts == {"added": 1, "removed": 3, "changed": 2}


def test_items_that_are_only_in_another_part_are_counted_apart(images, owner):
    fill(images, range(40))
    before = freeze(images, owner, validation_fraction=0.5, seed=1)
    told = images.items.order_by("id").first()
    edits.edit_items(images, owner, [told.pk], field="label", value="zebra")
    after = freeze(images, owner, validation_fraction=0.5, seed=2)
    found = differences.summary(before, after)
    assert found.moved == found.counts["changed"] - 1 > 0
    assert str(found) == f"0 added, 0 removed, 1 changed, {found.moved} moved to another part."


def test_a_version_that_nobody_used_is_deleted_and_frees_the_disk(images, owner, bring, nothing_left):
    bring(images, *((f"cats/{n}.png", picture(n)) for n in range(6)), ("dogs/7.png", picture(7)))
    edits.edit_items(images, owner, [images.items.first().pk], field="aside", value="by_hand")
    version = freeze(images, owner)
    files = [version.content_hash, version.left_out_hash]
    size = sum(store().path(address).stat().st_size for address in files)
    assert removal.uses(version) == {}
    assert removal.delete_version(version, owner) == size
    assert not any(store().exists(address) for address in files)
    nothing_left()
    with pytest.raises(NotFoundError):
        removal.delete_version(version, owner)


def test_a_version_that_a_job_used_stays(images, owner, bring):
    bring(images, ("cats/1.png", picture(1)), ("dogs/2.png", picture(2)), ("dogs/3.png", picture(3)))
    job, _ = create_job(owner, recipe="image-classification", dataset=images)
    with pytest.raises(ConflictError, match="it was used by 1 job") as caught:
        removal.delete_version(job.dataset_version, owner)
    assert caught.value.hint and removal.uses(job.dataset_version) == {"job": 1}


def test_items_are_removed_for_good_unless_a_version_holds_them(images, owner, bring, nothing_left):
    bring(images, *((f"cats/{n}.png", picture(n)) for n in range(3)))
    frozen = freeze(images, owner)
    bring(images, *((f"dogs/{n}.png", picture(n)) for n in range(3, 8)))
    dogs = list(images.items.filter(label="dogs"))
    done = removal.remove_items(images, owner, [item.pk for item in images.items.all()])
    assert (done.items, done.kept, done.bytes_freed) == (5, 3, sum(item.bytes for item in dogs))
    assert images.item_count == images.items.count() == 3
    assert images.byte_count == sum(item.bytes for item in images.items.all())
    removal.delete_version(frozen, owner)
    assert removal.remove_items(images, owner, images.items.values_list("pk", flat=True)).items == 3
    assert (images.item_count, images.status) == (0, "empty")
    nothing_left()


def test_items_of_another_dataset_are_not_removed(images, texts, owner):
    fill(images, range(2))
    assert removal.remove_items(texts, owner, images.items.values_list("pk", flat=True)).items == 0
    assert images.items.count() == 2


def test_as_many_items_as_a_removal_allows_and_no_more(images, owner, monkeypatch):
    fill(images, range(5))
    monkeypatch.setattr(removal, "CHUNK", 2)
    monkeypatch.setattr(removal, "MOST", 4)
    with pytest.raises(InvalidInputError, match="At most 4 items"):
        removal.remove_items(images, owner, images.items.all())
    assert images.items.count() == 5
    assert removal.remove_items(images, owner, images.items.exclude(label="class 0")).items == 3


def test_freezing_takes_little_memory_whatever_the_number_of_items(images, owner):
    fill(images, range(20_000))
    Item.objects.filter(label="class 0").update(aside="by_hand")
    tracemalloc.start()
    version = freeze(images, owner, test_fraction=0.1, split_by="stratified")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(version.counts.values()) == 13_333 and version.left_out == {"set_aside": 6_667}
    assert peak < 16 << 20, "what does not fit into 8 MiB a file is on the disk meanwhile"


def test_by_api_and_on_pages(images, owner, client):
    fill(images, range(6))
    freeze(images, owner, validation_fraction=0)
    first = images.items.order_by("id").first()
    edits.edit_items(images, owner, [first.pk], field="aside", value="by_hand")
    fill(images, range(6, 8))
    client.force_login(owner)
    api = f"/api/v1/datasets/{images.pk}"
    frozen = client.post(
        f"{api}/versions", {"split_by": "stratified", "seed": 4}, content_type="application/json"
    ).json()
    assert (frozen["number"], frozen["split_by"], frozen["left_out"]) == (2, "stratified", {"set_aside": 1})
    assert client.get(f"{api}/versions/2/left-out").json()["results"] == [
        {"id": str(first.pk), "name": first.name, "reason": "set_aside"}
    ]
    found = client.get(f"{api}/versions/2/difference").json()
    assert found["since"] == 1 and (found["counts"]["added"], found["counts"]["removed"]) == (2, 1)
    assert client.get(f"{api}/versions/1/difference").json()["counts"] == {"added": 6, "removed": 0, "changed": 0}
    pages = f"/datasets/{images.pk}/versions"
    assert "1 set aside" in client.get(f"{pages}/2/left-out").content.decode()
    lines = b"".join(client.get(f"{pages}/2/left-out?export=csv").streaming_content).decode().splitlines()
    assert lines == ["id,name,reason", f"{first.pk},{first.name},Set aside"]
    assert "2 added, 1 removed" in client.get(f"{pages}/2/changes?since=1").content.decode()
    assert "Stratified" in client.get(f"{pages}/2").content.decode()
    assert client.get(f"{pages}/9").status_code == 404
    removed = client.post(f"{api}/items/remove", {"ids": [first.pk]}, content_type="application/json").json()
    assert removed["kept"] == 1, "version 1 holds it"
    assert client.delete(f"{api}/versions/2").json()["bytes_freed"] > 0
    answer = client.post(f"{pages}/1/delete", follow=True)
    assert "is deleted" in answer.content.decode() and not images.versions.exists()


def test_a_dataset_with_votes_and_decisions_is_deleted_without_loading_its_items(images, owner):
    fill(images, range(300))
    set_gates(images, owner, approvals=1, governed=True)
    governance.work(images.pk)
    first, *_ = images.items.all()
    reviews.vote(first, owner, "approved")
    edits.edit_items(images, owner, [first.pk], field="label", value="zebra")
    with CaptureQueriesContext(connection) as asked:
        creation.delete_dataset(images, owner)
    said = [query["sql"] for query in asked if query["sql"].startswith('DELETE FROM "datasets_item"')]
    assert len(said) == 1 and not Item.objects.exists(), "one statement for all items"
