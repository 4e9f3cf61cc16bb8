"""Writing down what was found: a batch of items in one transaction, so that a page never shows half of an item."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from django.db import transaction

from datasets.claims import Claim
from datasets.gating import governance
from datasets.items import edits
from datasets.models import Dataset, Finding, Item, QualityRun
from datasets.quality import score
from datasets.quality.found import Found

Key = tuple[int, str, int | None]


def replace(
    claim: Claim[QualityRun], dataset: Dataset, seen: Mapping[int, str], found: Mapping[int, list[Found]]
) -> None:
    """Make the findings of these items those that were found now. `seen` is the state of each item that was judged.

    What a person dismissed stays dismissed while the item is what it was. Items that were changed, set aside or deleted
    meanwhile are left to the next run.
    """
    with transaction.atomic():
        edits.lock(dataset)  # the dataset first: everyone locks in this order
        claim.update()
        locked = Item.objects.select_for_update(no_key=True, of=["self"]).filter(pk__in=seen, aside="").order_by("pk")
        items = [item for item in locked if state(item) == seen[item.pk]]
        said = {(item.pk, one.code, one.row): one for item in items for one in found.get(item.pk, ())}
        changed = _write(dataset, {item.pk: seen[item.pk] for item in items}, said)
        score.write_items(items)
        if changed and dataset.governed:
            governance.recheck(dataset, changed)


def state(item: Item) -> str:
    """What an item is, as far as findings and their dismissal depend on it."""
    return hashlib.blake2b(f"{item.sha256}:{item.label}".encode(), digest_size=8).hexdigest()


def _write(dataset: Dataset, states: dict[int, str], said: dict[Key, Found]) -> list[int]:
    """Bring the rows in line with what was said; returns the items whose findings changed."""
    gone: list[Finding] = []
    other: list[Finding] = []
    for row in Finding.objects.filter(item__in=states):
        now = said.pop((row.item_id, row.code, row.row), None)
        valid = row.dismissed_at is not None and row.details.get("state") == states[row.item_id]
        if now is None:
            if not valid:
                gone.append(row)
        elif _differs(row, now, valid):
            other.append(row)
    fresh = [
        Finding(
            dataset=dataset, item_id=item, row=row, code=code, points=one.taken, reason=one.reason[:500],
            cluster=one.cluster, details=one.details,
        )
        for (item, code, row), one in said.items()
    ]  # fmt: skip
    Finding.objects.filter(pk__in=[row.pk for row in gone]).delete()
    Finding.objects.bulk_update(
        other, ["points", "reason", "cluster", "details", "dismissed_by", "dismissed_at"], batch_size=500
    )
    Finding.objects.bulk_create(fresh, batch_size=1000)
    return list({row.item_id for row in (*gone, *other, *fresh)})


def _differs(row: Finding, now: Found, dismissed: bool) -> bool:
    """Make the row say what was found now; whether that changed it."""
    before = (row.points, row.reason, row.cluster, row.details, row.dismissed_at)
    row.points, row.reason, row.cluster = now.taken, now.reason[:500], now.cluster
    row.details = now.details | ({"state": row.details["state"]} if dismissed else {})
    if not dismissed:
        row.dismissed_at = row.dismissed_by = None
    return before != (row.points, row.reason, row.cluster, row.details, row.dismissed_at)
