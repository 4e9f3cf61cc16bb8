"""Recordings and videos: kept as they came, once they were decoded to their end."""

from __future__ import annotations

from typing import BinaryIO

from datasets import limits
from datasets.formats.facts import Bench, Checked, Facts, copied, refuse_archives
from datasets.formats.kinds import another_kind, kind_of
from datasets.refused import Refused

_FIGURES = ("seconds", "sample_rate", "channels", "codec", "fps", "frames", "has_audio")
_CODES = {"audio": ("a recording", "not_audio"), "video": ("a video", "not_a_video")}


def check_audio(source: BinaryIO, bench: Bench) -> Checked:
    """WAV, FLAC, MP3, Ogg and M4A with one track of sound."""
    return _check(source, bench, "audio")


def check_video(source: BinaryIO, bench: Bench) -> Checked:
    """MP4, QuickTime, Matroska, WebM, AVI and Ogg with a track of pictures."""
    return _check(source, bench, "video")


def _check(source: BinaryIO, bench: Bench, what: str) -> Checked:
    draft, head = copied(source, bench, limits.MAX_MEDIA_BYTES)
    refuse_archives(draft, head, *_CODES[what])
    kind = kind_of(head)
    if kind is None or kind.family != "media":
        raise _refusal(head, what)
    found = bench.sandbox.ask(what, draft.path, bench.beat, format=kind.format)
    more = {key: found[key] for key in _FIGURES if found.get(key) is not None}
    return Checked(draft, Facts(found["media_type"], found.get("width"), found.get("height"), more=more))


def _refusal(head: bytes, what: str) -> Refused:
    wanted, code = _CODES[what]
    kind = kind_of(head)
    if what == "video" and kind is not None and kind.format == "gif":
        return Refused(code, "Its content is a GIF picture; animated ones count as pictures, not as videos.")
    return another_kind(head, wanted, code)
