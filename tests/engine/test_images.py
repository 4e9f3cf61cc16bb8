"""Pictures of phones are read like any other."""

from __future__ import annotations

import io

import pillow_heif
import pytest
from PIL import Image

from engine.images import BadImage, decode


def test_heic_pictures_are_decoded():
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (40, 30), (200, 20, 20))).save(out)
    pixels = decode(out.getvalue(), 8, colour=True)
    assert pixels.shape == (3, 8, 8) and pixels[0].mean() > 150 > pixels[1].mean()
    with pytest.raises(BadImage):
        decode(out.getvalue()[:-60], 8, colour=True)
