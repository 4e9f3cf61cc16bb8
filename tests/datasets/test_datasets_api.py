"""Datasets on the API: the whole way, shapes, and who gets nothing."""

from __future__ import annotations

import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from rest_framework.test import APIClient

from datasets.freezing.versions import freeze
from datasets.intake.imports import run_import
from datasets.models import Item
from tests.datasets.conftest import picture

BASE = "/api/v1/datasets"


@pytest.fixture
def api(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def filled(images, bring):
    bring(images, *((f"{'cats' if number % 2 else 'dogs'}/{number}.png", picture(number)) for number in range(20)),
          ("bad.png", b"bad"), ("empty.png", b""))  # fmt: skip
    return images


def test_the_whole_way(api):
    made = api.post(BASE, {"name": "pets", "modality": "image"})
    assert made.status_code == 201
    dataset = made.json()
    assert {"id", "name", "modality", "status", "item_count"} <= set(dataset) and dataset["status"] == "empty"
    address = f"{BASE}/{dataset['id']}"

    files = [SimpleUploadedFile(f"{number}.png", picture(number)) for number in range(10)]
    paths = [f"{'cats' if number % 2 else 'dogs'}/{number}.png" for number in range(10)]
    sent = api.post(f"{address}/files", {"files": files, "paths": paths}, format="multipart")
    assert sent.status_code == 202 and sent.json()["status"] == "queued"
    assert api.get(address).json()["status"] == "processing"
    assert api.post(f"{address}/versions", {}).status_code == 409

    run_import(sent.json()["id"])
    ended = api.get(f"{address}/imports/{sent.json()['id']}").json()
    assert (ended["status"], ended["percent"], ended["accepted"]) == ("completed", 100, 10)
    assert api.get(f"{address}/imports").json()["results"][0]["id"] == ended["id"]
    assert api.get(address).json()["labels"] == [{"label": "cats", "count": 5}, {"label": "dogs", "count": 5}]

    split = api.get(f"{address}/split?validation_fraction=0.2&seed=7").json()
    frozen = api.post(f"{address}/versions", {"validation_fraction": 0.2, "test_fraction": 0, "seed": 7})
    assert frozen.status_code == 201
    assert {"id", "number", "content_hash", "counts"} <= set(frozen.json())
    assert frozen.json()["counts"] == split["counts"]
    assert api.get(f"{address}/versions").json()["results"] == [frozen.json()]

    deleted = api.delete(address)
    assert deleted.status_code == 200 and deleted.json()["bytes_freed"] > 0
    assert api.get(address).status_code == 404


def test_the_same_key_makes_one_dataset(api):
    wish = {"name": "pets", "modality": "image"}
    first = api.post(BASE, wish, headers={"Idempotency-Key": "k1"})
    again = api.post(BASE, wish, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert api.post(BASE, wish).status_code == 409


def test_lists_are_filtered_sorted_and_paged(api, owner, filled, texts):
    def found(query):
        return [row["name"] for row in api.get(f"{BASE}?{query}").json()["results"]]

    assert found("ordering=name") == ["pets", "stories"]
    assert found("modality=text") == found("status=empty") == found("search=STOR") == ["stories"]
    assert api.get(f"{BASE}?ordering=owner__password").status_code == 400
    assert api.get(f"{BASE}?page_size=1").json()["next"]
    items = f"{BASE}/{filled.pk}/items"
    assert api.get(f"{items}?label=cats&page_size=3").json()["count"] == 10
    assert len(api.get(f"{items}?page_size=1000000000").json()["results"]) == 20


def test_refusals_come_in_pages(api, filled):
    ended = filled.imports.get()
    shown = api.get(f"{BASE}/{filled.pk}/imports/{ended.pk}?page_size=1").json()["refusals"]
    assert shown["count"] == 2 and shown["next"]
    assert shown["results"][0] | {"id": 0} == {
        "id": 0, "name": "bad.png", "code": "not_an_image",
        "reason": "Its content is text, not a picture.",
    }  # fmt: skip


def test_subjects_are_made_and_used(api):
    subject = api.post("/api/v1/subjects", {"name": "Press 4", "kind": "machine"}).json()
    made = api.post(BASE, {"name": "a", "modality": "text", "subject": subject["id"]}).json()
    assert (made["subject"], made["subject_name"]) == (subject["id"], "Press 4")
    assert api.get("/api/v1/subjects?search=press").json()["count"] == 1
    assert api.post("/api/v1/subjects", {"name": "Press 4"}).status_code == 409
    changed = api.patch(f"{BASE}/{made['id']}", {"name": "b", "subject": None}).json()
    assert (changed["name"], changed["subject"], changed["description"]) == ("b", None, "")


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "name"), ({"name": "", "modality": "text"}, "name"), ({"name": "a", "modality": "smell"}, "modality"),
     ({"name": "a" * 201, "modality": "text"}, "name"), ({"name": "a", "modality": "text", "subject": "x"}, "subject")],
)  # fmt: skip
def test_bad_input_gets_problem_details_with_a_hint(api, body, field):
    answer = api.post(BASE, body)
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"] and answer.json()["hint"]


@pytest.mark.parametrize("query", ["validation_fraction=2", "validation_fraction=nan", "seed=1e9x", "test_fraction=1"])
def test_impossible_splits_are_refused(api, filled, query):
    answer = api.get(f"{BASE}/{filled.pk}/split?{query}")
    assert answer.status_code == 400 and answer.json()["errors"] and answer.json()["hint"]


