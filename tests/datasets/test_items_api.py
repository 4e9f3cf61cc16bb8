"""Items on the API: lists, changes, undoing, parts of files."""

import pytest
from rest_framework.test import APIClient

from common.files import store
from datasets.items import rows
from datasets.models import Edit, Item

WAV = "audio/wav"


@pytest.fixture
def api(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def pets(images):
    Item.objects.bulk_create(
        Item(dataset=images, sha256=f"{n:064}", name=f"{n}.png", label="cats" if n % 2 else "dogs",
             media_type="image/png", bytes=10, facts={"head": [1], "seconds": 2}) for n in range(20)
    )  # fmt: skip
    images.item_count = 20
    images.save()
    return images


def items(dataset):
    return f"/api/v1/datasets/{dataset.pk}/items"


def test_a_list_is_walked_by_its_links(api, pets):
    found, address = [], f"{items(pets)}?label=cats&page_size=3"
    while address:
        answer = api.get(address).json()
        assert (answer["count"], answer["count_is_exact"]) == (10, True)
        found += [row["name"] for row in answer["results"]]
        address = answer["next"]
    assert found == [f"{n}.png" for n in range(1, 20, 2)]
    assert answer["previous"] and answer["results"][0]["facts"] == {"seconds": 2}
    assert len(api.get(f"{items(pets)}?page_size=1000000").json()["results"]) == 20
    for wrong in ("quality_from=101", "review=maybe", "sort=name", "version=3", "split=train", "page_size=0"):
        answer = api.get(f"{items(pets)}?{wrong}")
        assert answer.status_code == 400 and answer.json()["errors"], wrong


def test_one_item_is_read_and_changed(api, pets):
    one = pets.items.first()
    address = f"{items(pets)}/{one.pk}"
    assert api.get(address).json()["facts"] == {"head": [1], "seconds": 2}
    given = {"label": "birds", "caption": "a bird", "metadata": {"licence": "CC0-1.0"}, "aside": "by_hand"}
    changed = api.patch(address, given).json()
    assert {key: changed[key] for key in given} == given
    assert Edit.objects.count() == 4
    assert api.patch(address, given).status_code == 200
    assert Edit.objects.count() == 4
    assert api.patch(address, {"label": "x", "aside": "No Code"}).status_code == 400
    assert api.get(address).json()["label"] == "birds"
    api.patch(address, {"sha256": "0" * 64, "bytes": 7})
    assert api.get(address).json()["bytes"] == 10


def test_many_are_changed_by_ids_or_by_filter_and_undone(api, pets):
    made = api.post(f"{items(pets)}/edit", {"filter": {"label": "cats"}, "field": "aside", "value": "by_hand"}).json()
    assert (made["count"], made["by"], made["undone_at"]) == (10, "alice", None)
    ids = list(pets.items.filter(label="dogs").values_list("pk", flat=True)[:2])
    assert api.post(f"{items(pets)}/edit", {"ids": ids, "field": "label", "value": "wolves"}).json()["count"] == 2
    none = api.post(f"{items(pets)}/edit", {"ids": ids, "field": "label", "value": "wolves"}).json()
    assert (none["id"], none["count"]) == (None, 0)
    listed = api.get(f"/api/v1/datasets/{pets.pk}/edits").json()["results"]
    assert [row["field"] for row in listed] == ["label", "aside"]
    undo = f"/api/v1/datasets/{pets.pk}/edits/{made['id']}/undo"
    assert api.post(undo).json()["restored"] == 10
    assert api.post(undo).json()["restored"] == 0
    assert not pets.items.exclude(aside="").exists()
    for wrong in ({}, {"ids": ids, "filter": {}}, {"ids": []}, {"filter": {"review": "x"}}):
        assert api.post(f"{items(pets)}/edit", {**wrong, "field": "label", "value": "x"}).status_code == 400, wrong


def test_an_undo_that_can_restore_nothing_is_a_conflict_in_words(api, pets):
    one = pets.items.first()
    first = api.post(f"{items(pets)}/edit", {"ids": [one.pk], "field": "label", "value": "a"}).json()
    api.patch(f"{items(pets)}/{one.pk}", {"label": "b"})
    answer = api.post(f"/api/v1/datasets/{pets.pk}/edits/{first['id']}/undo")
    assert answer.status_code == 409 and "changed again since" in answer.json()["detail"]


def test_a_stranger_finds_no_item_and_no_edit(api, pets, stranger):
    one = pets.items.first()
    edit = api.post(f"{items(pets)}/edit", {"ids": [one.pk], "field": "label", "value": "a"}).json()["id"]
    other = APIClient()
    other.force_authenticate(stranger)
    root = f"/api/v1/datasets/{pets.pk}"
    for method, address in [
        ("get", items(pets)),
        ("get", f"{items(pets)}/{one.pk}"),
        ("patch", f"{items(pets)}/{one.pk}"),
        ("post", f"{items(pets)}/edit"),
        ("get", f"{root}/edits"),
        ("post", f"{root}/edits/{edit}/undo"),
        ("get", f"{items(pets)}/{one.pk}/content"),
        ("get", f"{items(pets)}/{one.pk}/preview"),
    ]:
        assert getattr(other, method)(address).status_code == 404, (method, address)


def test_players_can_seek(api, images):
    data = bytes(range(256)) * 8
    stored = store().add(data)
    item = Item.objects.create(dataset=images, sha256=stored.sha256, bytes=len(data), name="a.wav", media_type=WAV)
    address = f"{items(images)}/{item.pk}/content"

    def part(asked, **more):
        answer = api.get(address, headers={"Range": asked, **more})
        return answer.status_code, answer.headers.get("Content-Range"), b"".join(answer)

    whole = api.get(address)
    assert (whole.status_code, whole["Accept-Ranges"], whole["Content-Type"]) == (200, "bytes", WAV)
    assert b"".join(whole) == data and whole["Content-Length"] == "2048"
    assert "sandbox" in whole["Content-Security-Policy"] and whole["X-Content-Type-Options"] == "nosniff"
    assert part("bytes=0-99") == (206, "bytes 0-99/2048", data[:100])
    assert part("bytes=2000-") == (206, "bytes 2000-2047/2048", data[2000:])
    assert part("bytes=-48") == (206, "bytes 2000-2047/2048", data[2000:])
    assert part("bytes=2040-99999") == (206, "bytes 2040-2047/2048", data[2040:])
    for whole_asked in ("bytes=9-3", "bytes=0-1,5-9", "items=0-5", "bytes=-", "bytes=a-b"):
        assert part(whole_asked)[::2] == (200, data), whole_asked
    assert part("bytes=0-9", **{"If-Range": '"other"'})[0] == 200
    assert part("bytes=0-9", **{"If-Range": whole["ETag"]})[0] == 206
    assert api.get(address, headers={"Range": "bytes=2048-"}).status_code == 416
    assert api.get(address, headers={"Range": "bytes=-0"}).status_code == 416


def test_a_row_is_its_content(api, texts):
    content = {"prompt": "Why?", "completion": "Because: é."}
    item = Item.objects.create(
        dataset=texts,
        sha256=rows.address(content),
        content=content,
        name="1",
        bytes=len(rows.canonical(content)),
        media_type="application/vnd.trainhub.row+json",
    )
    answer = api.get(f"{items(texts)}/{item.pk}/content")
    assert answer["Content-Type"] == "application/json" and b"".join(answer) == rows.canonical(content)
    assert api.get(f"{items(texts)}/{item.pk}/preview").content.decode() == "Why?\nBecause: é."
    assert api.get(items(texts)).json()["results"][0]["content"] == content
    other = {"text": "new"}
    assert api.patch(f"{items(texts)}/{item.pk}", {"content": other}).json()["sha256"] == rows.address(other)
    assert api.patch(f"{items(texts)}/{item.pk}", {"content": {"a": 1}}).status_code == 400


def test_administrators_set_items_aside_and_undo_it(pets, administrator, client):
    client.force_login(administrator)
    ids = list(pets.items.values_list("pk", flat=True)[:3])
    client.post("/admin/datasets/item/", {"action": "set_aside", "_selected_action": ids})
    edit = Edit.objects.get()
    assert (edit.count, edit.by, pets.items.exclude(aside="").count()) == (3, administrator, 3)
    said = client.post("/admin/datasets/edit/", {"action": "undo", "_selected_action": [edit.pk]}, follow=True)
    assert "3 items are as before" in said.content.decode()
    assert not pets.items.exclude(aside="").exists()
