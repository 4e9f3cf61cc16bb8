"""What a preview shows of a recording, a video or a HEIC picture; made inside the sandbox."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

from datasets import limits
from datasets.formats.images import thumbnail
from datasets.refused import Refused

PEAKS = 240  # of a waveform
LOOKED_SECONDS = 20.0  # into a video, for a frame that is not black
DARK = 16  # mean brightness of 255 below which a frame counts as black


def picture(path: Path) -> dict[str, Any]:
    """A small picture of a picture: {"webp": base64}."""
    with open(path, "rb") as file:
        return {"webp": base64.b64encode(thumbnail(file)).decode()}


def poster(path: Path) -> dict[str, Any]:
    """The first frame of a video that is not black, small: {"webp": base64}."""
    import av

    av.logging.set_level(av.logging.PANIC)
    with open(path, "rb") as file, av.open(file, options={"enable_drefs": "0"}) as container:
        track = next(iter(container.streams.video), None)
        if track is None:
            raise Refused("no_track", "It has no pictures.")
        shown = None
        for frame in container.decode(track):
            bright = frame.to_ndarray(format="gray8").mean() >= DARK
            if shown is None or bright:
                shown = frame
            if bright or (frame.time or 0.0) > LOOKED_SECONDS:
                break
        if shown is None:
            raise Refused("empty", "It has no frame that can be shown.")
        image = shown.to_image()
    image.thumbnail((limits.PREVIEW_PIXELS, limits.PREVIEW_PIXELS))
    out = BytesIO()
    image.save(out, "WEBP", quality=80, method=2)
    return {"webp": base64.b64encode(out.getvalue()).decode()}


def waveform(path: Path, seconds: float) -> dict[str, Any]:
    """The loudest sample of each stretch of a recording, 0–1: {"peaks": [...]}; `seconds` is its length."""
    import av
    import numpy

    av.logging.set_level(av.logging.PANIC)
    peaks = numpy.zeros(PEAKS)
    with open(path, "rb") as file, av.open(file, options={"enable_drefs": "0"}) as container:
        track = next(iter(container.streams.audio), None)
        if track is None:
            raise Refused("no_track", "It has no sound.")
        rate = track.codec_context.sample_rate
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        per_peak = max(1.0, seconds * rate / PEAKS)
        at = 0
        for frame in container.decode(track):
            for plain in resampler.resample(frame):
                samples = numpy.abs(plain.to_ndarray()[0])
                places = numpy.minimum((numpy.arange(at, at + len(samples)) / per_peak).astype(int), PEAKS - 1)
                numpy.maximum.at(peaks, places, samples)
                at += len(samples)
    return {"peaks": [round(float(min(peak, 1.0)), 3) for peak in peaks]}
