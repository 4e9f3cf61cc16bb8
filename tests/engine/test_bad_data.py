"""Data that can't be trained on fails at once, with what is wrong and which setting helps."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.images import BadImage, decode, has_colour
from engine.protocol import DataSpec, Event, Exit
from tests.engine.cast import (
    SMALL_IMAGES,
    TEXT,
    FileLine,
    carry_out,
    digit_files,
    image_spec,
    make_data,
    png,
    spec,
    text_spec,
)


def failure(spec) -> str:
    """Code, message and hint of a run that must fail before its first step."""
    code, sink = carry_out(spec)
    assert code is Exit.FAILED and sink.of(Event.STEP) == []
    last = sink.events[-1]
    assert last["code"] == "BAD_DATA", last
    return f"{last['message']} {last['hint']}"


def image_files(**changes: str) -> list[FileLine]:
    return [(n, changes.get("label", y), changes.get("split", s), b) for n, y, s, b in digit_files(40)]


def test_no_dataset(tmp_path: Path) -> None:
    assert "needs a dataset" in failure(spec(tmp_path, "image-classification", SMALL_IMAGES))


def test_no_items(tmp_path: Path) -> None:
    assert "no items" in failure(image_spec(tmp_path, data=make_data(tmp_path, "image", [])))


def test_another_modality(tmp_path: Path) -> None:
    assert "trains on image" in failure(image_spec(tmp_path, data=make_data(tmp_path, "text", digit_files(5))))


def test_a_manifest_that_is_missing_or_damaged(tmp_path: Path) -> None:
    nowhere = DataSpec(manifest=tmp_path / "nowhere", store=tmp_path)
    assert "manifest" in failure(image_spec(tmp_path, data=nowhere))
    data = make_data(tmp_path, "image", digit_files(5))
    data.manifest.write_text(data.manifest.read_text()[:-30])
    assert "manifest" in failure(image_spec(tmp_path, data=data))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": "one"}, "one class: 'one'"),
        ({"split": "train"}, "larger validation_fraction"),
        ({"split": "validation"}, "smaller validation_fraction"),
        ({"label": None}, "has no label"),
    ],
)
def test_images_that_do_not_suffice(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in failure(image_spec(tmp_path, data=make_data(tmp_path, "image", image_files(**changes))))


def test_a_file_that_is_missing_or_was_changed_is_named(tmp_path: Path) -> None:
    files = digit_files(40)
    data = make_data(tmp_path, "image", files)
    stored = sorted(p for p in data.store.rglob("*") if p.is_file())
    stored[0].write_bytes(stored[1].read_bytes())
    assert "damaged since it was imported" in failure(image_spec(tmp_path, data=data))
    stored[0].unlink()
    assert "missing from the store" in failure(image_spec(tmp_path, data=data))


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    files = [*digit_files(40), ("3/broken.png", "3", "train", digit_files(1)[0][3][:60])]
    assert "'3/broken.png' can't be used" in failure(image_spec(tmp_path, data=make_data(tmp_path, "image", files)))


def test_a_text_shorter_than_the_context(tmp_path: Path) -> None:
    data = make_data(tmp_path, "text", [("a.txt", None, "train", b"To be, or not to be")])
    assert "block_size" in failure(text_spec(tmp_path, data=data))


def test_a_validation_text_shorter_than_the_context(tmp_path: Path) -> None:
    files = [("a", None, "train", TEXT[:2000].encode()), ("b", None, "validation", b"short")]
    assert "validation_fraction" in failure(text_spec(tmp_path, data=make_data(tmp_path, "text", files)))


def test_text_in_another_encoding_is_named(tmp_path: Path) -> None:
    data = make_data(tmp_path, "text", [("latin.txt", None, "train", ("ä" * 500).encode("latin-1"))])
    assert "'latin.txt' is not UTF-8" in failure(text_spec(tmp_path, data=data))


@pytest.mark.parametrize("data", [b"", b"no image", b"<svg/>", b"%PDF-1.4", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image_are_refused(data: bytes) -> None:
    with pytest.raises(BadImage):
        decode(data, 8, colour=False)


def test_a_picture_too_large_to_be_decoded_is_refused_from_its_header() -> None:
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    with pytest.raises(BadImage, match="pixels"):
        decode(file.getvalue(), 8, colour=False)


def test_pictures_of_all_kinds_become_the_same_shape() -> None:
    grey = np.full((20, 30), 100)
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"):
        image = Image.fromarray(grey.astype(np.uint8)).convert(mode if mode not in ("I;16",) else "I").convert(mode)
        file = io.BytesIO()
        image.save(file, "TIFF")
        assert decode(file.getvalue(), 16, colour=True).shape == (3, 16, 16), mode
        assert decode(file.getvalue(), 16, colour=False).shape == (1, 16, 16), mode


def test_colour_is_seen_in_the_pixels_not_in_the_format() -> None:
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    assert not has_colour(png(grey))
    red = grey.copy()
    red[:4, :, 0] = 255
    assert has_colour(png(red))


def test_transparent_parts_are_white_and_16_bit_greys_keep_their_range() -> None:
    clear = np.zeros((8, 8, 4))
    assert (decode(png(clear), 8, colour=False) == 255).all()
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), 32896, dtype=np.uint16)).save(file, "PNG")
    assert (decode(file.getvalue(), 8, colour=False) == 128).all()
