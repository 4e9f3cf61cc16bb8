"""What people do about findings: say that one is no fault, or set the items (or rows of a table) aside.

Setting items aside is an edit (`datasets.items.edits`) and is undone as one. Rows of a table are set aside in its
file's facts, which versions and training read; taking them back is a verb of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from common.push import publish
from datasets.gating import governance
from datasets.items import edits
from datasets.models import Dataset, Edit, Finding, Item
from datasets.quality import ranges, runs, score, writing
from datasets.quality.codes import CHECKS, Check

BEST, FIRST = KEEPS = ("best", "first")
SINGLED = {"duplicate", "near_duplicate"}  # of which one of each group is kept
CHUNK = 1000
MOST_RANGES = 100_000  # of rows of one file: they travel with each version, and each look at the file reads them


@dataclass
class Done:
    """What was done: items and rows that were set aside, dismissed or restored, and the edit that undoes it."""

    items: int = 0
    rows: int = 0
    edit: Edit | None = None


def open_findings(dataset: Dataset, code: str | None = None) -> QuerySet[Finding]:
    """Findings that nobody dismissed, of items that nobody set aside."""
    found = Finding.objects.filter(dataset=dataset, dismissed_at=None, item__aside="")
    return found if code is None else found.filter(code=code)


def check_of(code: str) -> Check:
    """InvalidInputError when there is no such check, or when it is said of the dataset as a whole."""
    check = CHECKS.get(code)
    if check is None or check.whole:
        known = ", ".join(name for name, one in CHECKS.items() if not one.whole)
        raise InvalidInputError(f"'{code}' is no finding of items.", f"One of: {known}.", fields={"code": ["Unknown."]})
    return check


def would_set_aside(dataset: Dataset, code: str, keep: str = BEST) -> Done:
    """How many items and rows `set_aside` would take. Writes nothing."""
    check_of(code)
    rows = open_findings(dataset, code).filter(row__isnull=False).count()
    if code in SINGLED:
        return Done(items=sum(1 for _ in _all_but_one(dataset, code, keep)), rows=rows)
    return Done(items=open_findings(dataset, code).filter(row=None).count(), rows=rows)


def set_aside(dataset: Dataset, by: AbstractBaseUser, code: str, *, keep: str = BEST) -> Done:
    """Set aside what this check found: of duplicates and near duplicates all but one of each group, else all.

    `keep` says which one stays: the best (fewest other findings, then the largest) or the first. Rows of tables are
    set aside within their file. ConflictError when there is nothing to do.
    """
    check_of(code)
    if keep not in KEEPS:
        raise InvalidInputError(f"'{keep}' is no way to choose.", "Keep the 'best' or the 'first'.",
                                fields={"keep": ["best or first"]})  # fmt: skip
    with transaction.atomic():
        edits.lock(dataset)
        rows = _set_rows_aside(dataset, code)
        if code in SINGLED:
            items: Any = list(_all_but_one(dataset, code, keep))
        else:
            items = dataset.items.filter(pk__in=open_findings(dataset, code).filter(row=None).values("item"))
        edit = edits.edit_items(dataset, by, items, field="aside", value=code)
        if not edit.count and not rows:
            raise ConflictError("There is nothing left to set aside.", "Check the dataset again.")
        if rows:
            score.settle(dataset)
        _compare_again(dataset, by, code)
    return Done(edit.count, rows, edit if edit.count else None)


def undo(edit: Edit, by: AbstractBaseUser) -> edits.Undone:
    """Take items back that were set aside; the score follows."""
    with transaction.atomic():
        undone = edits.undo(edit, by)
        _compare_again(edit.dataset, by, str(edit.value))
    return undone


def _compare_again(dataset: Dataset, by: AbstractBaseUser, code: str) -> None:
    """What was found of an item because of another changes when that one goes or comes back. Nothing is measured
    anew, so it takes seconds."""
    if code in CHECKS and CHECKS[code].clustered:
        runs.ask(dataset, by)


def take_rows_back(dataset: Dataset, by: AbstractBaseUser, code: str) -> Done:
    """Use the rows again that were set aside because of this check, and have the dataset checked again.

    ConflictError when there are none.
    """
    check_of(code)
    done = Done()
    with transaction.atomic():
        edits.lock(dataset)
        for item in dataset.items.filter(facts__has_key="aside_rows").select_for_update(no_key=True):
            if rows := ranges.count(item.facts.get("aside_for", {}).pop(code, [])):
                done.rows += rows
                _write_rows(item)
        if not done.rows:
            raise ConflictError("No rows were set aside for this.", "Nothing has to be taken back.")
        runs.ask(dataset, by)
    return done


def dismiss(dataset: Dataset, by: AbstractBaseUser, findings: QuerySet[Finding]) -> int:
    """Say that these are no faults: they take nothing any more, also after the next check. Returns how many."""
    now = timezone.now()
    return _change(dataset, findings.filter(dismissed_at=None), dismissed_at=now, dismissed_by=by)


def restore(dataset: Dataset, by: AbstractBaseUser, findings: QuerySet[Finding]) -> int:
    """Let dismissed findings count again. Returns how many."""
    return _change(dataset, findings.filter(dismissed_at__isnull=False), dismissed_at=None, dismissed_by=None)


def _change(dataset: Dataset, findings: QuerySet[Finding], **values: Any) -> int:
    changed = 0
    with transaction.atomic():
        edits.lock(dataset)
        chosen = findings.filter(dataset=dataset).order_by("pk").select_related("item")
        for part in _parts(chosen.iterator(CHUNK)):
            for finding in part:
                finding.dismissed_at, finding.dismissed_by = values["dismissed_at"], values["dismissed_by"]
                # It stays dismissed while the item is what it is now.
                state = {"state": writing.state(finding.item)} if finding.dismissed_at else {}
                finding.details = {key: of for key, of in finding.details.items() if key != "state"} | state
            Finding.objects.bulk_update(part, ["dismissed_at", "dismissed_by", "details"])
            items = {finding.item_id: finding.item for finding in part}
            score.write_items(items.values())
            if dataset.governed:
                governance.recheck(dataset, items)
            changed += len(part)
        score.settle(dataset)
    return changed


def _all_but_one(dataset: Dataset, code: str, keep: str) -> Iterator[int]:
    """The items of each group but the one that is kept. The first of a group has no finding, and is part of it."""
    found = open_findings(dataset, code).filter(cluster__isnull=False, row=None)
    pairs = found.order_by("cluster", "item").values_list("cluster", "item")
    for cluster, members in groupby(pairs.iterator(CHUNK), key=lambda pair: pair[0]):
        ids = [item for _, item in members]
        items = list(dataset.items.filter(pk__in={cluster, *ids}, aside="").order_by("pk"))
        kept = items[0] if keep == FIRST else _best(items, code)
        yield from (item.pk for item in items if item is not kept)


def _best(items: list[Item], code: str) -> Item:
    """The one with the fewest points taken for other reasons, then the largest, then the first."""
    others = Finding.objects.filter(item__in=items, dismissed_at=None).exclude(code__in={*SINGLED, "leak"})
    taken = dict(others.order_by().values_list("item").annotate(sum=Sum("points")))
    return min(items, key=lambda item: (taken.get(item.pk, 0), -_size(item), item.pk))


def _size(item: Item) -> float:
    return (item.width or 0) * (item.height or 0) or item.characters or item.facts.get("seconds") or item.bytes


def _set_rows_aside(dataset: Dataset, code: str) -> int:
    """Note the rows in their files' facts; returns how many were not set aside before.

    A file's rows are read one by one and kept as ranges. ConflictError where even these are too many for one file.
    """
    found = open_findings(dataset, code).filter(row__isnull=False).order_by("row")
    count = 0
    for pk in found.order_by().values_list("item", flat=True).distinct():
        item = dataset.items.select_for_update(no_key=True).get(pk=pk)
        rows = ranges.of_rows(found.filter(item=item).values_list("row", flat=True).iterator(CHUNK))
        if len(rows) > MOST_RANGES:
            raise ConflictError(
                f"'{item.name}' has too many such rows in too many places.",
                f"A file can have {MOST_RANGES:,} stretches of rows set aside: correct it, and import it again.",
            )
        count += ranges.count(rows)
        reasons = item.facts.setdefault("aside_for", {})
        reasons[code] = ranges.merged([*reasons.get(code, []), *rows])
        # Whatever else was found in these rows is no fault of the table any more.
        with _planned_for_many():
            Finding.objects.filter(item=item, row__in=found.filter(item=item).order_by().values("row")).delete()
        _write_rows(item)
    return count


@contextmanager
def _planned_for_many() -> Iterator[None]:
    """Findings that were just made have no statistics yet: taken for a few, ten thousands would be looked through once
    for each of them."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        yield
        cursor.execute("SET LOCAL enable_nestloop = on")


def _write_rows(item: Item) -> None:
    """The rows that are aside for any reason, as versions read them."""
    item.facts["aside_for"] = {code: rows for code, rows in item.facts["aside_for"].items() if rows}
    item.facts["aside_rows"] = ranges.merged([one for rows in item.facts["aside_for"].values() for one in rows])
    if not item.facts["aside_rows"]:
        del item.facts["aside_rows"], item.facts["aside_for"]
    item.save(update_fields=["facts"])
    score.write_items([item])
    publish(f"dataset.{item.dataset_id}")


def _parts(rows: Iterable[Finding]) -> Iterator[list[Finding]]:
    rest = iter(rows)
    while part := list(islice(rest, CHUNK)):
        yield part
