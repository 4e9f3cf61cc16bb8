"""The same hostile archives through every door: one clear outcome each, and nothing outside the store is written."""

from __future__ import annotations

import io
import os
import stat
import zipfile

import pytest
from django.db.models.functions import Now

from datasets import claims
from datasets.intake import pieces, worker
from datasets.intake.imports import run_import, start_from
from datasets.models import Import, Refusal
from tests.datasets.conftest import picture, tree
from tests.datasets.servers import S3, File, serving


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return out.getvalue()


def link():
    info = zipfile.ZipInfo("cats/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


HOSTILE = {
    "unsafe_archive": zipped(("cats/1.png", picture(1)), ("../../canary.txt", "x")),
    "a link": zipped(("cats/1.png", picture(1)), (link(), "/etc/passwd")),
    "archive_bomb": zipped(("x.png", bytes(64 << 20))),
    "nested_archive": zipped(("inner.zip", zipped(("1.png", picture(1))))),
    "corrupt_archive": zipped(("cats/1.png", picture(1)))[:-30],
    "not_an_image": b"MZ this is a program, whatever its name says" * 10,
    "broken_image": picture(1, (64, 64))[:-60],
    "empty": b"",
}


def through_pieces(dataset, owner, data, tmp):
    made = pieces.begin(dataset, owner, name="cats/evil.png", size=len(data))
    for start in range(0, len(data), 1 << 16):
        pieces.append(made.pk, start, io.BytesIO(data[start : start + (1 << 16)]))
    return run_import(pieces.finish(dataset, owner, [made.pk]).pk)


def through_the_web(dataset, owner, data, tmp):
    with serving(File(data)) as server:
        return run_import(start_from(dataset, owner, {"kind": "url", "url": f"{server.url}/evil.png"}).pk, here=True)


def through_a_bucket(dataset, owner, data, tmp):
    with serving(S3({"cats/evil.png": data, "../../cats/evil.png": data, "cats/../x.png": data})) as server:
        origin = {"kind": "s3", "endpoint": server.url, "bucket": "pets"}
        return run_import(start_from(dataset, owner, origin).pk, here=True)


def through_a_folder(dataset, owner, data, tmp):
    (tmp / "evil.png").write_bytes(data)
    return run_import(start_from(dataset, owner, {"kind": "folder", "path": str(tmp)}).pk, here=True)


DOORS = [through_pieces, through_the_web, through_a_bucket, through_a_folder]


@pytest.fixture
def elsewhere(settings, tmp_path_factory):
    settings.TRAINHUB_ALLOW_INTERNAL_SOURCES = ["127.0.0.1/32"]
    folder = tmp_path_factory.mktemp("elsewhere")
    settings.TRAINHUB_IMPORT_ROOTS = [str(folder)]
    return folder


@pytest.mark.parametrize("door", DOORS)
def test_hostile_data_has_one_clear_outcome_at_every_door(
    images, owner, home, elsewhere, door, django_capture_on_commit_callbacks
):
    for code, data in HOSTILE.items():
        before = {path: what for path, what in tree(home.parent).items() if not path.startswith(str(home))}
        with django_capture_on_commit_callbacks(execute=True):
            ended = door(images, owner, data, elsewhere)
        assert (ended.status, ended.accepted, images.items.count()) == ("failed", 0, 0), (code, ended.message)
        assert ended.message and ended.hint
        wanted = "unsafe_archive" if code == "a link" else code
        assert list(Refusal.objects.filter(source=ended).values_list("code", flat=True)) == [wanted]
        assert {path: what for path, what in tree(home.parent).items() if not path.startswith(str(home))} == before
        assert not any(path.is_file() for path in (home / "store").rglob("*"))
        assert list((home / "uploads").iterdir()) == []


@pytest.mark.parametrize("door", DOORS)
def test_honest_data_passes_the_same_doors(images, owner, home, elsewhere, door):
    ended = door(images, owner, zipped(("cats/1.png", picture(1)), ("cats/2.png", picture(2))), elsewhere)
    assert (ended.status, ended.accepted) == ("completed", 2), ended.message
    assert set(images.items.values_list("label", flat=True)) == {"cats"}


def test_an_import_of_pieces_that_is_killed_half_way_brings_everything_once(images, owner, home, monkeypatch):
    files = [("1.png", picture(1)), ("more.zip", zipped(*((f"{n}.png", picture(n)) for n in range(2, 7)))),
             ("7.png", picture(7))]  # fmt: skip
    ids = []
    for name, data in files:
        made = pieces.begin(images, owner, name=f"cats/{name}", size=len(data))
        pieces.append(made.pk, 0, io.BytesIO(data))
        ids.append(made.pk)
    waiting = pieces.finish(images, owner, ids)
    monkeypatch.setattr(worker, "BATCH_FILES", 2)
    write, written = worker._Batch.write, []

    def dies(batch):
        write(batch)
        written.append(batch)
        if len(written) == 2:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(worker._Batch, "write", dies)
        with pytest.raises(SystemExit):
            run_import(waiting.pk)
    half = Import.objects.get(pk=waiting.pk)
    assert half.status == "running" and 0 < half.done < 7 and 0 < half.bytes_done < half.bytes_total
    Import.objects.filter(pk=waiting.pk).update(heartbeat_at=Now() - 2 * claims.STALE)
    ended = run_import(waiting.pk)
    assert (ended.done, ended.accepted, ended.bytes_done) == (7, 7, ended.bytes_total)
    assert images.items.count() == 7


def test_one_file_under_two_names_in_a_folder_is_one_item(images, owner, home, elsewhere):
    (elsewhere / "a.png").write_bytes(picture(1))
    os.link(elsewhere / "a.png", elsewhere / "b.png")
    ended = run_import(start_from(images, owner, {"kind": "folder", "path": str(elsewhere)}).pk, here=True)
    assert (ended.accepted, ended.set_aside) == (1, 1)
