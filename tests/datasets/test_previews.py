"""Small pictures of items: made once, kept in a cache that can go, never by the web process where a decoder must."""

import io
import json
import wave

import numpy
import pytest
from django.test import Client
from PIL import Image

from common.files import store
from datasets.formats import glimpses
from datasets.items import previews
from datasets.models import Item
from tests.datasets.conftest import picture


def sound(seconds=1.0, rate=8000) -> bytes:
    """A tone that grows from nothing."""
    at = numpy.arange(int(seconds * rate)) / rate
    samples = (32000 * at / seconds * numpy.sin(2 * numpy.pi * 220 * at)).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def film(tmp) -> bytes:
    """A second of video that begins black and turns bright."""
    import av

    path = tmp / "film.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            grey = numpy.full((48, 64, 3), 0 if number < 5 else 200, dtype="uint8")
            for packet in track.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")):
                out.mux(packet)
        for packet in track.encode():
            out.mux(packet)
    data = path.read_bytes()
    path.unlink()
    return data


def add(dataset, data, media_type, **more):
    stored = store().add(data)
    return Item.objects.create(dataset=dataset, sha256=stored.sha256, bytes=len(data), name="x", media_type=media_type,
                               **more)  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What workers were asked for."""
    found = []
    monkeypatch.setattr(previews, "enqueue", lambda *task: found.append(task))
    return found


@pytest.fixture
def client(owner):
    client = Client()
    client.force_login(owner)
    return client


def address(item):
    return f"/api/v1/datasets/{item.dataset_id}/items/{item.pk}/preview"


def test_a_picture_is_made_at_once_and_kept(client, images, asked, home, monkeypatch):
    item = add(images, picture(1, (900, 600)), "image/png", width=900, height=600)
    first = client.get(address(item))
    assert (first.status_code, first["Content-Type"]) == (200, "image/webp")
    assert max(Image.open(io.BytesIO(first.content)).size) <= 256
    monkeypatch.setattr(previews, "_drawn", lambda *_: pytest.fail("it was there"))
    assert client.get(address(item)).content == first.content
    kept = home / "cache" / "previews" / item.sha256[:2] / f"{item.sha256}.webp"
    assert kept.read_bytes() == first.content and asked == []


def test_a_waveform_is_left_to_a_worker_and_comes(client, images, asked):
    item = add(images, sound(), "audio/wav", facts={"seconds": 1.0})
    waits = client.get(address(item))
    assert (waits.status_code, waits["Cache-Control"]) == (202, "no-store")
    client.get(address(item))
    assert asked == [("datasets.tasks.make_preview", item.pk)]
    previews.make(item.pk)
    images.refresh_from_db()
    assert images.previews_at is not None
    drawn = client.get(address(item))
    assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/svg+xml")
    assert "sandbox" in drawn["Content-Security-Policy"] and drawn["X-Content-Type-Options"] == "nosniff"


def test_the_peaks_are_those_of_the_sound(tmp_path, home):
    path = home / "tone.wav"
    path.write_bytes(sound(2.0))
    peaks = glimpses.waveform(path, 2.0)["peaks"]
    assert len(peaks) == glimpses.PEAKS
    assert all(abs(peak - (place + 1) / glimpses.PEAKS) < 0.05 for place, peak in enumerate(peaks))
    assert json.dumps(peaks)


def test_a_video_shows_its_first_frame_that_is_not_black(client, images, asked, home):
    item = add(images, film(home), "video/mp4", facts={"seconds": 1.0})
    assert client.get(address(item)).status_code == 202
    previews.make_for_import(images.pk)
    answer = client.get(address(item))
    shown = Image.open(io.BytesIO(answer.content)).convert("L")
    assert answer["Content-Type"] == "image/webp" and shown.getpixel((20, 20)) > 150


def test_a_heic_picture_is_left_to_a_worker(client, images, asked):
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (128, 96), "red")).save(out)
    item = add(images, out.getvalue(), "image/heic", width=128, height=96)
    assert client.get(address(item)).status_code == 202
    previews.make(item.pk)
    assert Image.open(io.BytesIO(client.get(address(item)).content)).size == (128, 96)


def test_what_can_not_be_shown_is_tried_once(client, images, asked):
    for data, kind in ((b"broken", "image/png"), (b"broken too", "video/mp4")):
        item = add(images, data, kind)
        previews.make(item.pk)
        answer = client.get(address(item))
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/svg+xml"), kind
    assert asked == []


def test_the_cache_has_a_size_and_the_oldest_go_first(images, home):
    made = [add(images, picture(number, (64, 64)), "image/png", width=64, height=64) for number in range(4)]
    import os

    for number, item in enumerate(made):
        previews.wanted(item)
        path = previews._path(item.sha256, "webp")
        os.utime(path, (1000 + number, 1000 + number))
    size = previews._path(made[0].sha256, "webp").stat().st_size
    assert previews.prune(limit=3 * size + 50) >= 1
    assert [previews.ready(item) for item in made] == [False, True, True, True]
