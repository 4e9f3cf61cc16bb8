"""The manifest of a version: a header line, then a line an item, ordered by content. And the list of what was left out.

    {"modality", "classes", "counts", "content_hash", "seed", "validation_fraction", "test_fraction", "split_rule"?}
    {"id", "sha256", "name", "label", "split", "bytes",
     "content"?, "caption"?, "facts"?, "aside_rows"?, "origin"?, "group"?}

Keys with a question mark are only there where there is something to say.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.db.models import QuerySet

from common.files import store
from datasets.freezing import splits
from datasets.freezing.splits import CONTENT, Record, Split
from datasets.gating import gates
from datasets.models import Dataset

ROWS = 2000
IN_MEMORY = 8 << 20
FACTS = ("seconds", "sample_rate", "channels", "fps", "frames", "parquet", "rows", "columns")
COLUMNS = (
    "pk", "sha256", "name", "label", "bytes", "content", "caption", "facts", "origin", "group", "recorded_at",
    "width", "height", "said", "why",
)  # fmt: skip


@dataclass
class Draft:
    """What one look at a dataset found: who goes in, who does not. Large ones are on the disk meanwhile."""

    dataset: Dataset
    split: Split
    lines: BinaryIO
    refused: BinaryIO
    items: int = 0
    bytes: int = 0
    labels: set[str] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=lambda: dict.fromkeys(gates.REASONS, 0))

    @property
    def classes(self) -> list[str]:
        return sorted(self.labels)

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *error: object) -> None:
        self.lines.close()
        self.refused.close()

    def manifest(self) -> BinaryIO:
        """The manifest from its start, now that each item's part is known."""
        lines = _spool()
        digest = hashlib.sha256()
        self.lines.seek(0)
        for key in self.lines:
            before, after = self.lines.readline(), self.lines.readline()
            part = self.split.of(Record(*json.loads(key)))
            line = b'%s,"split":"%s",%s' % (before[:-2], part.encode(), after[1:])
            digest.update(line)
            lines.write(line)
        lines.seek(0)
        split = self.split
        header = _line(
            modality=self.dataset.modality, classes=self.classes, counts=split.counts, content_hash=digest.hexdigest(),
            seed=split.seed, validation_fraction=split.validation_fraction, test_fraction=split.test_fraction,
            **({} if split.by == CONTENT else {"split_rule": split.rule}),
        )  # fmt: skip
        return io.BufferedReader(_Joined(header, lines))


def draft(dataset: Dataset, split: Split, only: Collection[int] | QuerySet[Any] | None = None) -> Draft:
    """Look at every item once, so that all belong to the same moment; `split` is settled. Closed by the caller.
    `only`: the ids of those that are looked at, where a few will do.

    InvalidInputError as `Split.settle`.
    """
    made = Draft(dataset, split, _spool(), _spool())
    judged = gates.judged(dataset) if only is None else gates.judged(dataset).filter(pk__in=only)
    rows = splits.said_in(judged, split).order_by("sha256")
    for row in rows.values_list(*COLUMNS).iterator(ROWS):
        if why := row[-1]:
            made.left_out[why] += 1
            made.refused.write(_line(id=str(row[0]), name=row[2], reason=why))
        else:
            _take(made, row)
    made.split.settle()
    return made


def _take(made: Draft, row: tuple[Any, ...]) -> None:
    pk, sha256, name, label, size, content, caption, facts, origin, group, at, width, height, said, _ = row
    record = splits.record(sha256, label, group, at, said)
    made.split.add(record)
    made.items += 1
    made.bytes += size
    if label:
        made.labels.add(label)
    known = {key: facts[key] for key in FACTS if key in facts}
    if known and width:
        known |= {"width": width, "height": height}
    more = {
        "content": content, "caption": caption, "facts": known, "aside_rows": facts.get("aside_rows"),
        "origin": origin, "group": group,
    }  # fmt: skip
    made.lines.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
    made.lines.write(_line(id=str(pk), sha256=sha256, name=name, label=label or None))
    made.lines.write(_line(bytes=size, **{key: value for key, value in more.items() if value}))


def entries(content_hash: str) -> Iterator[dict[str, Any]]:
    """The items of a manifest in the store, in their order. NotFoundError when it is missing."""
    with store().open(content_hash) as file:
        next(file, None)
        for line in file:
            yield json.loads(line)


def left_out(address: str) -> Iterator[dict[str, str]]:
    """What a version left out: id, name and reason (a key of `gates.REASONS`)."""
    if not address:
        return
    with store().open(address) as file:
        for line in file:
            yield json.loads(line)


def _spool() -> Any:
    return tempfile.SpooledTemporaryFile(IN_MEMORY, dir=store().temporary_folder())


def _line(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode() + b"\n"


class _Joined(io.RawIOBase):
    """A head, then a file, as one stream."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self.head, self.file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self.head[: len(buffer)] or self.file.read(len(buffer))
        self.head = self.head[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()
