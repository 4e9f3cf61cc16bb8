"""What a file is, is decided by its content."""

from __future__ import annotations

import io
import resource
import struct
import time
import zlib

import pytest
from PIL import Image

from datasets.models import Item
from tests.datasets.conftest import picture


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_pictures_of_the_known_kinds_are_taken_whatever_their_name(images, bring, format):
    ended = bring(images, ("cats/a.exe", picture(size=(12, 9), format=format)))
    assert ended.status == "completed", ended.message
    item = images.items.get()
    assert (item.media_type, item.width, item.height, item.label) == (f"image/{format.lower()}", 12, 9, "cats")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "empty", "0 bytes"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "not_an_image", "web page"),
        (b"<svg onload='alert(1)'/>", "not_an_image", "SVG"),
        (b"GIF89a/*<script>*/", "not_an_image", "not a picture"),
        (b"%PDF-1.4", "not_an_image", "PDF"),
        (b"just a text", "not_an_image", "not a picture"),
        (picture(size=(64, 64))[:-40], "broken_image", "cut off"),
        (picture(size=(64, 64), format="JPEG")[:-200], "broken_image", "cut off"),
    ],
)
def test_what_is_no_picture_is_set_aside_with_the_reason(images, bring, content, code, words):
    ended = bring(images, ("cats/good.png", picture()), ("cats/bad.png", content))
    refusal = ended.refusals.get()
    assert (refusal.name, refusal.code) == ("cats/bad.png", code)
    assert words in refusal.reason
    assert (ended.status, ended.message) == ("completed", "1 item added, 1 set aside.")


def test_a_pixel_bomb_is_refused_from_its_header(images, bring):
    content = png_header(13_000, 13_000)
    assert len(content) < 300_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    ended = bring(images, ("bomb.png", content))
    assert ended.message == "It has more than 40,000,000 pixels."
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024
    assert time.process_time() - started < 1


def test_a_webp_bomb_is_refused_before_its_decoder_makes_room(images, bring):
    content = bytearray(picture(format="WEBP"))
    wide = (16_383).to_bytes(3, "little")
    header = b"RIFF" + struct.pack("<I", 22 + len(content) - 12) + b"WEBPVP8X" + struct.pack("<I", 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ended = bring(images, ("bomb.webp", header + bytes(4) + wide + wide + bytes(content[12:])))
    assert "16,384 x 16,384" in ended.message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_an_animation_counts_as_its_first_frame(images, bring):
    frames = [Image.new("L", (8, 8), shade) for shade in range(200)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert bring(images, ("a.gif", out.getvalue())).accepted == 1


def test_tiff_files_of_several_pages_are_set_aside(images, bring):
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "TIFF", save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    assert bring(images, ("a.tif", out.getvalue())).refusals.get().code == "several_pages"


@pytest.mark.parametrize(
    "content",
    ["Grüße 🙂".encode(), "Grüße 🙂".encode("utf-8-sig"), "Grüße 🙂".encode("utf-16"), "Grüße 🙂".encode("utf-32")],
    ids=["utf-8", "utf-8 with mark", "utf-16", "utf-32"],
)
def test_texts_are_kept_as_utf8(texts, bring, home, content):
    assert bring(texts, ("story.txt", content)).status == "completed"
    item = Item.objects.get()
    assert item.characters == 7
    assert (home / "store" / item.sha256[:2] / item.sha256).read_bytes() == "Grüße 🙂".encode()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("Grüße".encode("latin-1"), "bad_encoding"),
        ("Grüße".encode("utf-16")[:-1], "bad_encoding"),
        (b"\xff\xfe\x00\xd8a\x00", "bad_encoding"),
        (b"a\x00b", "binary"),
        (b"", "empty"),
        (b" \n\t ", "empty"),
        ("é".encode() * 700_000 + b"\xc3", "bad_encoding"),
        (picture(), "not_text"),
    ],
)
def test_what_is_no_text_is_set_aside(texts, bring, content, code):
    ended = bring(texts, ("story.txt", content))
    assert ended.refusals.get().code == code
    assert ended.status == "failed" and ended.hint


def test_characters_that_lie_across_two_reads_stay_whole(texts, bring, home):
    content = ("x" + "é" * 1_200_000).encode()
    bring(texts, ("story.txt", content))
    item = Item.objects.get()
    assert item.characters == 1_200_001
    assert (home / "store" / item.sha256[:2] / item.sha256).read_bytes() == content
