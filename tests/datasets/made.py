"""Recordings, videos, workbooks and HEIC pictures, made here by the same libraries that read them."""

from __future__ import annotations

import io
import math
import struct
import wave
import zipfile
from fractions import Fraction
from xml.sax.saxutils import escape

import av
import numpy as np
from PIL import Image

SOUNDS = {
    "flac": ("flac", "flac"), "mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus"), "ogg": ("ogg", "flac"),
    "m4a": ("ipod", "aac"), "weba": ("webm", "libopus"),
}  # fmt: skip
FILMS = {
    "mp4": ("mp4", "libx264"), "mkv": ("matroska", "libx264"), "webm": ("webm", "libvpx"), "avi": ("avi", "mpeg4"),
    "mov": ("mov", "mpeg4"),
}  # fmt: skip


def tone(number: int = 0, seconds: float = 1.0, rate: int = 16_000) -> np.ndarray:
    """Samples of int16; each number gives another pitch."""
    times = np.arange(round(seconds * rate)) / rate
    return (8000 * np.sin(2 * math.pi * (220 + 30 * number) * times)).astype(np.int16)


def wav(number: int = 0, seconds: float = 1.0, rate: int = 16_000, channels: int = 1) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.repeat(tone(number, seconds, rate), channels).tobytes())
    return out.getvalue()


def sound(kind: str, number: int = 0, seconds: float = 1.0, rate: int = 48_000) -> bytes:
    """A recording in one of the formats of SOUNDS."""
    container, codec = SOUNDS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        _add_sound(file, stream, tone(number, seconds, rate), rate)
    return out.getvalue()


def film(
    kind: str = "mp4", number: int = 0, frames: int = 20, size: tuple[int, int] = (64, 48), with_sound: bool = False
) -> bytes:
    """A video of 10 pictures a second in one of the formats of FILMS."""
    container, codec = FILMS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        track = file.add_stream("aac", rate=48_000, layout="mono") if with_sound else None
        for index in range(frames):
            pixels = np.full((size[1], size[0], 3), (index * 7 + number * 31) % 256, np.uint8)
            pixels[: size[1] // 2, index % size[0]] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if track is not None:
            _add_sound(file, track, tone(number, frames / 10, 48_000), 48_000)
    return out.getvalue()


def heic(size: tuple[int, int] = (40, 30), shade: int = 90) -> bytes:
    import pillow_heif

    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", size, (shade, 20, 200))).save(out)
    return out.getvalue()


def workbook(rows: list[list[object]], sheet: str = "Sheet1") -> bytes:
    """An Excel file of one sheet, with the least that makes one."""
    lines = []
    for number, row in enumerate(rows, 1):
        cells = "".join(_cell(number, column, value) for column, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        f'<sheet name="{sheet}" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData></worksheet>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, '<?xml version="1.0" encoding="UTF-8"?>' + text)
    return out.getvalue()


def lying_wav(promised: int) -> bytes:
    """A WAV file whose header promises more samples than follow."""
    data = wav(seconds=0.5)
    return data[:40] + struct.pack("<I", promised) + data[44:]


def _add_sound(file: av.container.OutputContainer, stream: av.AudioStream, samples: np.ndarray, rate: int) -> None:
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    resampler = av.AudioResampler(stream.format, stream.layout, stream.rate, stream.codec_context.frame_size or None)
    for part in (*resampler.resample(frame), *resampler.resample(None)):
        file.mux(stream.encode(part))
    file.mux(stream.encode())


def _cell(row: int, column: int, value: object) -> str:
    place = f"{chr(65 + column)}{row}"
    if isinstance(value, int | float):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
