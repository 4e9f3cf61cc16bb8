"""In which encoding a text is written: marks first, then UTF-8, then what its letters make likely."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from common.files import CHUNK
from datasets.refused import Refused

PIECE = 64 * 1024  # bytes that are decoded at once; how far a file is read is known as finely
SAMPLE = 256 * 1024  # bytes that the guess is made from
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
# What Western texts have beside ASCII; by these few letters alone other single-byte encodings can't be told apart.
_WESTERN = frozenset("äöüßÄÖÜéèêëàâçîïôûùœÉÈÀÇñÑáíóúüÁÍÓÚ¿¡åÅæÆøØãõìò€£§°µ±²³½©®«»–—‘’“”„…•\xa0")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_NAMES = {"utf-8-sig": "utf-8 with a byte order mark", "cp1252": "windows-1252"}


@dataclass(frozen=True)
class Encoding:
    """A codec of Python that decodes the file to its end."""

    codec: str

    @property
    def is_plain(self) -> bool:
        """Whether the bytes are what we keep: UTF-8 without a mark."""
        return self.codec == "utf-8"

    @property
    def name(self) -> str:
        """As people and other programs know it."""
        return _NAMES.get(self.codec, self.codec.replace("_", "-"))


def find(file: BinaryIO, forced: str = "") -> Encoding:
    """The encoding of a whole file, which is read to its end. Refused when it can't be told, or is no text."""
    head = file.read(4)
    codec = forced or next((name for mark, name in _MARKS if head.startswith(mark)), "")
    if codec == "utf-8" and head.startswith(codecs.BOM_UTF8):
        codec = "utf-8-sig"
    fault = _fault(file, codec or "utf-8")
    if fault is None:
        return Encoding(codec or "utf-8")
    if forced:
        raise Refused("bad_encoding", f"It is not {forced}: that fails at byte {fault:,}.")
    if codec:
        raise Refused("bad_encoding", f"It begins as {codec} text, but is damaged at byte {fault:,}.")
    guess = _guess(file, fault)
    if (at := _fault(file, guess)) is not None:
        raise Refused("bad_encoding", f"It looks like {Encoding(guess).name} text, but is not at byte {at:,}.")
    return Encoding(guess)


def decoded(file: BinaryIO, encoding: Encoding) -> Iterator[str]:
    """The text in pieces, from the start of the file."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(encoding.codec)("strict")
    while chunk := file.read(PIECE):
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def _fault(file: BinaryIO, codec: str) -> int | None:
    """Where decoding fails, about; None when it doesn't. NUL characters are a failure, too."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder(codec)("strict")
    position = 0
    while True:
        chunk = file.read(CHUNK)
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeError as error:
            return max(0, position + getattr(error, "start", 0))
        if "\0" in text:
            if codec.startswith("utf-8") and _wide(file):
                return position
            raise Refused("binary", "It holds NUL bytes, so it is not a text.")
        if not chunk:
            return None
        position += len(chunk)


def _guess(file: BinaryIO, fault: int) -> str:
    if wide := _wide(file):
        return wide
    sample = _sample(file, fault)
    if b"\0" in sample:
        raise Refused("binary", "It holds NUL bytes, so it is not a text.")
    if _is_western(sample):
        return "cp1252"
    from charset_normalizer import from_bytes  # 3 MB of tables: only for texts that need it

    matches = list(from_bytes(sample))
    if not matches:
        raise Refused("bad_encoding", "It is not text in any encoding that is known here.")
    best = matches[0]
    equals = [match for match in matches if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    if len(equals) > 1 and not (best.coherence > 0 and any(match.encoding == "cp1252" for match in equals)):
        names = " or ".join(Encoding(match.encoding).name for match in equals[:3])
        raise Refused("bad_encoding", f"It is not UTF-8, and its encoding can't be told: it could be {names}.")
    # Western letters lie at the same places in several encodings; by far the most files are windows-1252.
    alike = {*best.could_be_from_charset, *(match.encoding for match in equals)}
    chosen = "cp1252" if "cp1252" in alike else best.encoding
    if len(_CONTROL.findall(sample.decode(chosen, "replace"))) > len(sample) // 1000:
        raise Refused("binary", "It holds control characters, so it is not a text.")
    return chosen


def _wide(file: BinaryIO) -> str:
    """UTF-16 without a mark, told by where its NUL bytes stand; '' when it is not."""
    file.seek(0)
    sample = file.read(SAMPLE)
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) < 8 or max(even, odd) < 0.3 * (len(sample) // 2) or min(even, odd) > 0.02 * (len(sample) // 2):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _sample(file: BinaryIO, fault: int) -> bytes:
    """The lines around the first byte that is not UTF-8, since the start may be plain ASCII."""
    start = max(0, fault - SAMPLE // 4)
    file.seek(start)
    sample = file.read(SAMPLE)
    return sample[sample.find(b"\n") + 1 :] if start else sample


def _is_western(sample: bytes) -> bool:
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    foreign = [character for character in text if not character.isascii()]
    return len(foreign) <= 0.25 * len(text) and _WESTERN.issuperset(foreign) and not _CONTROL.search(text)
