"""Items as an archive: what goes out comes back in, with labels, captions, groups and sets; memory does not grow."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime

import pytest
from django.urls import reverse

from common import zips
from datasets.freezing.versions import freeze
from datasets.intake.imports import create_dataset
from datasets.items.edits import edit_items
from datasets.items.exporting import of_items, of_version
from datasets.items.filters import Filters
from tests.datasets.conftest import picture

KEPT = ("sha256", "label", "caption", "group", "subject__name", "metadata", "recorded_at", "content", "media_type")


def known(dataset, *more):
    return sorted(dataset.items.values_list(*KEPT, *more), key=str)


def again(bring, owner, dataset, archive, name="Again"):
    """Another dataset with what the archive holds, and its import."""
    other, _ = create_dataset(owner, name=name, modality=dataset.modality)
    return other, bring(other, ("export.zip", archive))


def test_pictures_come_back_with_all_that_is_known_of_them(images, bring, owner):
    bring(
        images, ("x/metadata.jsonl", json.dumps({"file_name": "a.png", "subject": "Rex", "lens": 50}).encode()),
        ("x/a.png", picture(1)), ("x/b.png", picture(2)), ("c.png", picture(3)), ("y/c.png", picture(4)),
    )  # fmt: skip
    a, b, c, other = images.items.order_by("id")
    edit_items(images, owner, [a.pk], field="caption", value='Ein "Hund"\nund mehr')
    edit_items(images, owner, [b.pk], field="label", value="a/b: ../c")
    edit_items(images, owner, [c.pk], field="label", value="..")
    edit_items(images, owner, [a.pk, b.pk], field="group", value="g")
    images.items.filter(pk=other.pk).update(recorded_at=datetime(2024, 5, 1, 12, tzinfo=UTC), label="")
    archive = b"".join(of_items(images, Filters()))
    with zipfile.ZipFile(io.BytesIO(archive)) as found:
        assert found.testzip() is None
        assert f"x/a-{a.pk}.png" in found.namelist() and f"c-{other.pk}.png" in found.namelist()
        listed = [json.loads(line) for line in found.read("metadata.jsonl").splitlines()]
    assert listed[0] == {
        "file_name": f"x/a-{a.pk}.png", "label": "x", "caption": 'Ein "Hund"\nund mehr', "group": "g", "subject": "Rex",
        "lens": 50,
    }  # fmt: skip
    back, ended = again(bring, owner, images, archive)
    assert (ended.accepted, ended.set_aside) == (4, 0)
    assert known(back) == known(images)


def test_rows_and_documents_come_back(texts, bring, owner):
    rows = [
        {"text": "Once upon a time", "label": "tale", "group": "g", "page": 7},
        {"prompt": "What?", "completion": "That.", "system": "Be brief."},
        {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good morning ☀"}]},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    bring(texts, ("rows.jsonl", lines), ("tales/one.txt", b"A long tale. " * 30), ("note.md", b"# A note\n\nof two"))
    assert texts.items.count() == 5
    back, ended = again(bring, owner, texts, b"".join(of_items(texts, Filters())))
    assert (ended.accepted, ended.set_aside) == (5, 0)
    assert known(back) == known(texts)


def test_what_a_version_holds_falls_to_the_same_sets_again(images, bring, owner):
    bring(images, *((f"{n % 3}/{n}.png", picture(n)) for n in range(40)))
    version = freeze(images, owner, validation_fraction=0.3, test_fraction=0.2, seed=5)
    edit_items(images, owner, images.items.all(), field="label", value="changed since")
    back, ended = again(bring, owner, images, b"".join(of_version(version)))
    assert (ended.accepted, ended.set_aside) == (40, 0)
    same = freeze(back, owner, validation_fraction=0.1, test_fraction=0.1, split_by="given")
    assert same.counts == version.counts and same.classes == version.classes == ["0", "1", "2"]


def test_only_what_fits_the_filters_goes_out(images, bring, owner, client):
    bring(images, *((f"{n % 2}/{n}.png", picture(n)) for n in range(10)))
    client.force_login(owner)
    address = reverse("api-dataset-export", args=[images.pk])
    answer = client.get(f"{address}?label=1")
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as found:
        assert len(found.namelist()) == 6 and sum(name.startswith("1/") for name in found.namelist()) == 5
    assert answer["Content-Type"] == "application/zip" and "attachment" in answer["Content-Disposition"]
    assert client.get(f"{address}?label=1&version=9").status_code == 400, "no filter is passed over"


def test_nobody_gets_what_belongs_to_someone_else(images, bring, owner, client, django_user_model):
    bring(images, ("a.png", picture(1)))
    freeze(images, owner)
    client.force_login(django_user_model.objects.create_user("mallory"))
    for address in (
        reverse("api-dataset-export", args=[images.pk]), reverse("api-version-export", args=[images.pk, 1]),
        f"/datasets/{images.pk}?export=zip", f"/datasets/{images.pk}/versions/1?export=zip",
    ):  # fmt: skip
        assert client.get(address).status_code == 404
    client.force_login(owner)
    for address in (f"/datasets/{images.pk}?export=zip", f"/datasets/{images.pk}/versions/1?export=zip"):
        assert zipfile.ZipFile(io.BytesIO(client.get(address).getvalue())).testzip() is None


@pytest.mark.parametrize("limit", [1, 60, 1000, zips.FULL])
def test_archives_above_four_gibibytes_are_read(tmp_path_factory, monkeypatch, limit):
    monkeypatch.setattr(zips, "FULL", limit)
    monkeypatch.setattr(zips, "MANY", min(limit, zips.MANY))
    _widen(monkeypatch, limit)
    made = zips.Zip(tmp_path_factory.mktemp("spool"))
    files = {f"folder/ü{n}.txt": bytes([n]) * n * 40 for n in range(5)}
    data = b"".join(
        piece for name, body in files.items() for piece in made.add(name, lambda body=body: io.BytesIO(body))
    )
    data += b"".join(made.end())
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == files


def _widen(monkeypatch, limit):
    """Pretend that 32 bits hold no more than `limit`: what stands in their place is the mark of a larger number."""
    if limit == 0xFFFFFFFF:
        return
    pack = {name: getattr(zips, name) for name in ("LOCAL", "CENTRAL", "END")}

    class Marked:
        def __init__(self, form, places):
            self.form, self.places = form, places

        def pack(self, *values):
            marked = [0xFFFFFFFF if at in self.places and value == limit else value for at, value in enumerate(values)]
            return self.form.pack(*marked)

    monkeypatch.setattr(zips, "LOCAL", Marked(pack["LOCAL"], {7, 8}))
    monkeypatch.setattr(zips, "CENTRAL", Marked(pack["CENTRAL"], {8, 9, 16}))
    monkeypatch.setattr(zips, "END", Marked(pack["END"], {5, 6}))


def test_memory_does_not_grow_with_the_archive(tmp_path_factory):
    class Zeros(io.RawIOBase):
        def __init__(self):
            self.left = 8 << 20

        def read(self, size=-1):
            given = min(size, self.left)
            self.left -= given
            return bytes(given)

    made = zips.Zip(tmp_path_factory.mktemp("spool"))
    tracemalloc.start()
    try:
        sent = sum(len(piece) for n in range(20) for piece in made.add(f"{n}", Zeros))
        sent += sum(len(piece) for piece in made.end())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent > 160 << 20 and peak < 4 << 20
