"""What an upload says of its own files: lists of labels (metadata.jsonl, labels.csv …), and captions beside files.

They are read before the files that they speak of, and become no items themselves.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from datasets import limits, names
from datasets.formats import encodings, shapes
from datasets.formats.dialects import sniff
from datasets.formats.marks import Marks, marks_from_name, marks_of, pattern
from datasets.formats.records import Records
from datasets.intake.reading import Upload
from datasets.models import Modality
from datasets.refused import Refused

LISTS = re.compile(r"(metadata|labels|clips|captions|manifest|annotations)\.(jsonl|json|csv|tsv)", re.IGNORECASE)
FILE_COLUMNS = ("file_name", "filename", "file", "path", "image", "audio", "video")
CAPTIONED = frozenset({Modality.IMAGE, Modality.AUDIO, Modality.VIDEO})
MAX_PROBLEMS = 100  # of one list, each with its line


@dataclass
class Sidecars:
    """What is known of files by their names."""

    options: dict[str, Any] = field(default_factory=dict)
    listed: dict[str, Marks] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)  # by the file's name without its ending
    used: dict[str, list[tuple[str, Refused]]] = field(default_factory=dict)  # what was read, with its problems

    def __post_init__(self) -> None:
        given = self.options.get("label_from", "")
        self.expression = pattern(given) if given else None

    def marks(self, name: str) -> Marks:
        """What is known of this file: by a list, by a caption beside it, by its name, by its folder."""
        found = self.listed.get(name, Marks())
        if caption := self.captions.get(name) or self.captions.get(_stem(name)):
            found = found.over(Marks(caption=caption))
        if self.expression:
            found = found.over(marks_from_name(name, self.expression))
        return found.over(Marks(label=names.label(name)))


def read(upload: Upload, modality: str, options: dict[str, Any]) -> Sidecars:
    """Look through an upload's files for lists and captions."""
    found = Sidecars(options)
    if modality == Modality.TABLE:
        return found
    present: set[str] = set()
    lists: dict[str, bytes] = {}
    texts: dict[str, bytes] = {}
    budget = limits.MAX_LABELS_BYTES
    for file in upload.files():
        upload.beat()
        present.add(file.name)
        if isinstance(file.content, Refused):
            continue
        is_list = LISTS.fullmatch(PurePosixPath(file.name).name)
        if is_list or (modality in CAPTIONED and file.name.lower().endswith(".txt")):
            content = _start(file.content, min(budget, budget if is_list else limits.MAX_CAPTION_BYTES))
            if content is not None:
                (lists if is_list else texts)[file.name] = content
                budget -= len(content)
    for name, content in lists.items():
        _take_list(found, name, content, present, modality)
    _take_captions(found, texts, present)
    return found


def _start(content: BinaryIO, limit: int) -> bytes | None:
    """A whole file; None when it is larger than `limit` or can't be read."""
    try:
        with content:
            data = content.read(limit + 1)
    except Refused:
        return None
    return data if len(data) <= limit else None


def _take_captions(found: Sidecars, texts: dict[str, bytes], present: set[str]) -> None:
    others = {name for name in present if name not in texts}
    owners = others | {_stem(name) for name in others}
    for name, content in texts.items():
        if (stem := _stem(name)) in owners:
            found.used[name] = []
            try:
                found.captions[stem] = _decode(content).strip()
            except Refused as refused:
                found.used[name] = [(name, refused)]


def _take_list(found: Sidecars, name: str, content: bytes, present: set[str], modality: str) -> None:
    """Take the marks of a list's rows in. A file that names no files is no list."""
    try:
        records = list(_records(content))
    except Refused:
        return
    problems: list[tuple[str, Refused]] = []
    missing: list[str] = []
    taken = 0
    for line, record in records:
        try:
            file, marks = _row(record, found.options, modality)
        except Refused as refused:
            problems.append((f"{name}:{line}", refused))
            continue
        if (whole := _resolved(name, file, present)) is None:
            missing.append(file)
        else:
            found.listed[whole] = marks
            taken += 1
    if not taken and (modality not in CAPTIONED or not missing):
        return
    if missing:
        words = f"It lists {len(missing):,} files that are not in this upload, such as '{names.shown(missing[0])}'."
        problems.append((name, Refused("missing_files", words)))
    found.used[name] = problems[:MAX_PROBLEMS]


def _records(content: bytes) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    held = _Held(content)
    encoding = encodings.find(held.reader())
    text = content[: encodings.SAMPLE].decode(encoding.codec, "ignore")
    start = text.lstrip()[:1]
    if start in {"{", "["}:
        records = Records(held, encoding, "jsonl" if start == "{" else "json")  # type: ignore[arg-type]
    elif dialect := sniff(text, whole=len(content) <= encodings.SAMPLE):
        records = Records(held, encoding, "delimited", dialect)  # type: ignore[arg-type]
    else:
        return
    for record in records.read():
        yield record.line, record.value


@dataclass(frozen=True)
class _Held:
    """Bytes in memory that are read like a draft."""

    content: bytes

    @property
    def bytes(self) -> int:
        return len(self.content)

    def reader(self) -> BinaryIO:
        return io.BytesIO(self.content)


def _row(record: dict[str, Any] | Refused, options: dict[str, Any], modality: str) -> tuple[str, Marks]:
    """The file that a row speaks of, and what it says."""
    if isinstance(record, Refused):
        raise record
    shapes.check(record)
    column = {key.lower(): key for key in record}
    key = next((column[name] for name in FILE_COLUMNS if name in column), None)
    if key is None or not isinstance(record[key], str) or not record[key].strip():
        raise Refused("bad_row", "It names no file: a column 'file_name' or 'file' is needed.")
    rest = {name: value for name, value in record.items() if name != key}
    return record[key].strip(), marks_of(rest, options, captions=modality in CAPTIONED)


def _resolved(name: str, file: str, present: set[str]) -> str | None:
    """The upload's name of a file that a list names, from the list's folder or from the top."""
    path = names.clean(file)
    folder = str(PurePosixPath(name).parent)
    beside = path if folder == "." else f"{folder}/{path}"
    return beside if beside in present else path if path in present else None


def _decode(content: bytes) -> str:
    file = io.BytesIO(content)
    encoding = encodings.find(file)
    return content.decode(encoding.codec)


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix else name
