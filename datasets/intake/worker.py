"""The work of one import: check each file, keep the good ones, note why the others were set aside."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from common.errors import ProblemError
from common.files import Batch, Draft, store
from common.push import publish
from common.references import hold_store
from datasets import formats, limits, names
from datasets.claims import Claim, LostClaimError
from datasets.formats import shapes
from datasets.formats.marks import Marks
from datasets.formats.records import Record, Records
from datasets.formats.sandbox import Sandbox
from datasets.intake import sidecars, spool
from datasets.intake.reading import Found, Upload
from datasets.intake.sidecars import Sidecars
from datasets.items import rows
from datasets.models import Dataset, Import, Item, Refusal, Subject
from datasets.refused import DEFAULT_HINT, HINTS, Refused
from datasets.reviewing import reviews

# A batch ends at whichever comes first: so progress moves, and a crash costs little.
BATCH_FILES = 250
BATCH_ROWS = 2000
BATCH_BYTES = 64 << 20
BATCH_SECONDS = 0.5


class ImportClaim(Claim[Import]):
    """The right to an import."""

    def refresh(self) -> None:
        self.row.refresh_from_db(fields=["done", "accepted", "set_aside", "total"])

    def verdict(self) -> tuple[str, str, str]:
        """How a finished import ended: status, message, hint."""
        row = self.row
        if row.accepted and row.is_again:
            return Import.Status.COMPLETED, f"{row.accepted:,} file{'s' * (row.accepted != 1)} read again.", ""
        if row.accepted:
            added = f"{row.accepted:,} item{'s' * (row.accepted != 1)} added"
            aside = f", {row.set_aside:,} set aside" if row.set_aside else ""
            return Import.Status.COMPLETED, f"{added}{aside}.", DEFAULT_HINT if aside else ""
        if not row.set_aside:
            return Import.Status.FAILED, "The upload holds no files.", "Send files, or an archive with files in it."
        return _nothing_added(row)


def work(claim: ImportClaim) -> None:
    """Walk through the files from where the import stands. Every batch is one transaction."""
    row = claim.row
    try:
        with spool.opened(row.pk) as spooled, store().batch() as files, Sandbox() as sandbox:
            upload = Upload(spooled, row.sources, claim.beat)
            lists = sidecars.read(upload, row.dataset.modality, row.options)
            claim.update(total=upload.total)
            batch = _Batch(claim, files, spooled, lists, sandbox)
            for found in upload.files(row.done):
                batch.take(found)
                if batch.full:
                    batch.write()
            batch.write()
    except FileNotFoundError as error:
        raise ProblemError("The uploaded files are gone from this machine.", "Send the files again.") from error


@dataclass(frozen=True)
class _Good:
    """An item to be: a file with its facts, or a row with its content."""

    name: str
    marks: Marks
    checked: formats.Checked | None = None
    content: dict[str, Any] | None = None

    @cached_property
    def sha256(self) -> str:
        return self.checked.draft.stored.sha256 if self.checked else rows.address(self.content or {})


class _Bench:
    """Where one file is checked: what it makes in the store is remembered, to be dropped when it is not needed."""

    def __init__(self, claim: ImportClaim, files: Batch, sandbox: Sandbox) -> None:
        self.options = claim.row.options
        self.sandbox, self.beat, self.files = sandbox, claim.beat, files
        self.made: list[Draft] = []

    def draft(self) -> Draft:
        self.made.append(self.files.draft())
        return self.made[-1]

    def drop(self, draft: Draft) -> None:
        self.made.remove(draft)
        self.files.drop(draft)

    def keep(self, *drafts: Draft) -> None:
        """Drop all others."""
        for draft in [draft for draft in self.made if draft not in drafts]:
            self.drop(draft)


class _Batch:
    """Files and rows that were checked and not yet written down, in order."""

    def __init__(
        self, claim: ImportClaim, files: Batch, spooled: spool.Opened, lists: Sidecars, sandbox: Sandbox
    ) -> None:
        self.claim, self.files, self.spooled, self.lists, self.sandbox = claim, files, spooled, lists, sandbox
        self.start_row = claim.row.position.get("row", 0)  # in the first file that is looked at
        self.noted = claim.row.set_aside
        self._clear()

    def _clear(self) -> None:
        self.seen: list[_Good | tuple[str, Refused]] = []
        self.finished = 0  # files
        self.position: dict[str, int] = {}  # inside the file after those; empty at its start
        self.bytes_done: int | None = None
        self.bytes = 0
        self.started = time.monotonic()

    @property
    def full(self) -> bool:
        return (
            len(self.files.drafts) >= BATCH_FILES
            or max(len(self.seen), self.finished) >= BATCH_ROWS
            or self.bytes >= BATCH_BYTES
            or time.monotonic() - self.started > BATCH_SECONDS
        )

    def take(self, found: Found) -> None:
        """Check one file: it becomes an item, or many, or the reason is noted why not."""
        self.claim.beat()
        if (problems := self.lists.used.get(found.name)) is not None:
            self.seen += problems
        elif isinstance(found.content, Refused):
            self.seen.append((found.name, found.content))
        else:
            bench = _Bench(self.claim, self.files, self.sandbox)
            before = self.spooled.bytes_done
            try:
                with found.content as content:
                    checked = formats.check_for(self.claim.row.dataset.modality)(content, bench)
                if isinstance(checked, Records):
                    self._take_rows(found.name, checked, bench, before)
                else:
                    self._take_file(found.name, checked, bench)
            except Refused as refused:
                bench.keep()
                self.seen.append((found.name, refused))
        self.finished += 1
        self.position, self.start_row = {}, 0

    def _take_file(self, name: str, checked: formats.Checked, bench: _Bench) -> None:
        bench.keep(checked.draft, *checked.beside)
        self.seen.append(_Good(name, self.lists.marks(name), checked))
        self.seen += [(f"{name}:{where}", refused) for where, refused in checked.problems]
        self.bytes += sum(draft.bytes for draft in (checked.draft, *checked.beside))

    def _take_rows(self, name: str, records: Records, bench: _Bench, before: int) -> None:
        """All rows from where the import stands; batches are written in between."""
        bench.keep(records.draft)
        self.files.drafts.remove(records.draft)  # it outlives the batches
        whole = self.spooled.bytes_done - before
        number = self.start_row
        try:
            for record in records.read(number, self.claim.beat):
                number += 1
                where = f"{name}:{record.line}"
                if number > limits.MAX_ROWS:
                    self.seen.append((where, Refused("too_many_rows", f"Rows after {limits.MAX_ROWS:,} are left out.")))
                    break
                self._take_row(where, record)
                self.position = {"row": number}
                self.bytes_done = before + int(whole * record.share)
                if self.full:
                    self.write()
        finally:
            records.draft.discard()
        self.bytes_done = None
        if not number:
            self.seen.append((name, Refused("empty", "It has a header and no rows.")))

    def _take_row(self, where: str, record: Record) -> None:
        try:
            if isinstance(record.value, Refused):
                raise record.value
            for shaped in shapes.shape(record.value, self.claim.row.options):
                self.seen.append(_Good(where, shaped.marks, content=shaped.content))
                self.bytes += len(shaped.content)
        except Refused as refused:
            self.seen.append((where, refused))

    def write(self) -> None:
        """Sync the files, then make items, refusals and counters visible at once."""
        if self.seen or self.finished:
            self.files.sync()
            with transaction.atomic():
                self._write_rows()
        self.files.clear()
        self._clear()

    def _write_rows(self) -> None:
        row = self.claim.row
        hold_store()
        # The dataset first, then the import: everyone locks in this order.
        if not Dataset.objects.select_for_update(no_key=True).filter(pk=row.dataset_id).exists():
            raise LostClaimError
        items, refusals, beside, corrected = self._sorted()
        self.claim.update(
            done=F("done") + self.finished,
            position=self.position,
            accepted=F("accepted") + len(items) + len(corrected),
            set_aside=F("set_aside") + len(refusals),
            bytes_done=self.spooled.bytes_done if self.bytes_done is None else self.bytes_done,
        )
        self.files.publish({item.sha256 for item in items} | beside)
        Item.objects.bulk_create(items)
        _correct(row, corrected)
        Refusal.objects.bulk_create(refusals[: max(0, limits.MAX_REFUSALS - self.noted)])
        self.noted += len(refusals)
        Dataset.objects.filter(pk=row.dataset_id).update(
            item_count=F("item_count") + len(items),
            byte_count=F("byte_count") + sum(item.bytes for item in items),
            updated_at=Now(),
        )
        publish(f"import.{row.pk}", f"dataset.{row.dataset_id}")

    def _sorted(self) -> tuple[list[Item], list[Refusal], set[str], list[Item]]:
        """What becomes an item, what is set aside, now that duplicates can be told, files beside items, and what
        was in the dataset already and was read again on purpose."""
        row = self.claim.row
        addresses = [good.sha256 for good in self.seen if isinstance(good, _Good)]
        there = Item.objects.filter(dataset=row.dataset_id, sha256__in=addresses).values_list("sha256", "name", "label")
        known = {sha256: (name, label) for sha256, name, label in there}
        subjects = _subjects(row, {good.marks.subject for good in self.seen if isinstance(good, _Good)} - {""})
        items: list[Item] = []
        refusals: list[Refusal] = []
        corrected: list[Item] = []
        beside: set[str] = set()
        for seen in self.seen:
            if isinstance(seen, _Good):
                item = _item(row, seen, subjects)
                if item.sha256 not in known or row.is_again:
                    (corrected if item.sha256 in known else items).append(item)
                    known[item.sha256] = (item.name, item.label)
                    beside |= {draft.stored.sha256 for draft in (seen.checked.beside if seen.checked else ())}
                    continue
                name, refused = seen.name, _duplicate(item, *known[item.sha256])
            else:
                name, refused = seen
            refusals.append(Refusal(source=row, name=name[-500:], code=refused.code, reason=refused.reason[:500]))
        return items, refusals, beside, corrected


def _correct(row: Import, corrected: list[Item]) -> None:
    """What was measured anew replaces what was known of these items; what people said of them has to be asked again."""
    for item in corrected:
        there = Item.objects.filter(dataset=row.dataset_id, sha256=item.sha256)
        there.update(facts=item.facts, media_type=item.media_type)
    if corrected:
        addresses = [item.sha256 for item in corrected]
        same = Item.objects.filter(dataset=row.dataset_id, sha256__in=addresses)
        reviews.forget(row.dataset, list(same.values_list("pk", flat=True)))


def _item(row: Import, good: _Good, subjects: dict[str, int]) -> Item:
    marks = good.marks
    item = Item(
        dataset_id=row.dataset_id, source=row, sha256=good.sha256, name=good.name[-500:], label=marks.label,
        caption=marks.caption, group=marks.group, subject_id=subjects.get(marks.subject),
        recorded_at=marks.recorded_at, metadata=marks.metadata,
    )  # fmt: skip
    if good.checked is None:
        content = good.content or {}
        item.content, item.media_type = content, formats.ROW
        item.bytes, item.characters = len(rows.canonical(content)), len(rows.plain_text(content))
        item.facts = {"words": rows.words(content)}
        return item
    facts = good.checked.facts
    item.media_type, item.bytes = facts.media_type, good.checked.draft.bytes
    item.width, item.height, item.characters, item.facts = facts.width, facts.height, facts.characters, facts.more
    return item


def _subjects(row: Import, names: set[str]) -> dict[str, int]:
    """The owner's subjects of these names; new ones are made."""
    if not names:
        return {}
    owner = row.dataset.owner_id
    Subject.objects.bulk_create([Subject(owner_id=owner, name=name) for name in sorted(names)], ignore_conflicts=True)
    return dict(Subject.objects.filter(owner=owner, name__in=names).values_list("name", "pk"))


def _duplicate(item: Item, name: str, label: str) -> Refused:
    if item.label == label:
        return Refused("duplicate", f"Its content is in the dataset already, as '{names.shown(name)}'.")
    return Refused(
        "contradicting_label",
        f"Its content is in the dataset already as '{names.shown(name)}', in class '{label}' and not '{item.label}'.",
    )


def _nothing_added(row: Import) -> tuple[str, str, str]:
    codes = Counter(row.refusals.values_list("code", flat=True))
    code, count = codes.most_common(1)[0]
    if set(codes) <= {"duplicate", "contradicting_label"}:
        return Import.Status.COMPLETED, "Nothing new: every file is in the dataset already.", ""
    reason = row.refusals.filter(code=code).order_by("id").values_list("reason", flat=True)[0]
    if row.set_aside == 1:
        return Import.Status.FAILED, reason, HINTS.get(code, DEFAULT_HINT)
    what = "rows and files" if row.set_aside > row.done else "files"
    message = f"None of the {row.set_aside:,} {what} could be used. {count:,} of them: {reason}"
    return Import.Status.FAILED, message, HINTS.get(code, DEFAULT_HINT)
