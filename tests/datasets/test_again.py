"""A table whose guess was wrong is read again with corrections: from the store, in place, and without a second item."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from common.errors import ConflictError
from datasets import collecting
from datasets.creation import create_dataset
from datasets.freezing import versions
from datasets.intake.again import import_again
from datasets.intake.imports import run_import
from datasets.models import Import
from tests.datasets.conftest import picture

ROWS = b"id;size\n" + b"".join(b"00%d;%d,5\n" % (number, number) for number in range(10, 60))


@pytest.fixture
def tables(owner):
    return create_dataset(owner, name="plants", modality="table")[0]


@pytest.fixture
def carry_out(django_capture_on_commit_callbacks):
    def carry_out(made):
        with django_capture_on_commit_callbacks(execute=True):
            return run_import(made.pk)

    return carry_out


def types(dataset):
    return {column["name"]: column["type"] for column in dataset.items.get().facts["columns"]}


def test_a_table_is_read_again_in_place(bring, tables, owner, carry_out, home):
    first = bring(tables, ("plants.csv", ROWS))
    item = tables.items.get()
    frozen = versions.freeze(tables, owner, validation_fraction=0, test_fraction=0)
    wrong = types(tables)
    ended = carry_out(import_again(first, owner, {"types": {"id": "text", "size": "text"}}))
    assert (ended.status, ended.message) == ("completed", "1 file read again."), ended.message
    assert types(tables) == {"id": "text", "size": "text"} != wrong
    now = tables.items.get()
    tables.refresh_from_db()
    assert (now.pk, now.sha256, now.name, tables.item_count) == (item.pk, item.sha256, item.name, 1)
    assert now.facts["parquet"] != item.facts["parquet"]
    collecting.DAY, kept = -60.0, collecting.DAY
    try:
        assert collecting.collect().files == 0, "the version still needs what it had"
    finally:
        collecting.DAY = kept
    assert frozen.content_hash != versions.freeze(tables, owner, validation_fraction=0, test_fraction=0).content_hash


def test_a_correction_can_be_corrected(bring, tables, owner, carry_out, home):
    first = bring(tables, ("plants.csv", ROWS))
    second = carry_out(import_again(first, owner, {"header": False}))
    assert tables.items.get().facts["rows"] == 51
    carry_out(import_again(second, owner, {"header": True}))
    assert tables.items.get().facts["rows"] == 50


def test_it_is_asked_at_the_api_and_on_the_page(bring, tables, owner, stranger, home):
    first = bring(tables, ("plants.csv", ROWS))
    client = Client()
    client.force_login(owner)
    html = client.get(f"/datasets/{tables.pk}").content.decode()
    address = f"/datasets/{tables.pk}/imports/{first.pk}/again"
    assert "Read wrong?" in html and address in html
    api = f"/api/v1{address}"
    body = {"options": {"delimiter": "semicolon", "types": {"id": "text"}}}
    answer = client.post(api, json.dumps(body), content_type="application/json")
    assert answer.status_code == 202 and answer.json()["options"] == {"delimiter": ";", "types": {"id": "text"}}
    Import.objects.exclude(pk=first.pk).delete()
    form = {"option.types": "id=text, size=number", "option.header": "yes", "option.encoding": ""}
    assert client.post(address, form).status_code == 302
    made = Import.objects.exclude(pk=first.pk).get()
    assert made.options == {"types": {"id": "text", "size": "number"}, "header": True}
    refused = client.post(api, json.dumps({"options": {"types": {"id": "colour"}}}), content_type="application/json")
    assert refused.status_code == 400 and "no type" in refused.json()["detail"]
    client.force_login(stranger)
    assert client.post(api, json.dumps(body), content_type="application/json").status_code == 404


def test_only_tables_can_be_read_again(bring, images, owner, home):
    with pytest.raises(ConflictError, match="Only tables"):
        import_again(bring(images, ("cats/1.png", picture(1))), owner, {})
