"""Uploads keep the relative paths of files at every door, and use one open file, however many they are."""

from __future__ import annotations

import os

import pytest
from django.test import Client
from rest_framework.test import APIClient

from datasets import limits
from datasets.intake.imports import run_import
from datasets.models import Import
from tests.datasets.conftest import picture

BOUNDARY = "limit-of-a-part"


def body(*parts: tuple[str, bytes], fields: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A multipart body as browsers write it, with the path in the file's name."""
    lines = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    for name, content in parts:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        lines.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n")
    return b"".join(lines) + f"--{BOUNDARY}--\r\n".encode()


@pytest.fixture(params=["token", "session"])
def send(request, owner):
    """Sends a body to the API, as a program does and as a page does."""
    if request.param == "token":
        client = APIClient()
        client.force_authenticate(owner)
    else:
        client = Client()
        client.force_login(owner)

    def send(dataset, data, **headers):
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return client.post(f"/api/v1/datasets/{dataset.pk}/files", data, content_type=kind, **headers)

    return send


def names(dataset, answer) -> list[str]:
    assert answer.status_code == 202, answer.content
    run_import(answer.json()["id"])
    return list(dataset.items.values_list("name", flat=True))


def test_the_path_in_a_files_name_makes_its_label(send, images):
    data = body(("pets/cats/1.png", picture(1)), ("pets\\dogs\\2.png", picture(2)), ("3.png", picture(3)))
    assert names(images, send(images, data)) == ["pets/cats/1.png", "pets/dogs/2.png", "3.png"]
    assert list(images.items.values_list("label", flat=True)) == ["cats", "dogs", ""]


def test_parallel_paths_do_the_same(send, images):
    fields = (("paths", "cats/a.png"), ("paths", "dogs/b.png"))
    assert names(images, send(images, body(("1.png", picture(1)), ("2.png", picture(2)), fields=fields))) == [
        "cats/a.png", "dogs/b.png",
    ]  # fmt: skip


def test_parallel_paths_may_be_one_json_array(send, images):
    data = body(("1.png", picture(1)), fields=(("paths", '["cats/a.png"]'),))
    assert names(images, send(images, data)) == ["cats/a.png"]
    refused = send(images, body(("1.png", picture(2)), fields=(("paths", "[1]"),)))
    assert refused.status_code == 400 and "paths" in refused.json()["errors"]


@pytest.mark.parametrize(
    "name", ["../../canary.txt", "/etc/passwd", "..", "C:\\x.png", "a/../../b.png", "%2e%2e/x", "..;/x", "a" * 900]
)
def test_hostile_names_reach_nothing(send, images, home, name):
    [shown] = names(images, send(images, body((name, picture()))))
    assert ".." not in shown.split("/") and not shown.startswith("/")


def test_many_files_need_one_descriptor(send, images):
    before = len(os.listdir("/proc/self/fd"))
    data = body(*((f"cats/{number}.png", picture(number)) for number in range(1500)))
    assert len(names(images, send(images, data))) == 1500
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_the_upload_becomes_the_imports_pack_without_a_copy(send, images, home):
    answer = send(images, body(("cats/1.png", picture(1))))
    pack = home / "uploads" / str(answer.json()["id"]) / "pack"
    assert pack.read_bytes() == picture(1)
    assert len(list((home / "uploads").iterdir())) == 1
    assert Import.objects.get().sources[0]["bytes"] == len(picture(1))


def test_an_upload_that_is_too_large_is_refused(send, images, home, monkeypatch):
    monkeypatch.setattr(limits, "MAX_UPLOAD_BYTES", 1000)
    answer = send(images, body(("1.png", b"x" * 1001)))
    assert answer.status_code == 413
    assert answer.json()["hint"] == "Send it in several parts."
    assert list((home / "uploads").iterdir()) == []


def test_too_many_files_are_refused_in_words(send, images, home, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FILES = 3
    answer = send(images, body(*((f"{number}.png", b"x") for number in range(4))))
    assert answer.status_code == 413 and "archive" in answer.json()["hint"]
    assert list((home / "uploads").iterdir()) == []


def test_headers_of_any_length_are_refused(send, images):
    assert send(images, body(("a" * 3000, picture()))).status_code == 400


def test_a_request_without_files_is_told_so(send, images):
    answer = send(images, body(fields=(("file", "x"),)))
    assert answer.status_code == 400 and "files" in answer.json()["errors"]


def test_a_cut_body_leaves_nothing(send, images, home):
    answer = send(images, body(("1.png", picture(1)))[:-60])
    assert answer.status_code in {202, 400}
    Import.objects.all().delete()
    from datasets.intake.imports import sweep_imports

    sweep_imports()
    assert list((home / "uploads").iterdir()) == []


def test_nothing_of_strangers_is_kept(images, home, stranger):
    data = body(("1.png", picture(1)))
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    address = f"/api/v1/datasets/{images.pk}/files"
    assert Client().post(address, data, content_type=kind).status_code in {401, 403}
    someone = APIClient()
    someone.force_authenticate(stranger)
    assert someone.post(address, data, content_type=kind).status_code == 404
    assert list((home / "uploads").iterdir()) == []
