"""The work of one import: check each file, keep the good ones, note why the others were set aside."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from common.errors import ProblemError
from common.files import Batch, Draft, store
from common.push import publish
from common.references import hold_store
from datasets import formats, names, spool
from datasets.claims import Claim, LostClaimError
from datasets.models import Dataset, Import, Item, Refusal
from datasets.reading import Found, Upload
from datasets.refused import DEFAULT_HINT, HINTS, Refused

# A batch ends at whichever comes first: so progress moves, and a crash costs little.
BATCH_FILES = 250
BATCH_BYTES = 64 << 20
BATCH_SECONDS = 0.5


class ImportClaim(Claim[Import]):
    """The right to an import."""

    def refresh(self) -> None:
        self.row.refresh_from_db(fields=["done", "accepted", "set_aside", "total"])

    def verdict(self) -> tuple[str, str, str]:
        """How a finished import ended: status, message, hint."""
        row = self.row
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
        with spool.opened(row.pk) as spooled, store().batch() as files:
            upload = Upload(spooled, row.sources, claim.beat)
            claim.update(total=upload.total)
            batch = _Batch(claim, files, spooled)
            for found in upload.files(row.done):
                batch.take(found)
                if batch.full:
                    batch.write()
            batch.write()
    except FileNotFoundError as error:
        raise ProblemError("The uploaded files are gone from this machine.", "Send the files again.") from error


@dataclass(frozen=True)
class _Good:
    name: str
    draft: Draft
    facts: formats.Facts


@dataclass
class _Batch:
    """Files that were checked and not yet written down, in order."""

    claim: ImportClaim
    files: Batch
    spooled: spool.Opened
    seen: list[_Good | tuple[str, Refused]] = field(default_factory=list)
    bytes: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def full(self) -> bool:
        return (
            len(self.seen) >= BATCH_FILES
            or self.bytes >= BATCH_BYTES
            or time.monotonic() - self.started > BATCH_SECONDS
        )

    def take(self, found: Found) -> None:
        """Check one file: its bytes go to a draft, or the reason is noted why not."""
        self.claim.beat()
        if isinstance(found.content, Refused):
            self.seen.append((found.name, found.content))
            return
        draft = self.files.draft()
        try:
            with found.content as content:
                facts = formats.check_for(self.claim.row.dataset.modality)(content, _Beating(draft, self.claim))
        except Refused as refused:
            self.files.drop(draft)
            self.seen.append((found.name, refused))
        else:
            self.seen.append(_Good(found.name, draft, facts))
            self.bytes += draft.bytes

    def write(self) -> None:
        """Sync the files, then make items, refusals and counters visible at once."""
        if self.seen:
            self.files.sync()
            with transaction.atomic():
                self._write_rows()
        self.files.clear()
        self.seen, self.bytes, self.started = [], 0, time.monotonic()

    def _write_rows(self) -> None:
        row = self.claim.row
        hold_store()
        # The dataset first, then the import: everyone locks in this order.
        if not Dataset.objects.select_for_update(no_key=True).filter(pk=row.dataset_id).exists():
            raise LostClaimError
        items, refusals = self._sorted()
        self.claim.update(
            done=F("done") + len(self.seen),
            accepted=F("accepted") + len(items),
            set_aside=F("set_aside") + len(refusals),
            bytes_done=self.spooled.bytes_done,
        )
        self.files.publish({item.sha256 for item in items})
        Item.objects.bulk_create(items)
        Refusal.objects.bulk_create(refusals)
        Dataset.objects.filter(pk=row.dataset_id).update(
            item_count=F("item_count") + len(items),
            byte_count=F("byte_count") + sum(item.bytes for item in items),
            updated_at=Now(),
        )
        publish(f"import.{row.pk}", f"dataset.{row.dataset_id}")

    def _sorted(self) -> tuple[list[Item], list[Refusal]]:
        """What becomes an item and what is set aside, now that duplicates can be told."""
        row = self.claim.row
        addresses = [good.draft.stored.sha256 for good in self.seen if isinstance(good, _Good)]
        there = Item.objects.filter(dataset=row.dataset_id, sha256__in=addresses).values_list("sha256", "name", "label")
        known = {sha256: (name, label) for sha256, name, label in there}
        items: list[Item] = []
        refusals: list[Refusal] = []
        for seen in self.seen:
            if isinstance(seen, _Good):
                item = _item(row, seen)
                if item.sha256 not in known:
                    known[item.sha256] = (item.name, item.label)
                    items.append(item)
                    continue
                name, refused = seen.name, _duplicate(item, *known[item.sha256])
            else:
                name, refused = seen
            refusals.append(Refusal(source=row, name=name, code=refused.code, reason=refused.reason[:500]))
        return items, refusals


class _Beating:
    """A draft whose writer shows that it lives, however large the file."""

    def __init__(self, draft: Draft, claim: ImportClaim) -> None:
        self.draft, self.claim = draft, claim
        self.reader = draft.reader

    def write(self, chunk: bytes) -> None:
        self.claim.beat()
        self.draft.write(chunk)


def _item(row: Import, good: _Good) -> Item:
    stored = good.draft.stored
    return Item(
        dataset_id=row.dataset_id, source=row, sha256=stored.sha256, bytes=stored.bytes, name=good.name,
        label=names.label(good.name), media_type=good.facts.media_type, width=good.facts.width,
        height=good.facts.height, characters=good.facts.characters,
    )  # fmt: skip


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
    message = f"None of the {row.set_aside:,} files could be used. {count:,} of them: {reason}"
    return Import.Status.FAILED, message, HINTS.get(code, DEFAULT_HINT)