def test_fields_that_the_hub_owns_are_not_taken_from_a_body(api, stranger):
    body = {"name": "a", "modality": "text"}
    rest = {"status": "active", "owner": stranger.pk, "id": 987_654_321, "item_count": 5}
    assert set(api.post(BASE, body | rest).json()["errors"]) == set(rest)
    made = api.post(BASE, body).json()
    assert (made["status"], made["item_count"], made["owner"]) == ("empty", 0, "alice") and made["id"] != rest["id"]


def addresses(dataset):
    item, ended = dataset.items.first(), dataset.imports.get()
    root = f"{BASE}/{dataset.pk}"
    return [
        ("get", root), ("patch", root), ("delete", root), ("post", f"{root}/files"), ("get", f"{root}/imports"),
        ("get", f"{root}/imports/{ended.pk}"), ("get", f"{root}/items"), ("get", f"{root}/items/{item.pk}/content"),
        ("get", f"{root}/items/{item.pk}/preview"), ("get", f"{root}/versions"), ("post", f"{root}/versions"),
        ("get", f"{root}/split"),
    ]  # fmt: skip


def test_a_stranger_finds_nothing_and_changes_nothing(filled, stranger):
    client = APIClient()
    client.force_authenticate(stranger)
    for method, address in addresses(filled):
        answer = getattr(client, method)(address, format="multipart" if address.endswith("files") else None)
        assert answer.status_code == 404, (method, address)
        assert "pets" not in answer.content.decode()
    assert client.get(BASE).json()["count"] == 0
    filled.refresh_from_db()
    assert filled.item_count == 20


def test_a_stranger_reaches_no_item_through_their_own_dataset(filled, stranger):
    from datasets.intake.imports import create_dataset

    own, _ = create_dataset(stranger, name="own", modality="image")
    client = APIClient()
    client.force_authenticate(stranger)
    item = filled.items.first()
    assert client.get(f"{BASE}/{own.pk}/items/{item.pk}/content").status_code == 404
    assert client.get(f"{BASE}/{own.pk}/imports/{filled.imports.get().pk}").status_code == 404


def test_the_anonymous_are_asked_to_sign_in(filled):
    client = APIClient()
    for method, address in [*addresses(filled), ("get", BASE), ("post", BASE), ("get", "/api/v1/subjects")]:
        assert getattr(client, method)(address).status_code in {401, 403}, (method, address)


def test_administrators_see_all(filled, administrator):
    client = APIClient()
    client.force_authenticate(administrator)
    assert client.get(f"{BASE}/{filled.pk}").status_code == 200


def test_pictures_are_sent_sealed(api, filled):
    item = filled.items.first()
    answer = api.get(f"{BASE}/{filled.pk}/items/{item.pk}/content")
    assert b"".join(answer.streaming_content) == picture(0)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"] == f'inline; filename="item-{item.pk}.png"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"


def test_a_web_page_among_the_texts_is_a_download(api, texts, bring):
    bring(texts, ('x".html', b"<script>alert(1)</script>"))
    item = texts.items.get()
    answer = api.get(f"{BASE}/{texts.pk}/items/{item.pk}/content")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="item-{item.pk}.txt"'
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")


def test_previews_are_small(api, images, texts, bring):
    bring(images, ("big.jpg", picture(size=(2000, 1000), format="JPEG")))
    bring(texts, ("long.txt", "é".encode() * 5000))
    answer = api.get(f"{BASE}/{images.pk}/items/{images.items.get().pk}/preview")
    assert answer.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (256, 128)
    text = api.get(f"{BASE}/{texts.pk}/items/{texts.items.get().pk}/preview")
    assert text.content.decode() == "é" * 2000
    assert "sandbox" in text.headers["Content-Security-Policy"]


def test_a_lost_file_is_told_in_words(api, filled, home):
    item = filled.items.first()
    (home / "store" / item.sha256[:2] / item.sha256).unlink()
    answer = api.get(f"{BASE}/{filled.pk}/items/{item.pk}/content")
    assert answer.status_code == 404 and "store" in answer.json()["detail"]


@pytest.mark.parametrize("address", ["items", "imports", "versions", ""])
def test_lists_need_the_same_queries_for_any_number_of_rows(api, filled, owner, address, django_assert_max_num_queries):
    for seed in range(10):
        freeze(filled, owner, seed=seed)
    with django_assert_max_num_queries(4):
        assert api.get(f"{BASE}/{filled.pk}/{address}".rstrip("/") if address else BASE).status_code == 200


def test_the_admin_shows_every_model_without_a_query_a_row(
    filled, administrator, client, owner, django_assert_max_num_queries
):
    freeze(filled, owner)
    client.force_login(administrator)
    for name in ("dataset", "item", "import", "refusal", "datasetversion", "subject"):
        with django_assert_max_num_queries(12):
            assert client.get(f"/admin/datasets/{name}/").status_code == 200
    assert client.get(f"/admin/datasets/import/{filled.imports.get().pk}/change/").status_code == 200


def test_the_admin_deletes_by_the_verb(filled, administrator, client, home):
    client.force_login(administrator)
    client.post("/admin/datasets/dataset/", {"action": "delete_with_files", "_selected_action": [filled.pk]})
    assert not Item.objects.exists()
    assert not [path for path in (home / "store").rglob("*") if path.is_file()]
