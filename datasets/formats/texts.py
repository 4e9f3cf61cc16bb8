"""Texts: documents, one item a file, and files of rows, one item a row; told apart by their content."""

from __future__ import annotations

import re
from typing import BinaryIO

from common.files import Draft
from datasets import limits
from datasets.formats import encodings
from datasets.formats.encodings import Encoding
from datasets.formats.facts import TEXT, Bench, Checked, Facts, Watched, copied, refuse_archives, too_large
from datasets.formats.kinds import kind_of
from datasets.formats.records import Records, records_of
from datasets.refused import Refused

SAMPLE_CHARACTERS = 256 * 1024


def check_text(source: BinaryIO, bench: Bench) -> Checked | Records:
    """A document as UTF-8 without byte order mark, or the rows of a file that holds rows.

    Refused when it is no text, or its encoding can't be told.
    """
    draft, head = copied(source, bench, max(limits.MAX_TEXT_BYTES, limits.MAX_ROWS_BYTES))
    refuse_archives(draft, head, "a text", "not_text")
    kind = kind_of(head)
    if kind is not None and kind.family not in {"page", "media?"} and not _is_ascii(head):
        raise Refused("not_text", f"Its content is {kind.phrase}, not a text.")
    with draft.reader() as file:
        watched = Watched(file, bench.beat)
        encoding = encodings.find(watched, bench.options.get("encoding", ""))  # type: ignore[arg-type]
        if rows := records_of(draft, encoding, _sample(file, encoding), bench.options):
            return rows
    if draft.bytes > limits.MAX_TEXT_BYTES:
        raise too_large(limits.MAX_TEXT_BYTES)
    kept, characters, words = _as_utf8(draft, encoding, bench)
    more = {"words": words} | ({} if encoding.is_plain else {"encoding": encoding.name})
    return Checked(kept, Facts(TEXT, characters=characters, more=more))


def _as_utf8(draft: Draft, encoding: Encoding, bench: Bench) -> tuple[Draft, int, int]:
    """The document in UTF-8, its characters and its words; what is UTF-8 already stays as it is."""
    kept = draft if encoding.is_plain else bench.draft()
    characters = words = 0
    inside = False  # of a word that goes on in the next part
    blank = True
    with draft.reader() as file:
        for text in encodings.decoded(file, encoding):
            bench.beat()
            characters += len(text)
            words += len(text.split()) - (inside and not text[:1].isspace() and bool(text))
            inside = not text[-1:].isspace() if text else inside
            blank = blank and not text.strip()
            if kept is not draft:
                kept.write(text.encode("utf-8"))
    if kept is not draft:
        bench.drop(draft)
    if blank:
        raise Refused("empty", "The text holds nothing but white space.")
    return kept, characters, words


def _sample(file: BinaryIO, encoding: Encoding) -> str:
    text = ""
    for part in encodings.decoded(file, encoding):
        text += part
        if len(text) >= SAMPLE_CHARACTERS:
            break
    return text[:SAMPLE_CHARACTERS]


def _is_ascii(head: bytes) -> bool:
    """Whether a beginning like "BM" or "MZ" is the beginning of a sentence."""
    return not re.search(rb"[^\x09-\x0d\x20-\x7e]", head[:64])
