"""Tables: the file as it came, and a typed columnar copy of it with a profile of each column."""

from __future__ import annotations

from typing import BinaryIO

from datasets import limits
from datasets.formats.facts import Bench, Checked, Facts, copied, refuse_archives
from datasets.formats.kinds import another_kind, kind_of
from datasets.formats.workbooks import document_kind
from datasets.intake.archives import kind as archive_kind
from datasets.refused import Refused

CODE = "not_a_table"
MAX_NOTED = 100  # bad rows of one table, each with its line


def check_table(source: BinaryIO, bench: Bench) -> Checked:
    """Keep the file, and have it converted in the sandbox: CSV, TSV, Parquet, Excel, JSON lines or arrays."""
    draft, head = copied(source, bench, limits.MAX_TABLE_BYTES)
    kind = kind_of(head)
    layout = kind.format if kind else ""
    if archive_kind(head) == "zip":
        with draft.reader() as file:
            what = document_kind(file)
        if what not in {"an Excel workbook", "an OpenDocument table"}:
            refuse_archives(draft, head, "a table", CODE)
        layout = "workbook"
    elif archive_kind(head):
        refuse_archives(draft, head, "a table", CODE)
    elif kind is not None and kind.family not in {"table", "media?"}:
        raise another_kind(head, "a table", CODE)
    copy = bench.draft()
    found = bench.sandbox.ask(
        "table", draft.path, bench.beat, out=str(copy.path), layout=layout, options=bench.options
    )  # fmt: skip
    copy.take_in()
    problems = tuple((str(line), Refused("bad_row", reason)) for line, reason in found.pop("problems"))
    if (left := found["bad_rows"] - len(problems)) > 0:
        problems += (("…", Refused("bad_row", f"{left:,} more rows could not be used.")),)
    media_type = found.pop("media_type")
    return Checked(draft, Facts(media_type, more={**found, "parquet": copy.stored.sha256}), (copy,), problems)
