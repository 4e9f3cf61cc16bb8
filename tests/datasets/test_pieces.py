"""Large files come in piece by piece, and go on after whatever cut them off."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import os
import threading
import zipfile

import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from common.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError
from datasets import limits
from datasets.intake import pieces, spool
from datasets.intake.imports import create_dataset, run_import, sweep_imports
from datasets.models import Import, Upload
from tests.datasets.conftest import picture, tree

PIECE = "application/offset+octet-stream"


@pytest.fixture
def api(owner):
    client = APIClient()
    client.force_authenticate(owner)
    return client


@pytest.fixture
def uploads(images):
    return f"/api/v1/datasets/{images.pk}/uploads"


def begin(api, uploads, name, size):
    answer = api.post(uploads, {"name": name, "bytes": size}, format="json")
    assert answer.status_code == 201, answer.content
    return f"{uploads}/{answer.json()['id']}"


def add(api, address, offset, data, **headers):
    return api.generic("PATCH", address, data, content_type=PIECE, headers={"Upload-Offset": str(offset), **headers})


def send(api, uploads, name, data, piece=100):
    address = begin(api, uploads, name, len(data))
    for start in range(0, len(data), piece):
        assert add(api, address, start, data[start : start + piece]).status_code == 204
    return address.rpartition("/")[2]


def finish(api, uploads, *ids, **more):
    return api.post(f"{uploads}/finish", {"ids": ids, **more}, format="json")


@pytest.fixture
def carry_out(django_capture_on_commit_callbacks):
    """Run an import as a worker does; what waits for the commit runs, too."""

    def carry_out(import_id):
        with django_capture_on_commit_callbacks(execute=True):
            return run_import(import_id)

    return carry_out


def archive(count):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for number in range(count):
            file.writestr(f"cats/{number}.png", picture(number))
    return out.getvalue()


def test_pieces_become_one_import_without_a_copy(api, uploads, images, home, carry_out, nothing_left):
    packed, loose = archive(5), picture(9)
    ids = [send(api, uploads, "pets.zip", packed), send(api, uploads, "dogs/9.png", loose)]
    inode = pieces.path_of(Upload.objects.get(pk=ids[0]).pk).stat().st_ino
    answer = finish(api, uploads, *ids)
    assert answer.status_code == 202
    made = Import.objects.get(pk=answer.json()["id"])
    assert (home / made.sources[0]["path"]).stat().st_ino == inode
    assert made.bytes_total == len(packed) + len(loose)
    ended = carry_out(made.pk)
    assert (ended.accepted, ended.set_aside, ended.bytes_done) == (6, 0, made.bytes_total)
    assert list(images.items.values_list("name", "label"))[-1] == ("dogs/9.png", "dogs")
    nothing_left()


def test_the_hub_says_how_much_it_has(api, uploads):
    address = begin(api, uploads, "a.zip", 10)
    add(api, address, 0, b"12345")
    head = api.head(address)
    assert (head.status_code, head.headers["Upload-Offset"], head.headers["Upload-Length"]) == (200, "5", "10")
    assert head.content == b""
    [listed] = api.get(uploads).json()["results"]
    assert (listed["name"], listed["received"], listed["bytes"]) == ("a.zip", 5, 10)


def test_a_piece_that_does_not_fit_its_place_changes_nothing(api, uploads):
    address = begin(api, uploads, "a.zip", 10)
    add(api, address, 0, b"12345")
    for offset in (0, 3, 7):
        answer = add(api, address, offset, b"xx")
        assert answer.status_code == 409 and answer.json()["offset"] == 5
    assert add(api, address, 5, b"too long").status_code == 400
    assert add(api, address, "-1", b"x").status_code == 400
    assert api.generic("PATCH", address, b"x", content_type=PIECE).status_code == 400
    assert api.generic("PATCH", address, b"x", content_type="text/plain").status_code == 415
    assert add(api, address, 5, b"67890").status_code == 204
    assert pieces.path_of(Upload.objects.get().pk).read_bytes() == b"1234567890"


def test_a_checksum_is_believed(api, uploads):
    address = begin(api, uploads, "a.zip", 4)
    right = "sha256 " + base64.b64encode(hashlib.sha256(b"data").digest()).decode()
    assert add(api, address, 0, b"dada", **{"Upload-Checksum": right}).status_code == 400
    assert add(api, address, 0, b"data", **{"Upload-Checksum": "md5 xx"}).status_code == 400
    assert Upload.objects.get().received == 0
    assert add(api, address, 0, b"data", **{"Upload-Checksum": right}).status_code == 204


def test_half_an_upload_is_not_imported(api, uploads):
    whole = send(api, uploads, "1.png", picture(1))
    half = begin(api, uploads, "2.png", 100).rpartition("/")[2]
    answer = finish(api, uploads, whole, half)
    assert answer.status_code == 409 and answer.json()["upload"] == half
    assert not Import.objects.exists()
    assert finish(api, uploads).status_code == 400


def test_finishing_twice_is_one_import(api, uploads):
    one, two = send(api, uploads, "1.png", picture(1)), send(api, uploads, "2.png", picture(2))
    first = finish(api, uploads, one, two).json()["id"]
    assert finish(api, uploads, one, two).json()["id"] == first
    third = send(api, uploads, "3.png", picture(3))
    assert finish(api, uploads, one, third).status_code == 409
    assert add(api, f"{uploads}/{one}", len(picture(1)), b"").status_code == 409
    assert Import.objects.count() == 1


def test_the_same_file_sent_twice_is_one_item(api, uploads, carry_out, nothing_left):
    ids = [send(api, uploads, "cats/1.png", picture(1)) for _ in range(2)]
    ended = carry_out(finish(api, uploads, *ids).json()["id"])
    assert (ended.accepted, ended.set_aside) == (1, 1)
    assert ended.refusals.get().code == "duplicate"
    nothing_left()


def test_options_travel_with_the_files(api, uploads):
    one = send(api, uploads, "1.csv", b"a;b")
    wrong = finish(api, uploads, one, options={"delimiter": "too long", "colour": 1})
    assert wrong.status_code == 400 and set(wrong.json()["errors"]) == {"options.delimiter", "options.colour"}
    assert finish(api, uploads, one, options={"delimiter": "semicolon", "header": "no"}).status_code == 202
    assert Import.objects.get().options == {"delimiter": ";", "header": False}


def test_a_discarded_upload_leaves_nothing(api, uploads, home):
    address = begin(api, uploads, "a.zip", 10)
    add(api, address, 0, b"12345")
    assert api.delete(address).status_code == 204
    assert api.head(address).status_code == 404
    assert list((home / "uploads").iterdir()) == []


@pytest.mark.parametrize("name", ["../../canary.txt", "/etc/passwd", "..\\x", "a\x7f" * 50, "x" * 3000])
def test_hostile_names_reach_nothing(api, uploads, images, home, name):
    before = tree(home.parent)
    ended = run_import(finish(api, uploads, send(api, uploads, name, picture(1))).json()["id"])
    assert ended.accepted == 1
    assert ".." not in images.items.get().name.split("/")
    outside = {path: kind for path, kind in tree(home.parent).items() if not path.startswith(str(home))}
    assert outside == {path: kind for path, kind in before.items() if not path.startswith(str(home))}


def test_a_link_in_the_place_of_a_file_is_not_followed(api, uploads, home):
    address = begin(api, uploads, "a.zip", 10)
    path = pieces.path_of(Upload.objects.get().pk)
    path.unlink()
    path.symlink_to(home.parent / "canary.txt")
    with pytest.raises(OSError):
        add(api, address, 0, b"12345")
    path.unlink()
    assert add(api, address, 0, b"12345").status_code == 404


def test_limits_are_told_in_words(owner, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_UPLOADED_FILE_BYTES", 100)
    with pytest.raises(TooLargeError, match="larger than 100 B"):
        pieces.begin(images, owner, name="a", size=101)
    monkeypatch.setattr(limits, "MAX_OPEN_UPLOADS", 1)
    pieces.begin(images, owner, name="a", size=1)
    with pytest.raises(TooLargeError, match="1 unfinished upload"):
        pieces.begin(images, owner, name="a", size=1)


def test_a_disk_without_room_is_told_before_anything_is_sent(owner, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_UPLOADED_FILE_BYTES", 1 << 62)
    monkeypatch.setattr(limits, "MAX_OPEN_UPLOAD_BYTES", 1 << 62)
    with pytest.raises(UnavailableError, match="free"):
        pieces.begin(images, owner, name="a", size=1 << 60)
    assert not Upload.objects.exists()


def test_a_disk_that_fills_up_costs_the_piece_alone(api, uploads, monkeypatch):
    address = begin(api, uploads, "a.zip", 10)
    add(api, address, 0, b"12345")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        answer = add(api, address, 5, b"67890")
    assert answer.status_code == 503 and "disk" in answer.json()["detail"]
    assert api.head(address).headers["Upload-Offset"] == "5"
    assert add(api, address, 5, b"67890").status_code == 204


def test_what_nobody_finishes_is_swept(api, uploads, home, monkeypatch):
    send(api, uploads, "old.zip", b"12345")
    orphan = pieces.path_of(Upload.objects.get().pk).with_name("piece-" + "0" * 32)
    orphan.write_bytes(b"of a dataset that was deleted")
    assert pieces.sweep_uploads() == 0
    os.utime(orphan, (0, 0))
    os.utime(pieces.path_of(Upload.objects.get().pk), (0, 0))
    assert pieces.sweep_uploads() == 1 and not orphan.exists()
    monkeypatch.setattr(limits, "MAX_UPLOAD_SECONDS", 0)
    assert pieces.sweep_uploads() == 1
    assert list((home / "uploads").iterdir()) == []
    assert not Upload.objects.exists()


def test_a_server_killed_while_finishing_loses_nothing(api, uploads, images, home, monkeypatch):
    one = send(api, uploads, "cats/1.png", picture(1))
    with monkeypatch.context() as patch:
        patch.setattr(spool, "sync_folder", lambda folder: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            finish(api, uploads, one)
    assert not Import.objects.exists()
    sweep_imports()
    assert [path.name for path in (home / "uploads").iterdir()] == [f"piece-{one.replace('-', '')}"]
    assert run_import(finish(api, uploads, one).json()["id"]).accepted == 1


@pytest.mark.django_db(transaction=True)
def test_two_senders_at_once_do_not_mix(owner, home):
    dataset = create_dataset(owner, name="pets", modality="image")[0]
    made = pieces.begin(dataset, owner, name="a", size=8)
    outcomes = []

    def other():
        try:
            pieces.append(made.pk, 0, io.BytesIO(b"other"))
        except ConflictError as error:
            outcomes.append(error.message)
        finally:
            connection.close()

    class Slow(io.BytesIO):
        """While the first sender's piece is being read, the second one comes."""

        def read(self, size=-1, /):
            if not outcomes:
                thread = threading.Thread(target=other)
                thread.start()
                thread.join()
            return super().read(size)

    pieces.append(made.pk, 0, Slow(b"first"))
    assert outcomes == ["Another request sends this file right now."]
    assert pieces.path_of(made.pk).read_bytes() == b"first"
    with transaction.atomic():
        assert Upload.objects.get().received == 5


def test_nobody_reaches_the_upload_of_someone_else(api, uploads, stranger, images):
    address = begin(api, uploads, "a.zip", 10)
    someone = APIClient()
    someone.force_authenticate(stranger)
    assert add(someone, address, 0, b"x").status_code == 404
    assert finish(someone, uploads, address.rpartition("/")[2]).status_code == 404
    with pytest.raises(NotFoundError):
        pieces.finish(images, stranger, [Upload.objects.get().pk])
