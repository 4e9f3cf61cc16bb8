"""The rules applied to items: in batches, by a background worker, again whenever something they look at has changed.

An item whose mark may be out of date is `unchecked`, which lets nothing through. A change that concerns every item (a
rule, the dataset's metadata) empties `Dataset.governance_at` instead: marking a million items would hold up whoever
made it. Each step below is one transaction under a lock on the dataset's rules, so several workers do no harm, and a
step never writes what an earlier state of the rules said.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now
from django.utils import timezone

from common.background import enqueue
from common.errors import ConflictError
from common.push import publish
from datasets.gating import conditions
from datasets.models import Dataset, Finding, Governance, GovernanceDecision, GovernanceRule, Item

TASK = "datasets.tasks.check_governance"
BATCH = 1000
MARKED_AT_ONCE = 5000
BUDGET_SECONDS = 20.0  # then other background work has its turn
AT_ONCE = 2000  # so many items are looked at while a version is being frozen; more have to wait for the worker
ASKED_AGAIN = timedelta(seconds=30)
GROWS_OLD = timedelta(days=1)  # rules that look at the age of items are applied again this often
NO_RULE = "No rule allows it."

_RULES_KEY = 0x60B17  # any constants: the rules, and the marks of one dataset, among advisory locks
_MARKS_KEY = 0x60B18


def recheck(dataset: Dataset, ids: Iterable[int] | None = None) -> None:
    """Have the rules look again at these items, or at all: something that rules look at was changed.

    Until then they are not trained on, if the dataset is governed. Call it in the transaction of the change, after it.
    """
    with transaction.atomic():
        if ids is None:
            Dataset.objects.filter(pk=dataset.pk).update(governance_at=None)
        else:
            dataset.items.filter(pk__in=list(ids)).update(governance=Governance.UNCHECKED)
        ask(Dataset.objects.filter(pk=dataset.pk))


def ask(datasets: Any) -> int:
    """Have a worker apply the rules to those of the datasets that are governed. Returns how many."""
    governed = list(datasets.filter(governed=True).values_list("pk", flat=True))
    Dataset.objects.filter(pk__in=governed).update(governance_asked_at=Now())
    for pk in governed:
        enqueue(TASK, pk)
    return len(governed)


def work(dataset_id: int) -> int:
    """Apply the rules to every item that waits for it; goes on later in another task when there are many.

    Returns how many items were looked at.
    """
    looked, until = 0, time.monotonic() + BUDGET_SECONDS
    while (count := step(dataset_id)) is not None:
        looked += count
        if time.monotonic() > until:
            enqueue(TASK, dataset_id)
            break
    return looked


def sweep() -> int:
    """Have the rules applied where a worker died before it did, and where items have grown older."""
    waiting = Item.objects.filter(dataset=OuterRef("pk"), governance=Governance.UNCHECKED)
    due = Q(governance_asked_at__isnull=True) | Q(governance_asked_at__lt=Now() - ASKED_AGAIN)
    governed = Dataset.objects.filter(governed=True)
    with transaction.atomic():
        aged = governed.filter(governance_at__lt=Now() - GROWS_OLD)
        if aged.exists() and any("age" in conditions.fields_of(rule.condition) for rule in _enabled()):
            aged.update(governance_at=None)
        return ask(governed.filter(due).filter(Q(governance_at__isnull=True) | Exists(waiting)))


def waiting(dataset: Dataset) -> int:
    """How many items the rules have not looked at since something changed."""
    if dataset.governance_at is None:
        return dataset.items.count()
    return dataset.items.filter(governance=Governance.UNCHECKED).count()


def settle(dataset: Dataset) -> None:
    """Apply the rules now where few items wait for it. ConflictError when there are many: the worker is at it."""
    dataset.refresh_from_db(fields=["governed", "governance_at"])
    if not dataset.governed:
        return
    count = waiting(dataset)
    if count > AT_ONCE:
        ask(Dataset.objects.filter(pk=dataset.pk))
        raise ConflictError(
            f"The rules have not looked at {count:,} items of '{dataset.name}' yet.",
            "They are being applied now. Try again in a moment.",
        )
    while count and step(dataset.pk) is not None:
        pass


def step(dataset_id: int) -> int | None:
    """One batch: items are marked as unchecked, or looked at. Returns how many; None when nothing is left to do."""
    with transaction.atomic():
        share_rules()
        _lock("pg_advisory_xact_lock", _MARKS_KEY, dataset_id % 2**31)
        dataset = Dataset.objects.filter(pk=dataset_id, governed=True).first()
        if dataset is None:
            return None
        count = _unmark(dataset) if dataset.governance_at is None else _look(dataset)
        if count is not None:
            publish(f"dataset.{dataset_id}")
        return count


def hold_rules() -> None:
    """Until the end of this transaction no worker applies rules: for whoever changes what they look at."""
    _lock("pg_advisory_xact_lock", _RULES_KEY)


def share_rules() -> None:
    """Until the end of this transaction nobody changes rules or switches gates; others may share that with us."""
    _lock("pg_advisory_xact_lock_shared", _RULES_KEY)


def rules_of(dataset: Dataset) -> list[GovernanceRule]:
    """The rules that are tried on its items, in their order."""
    fits = (Q(dataset__isnull=True) | Q(dataset=dataset)) & (Q(modality="") | Q(modality=dataset.modality))
    return list(_enabled().filter(fits))


def _enabled() -> Any:
    return GovernanceRule.objects.filter(enabled=True).order_by("position", "id")


def _unmark(dataset: Dataset) -> int | None:
    """Mark items as unchecked, whatever was said of them; when none is left, the present rules' time begins."""
    marked = dataset.items.exclude(governance=Governance.UNCHECKED)
    # Rows that an edit holds are passed over: it would wait for us, and we for it.
    ids = list(marked.order_by("id").select_for_update(skip_locked=True).values_list("pk", flat=True)[:MARKED_AT_ONCE])
    Item.objects.filter(pk__in=ids).update(governance=Governance.UNCHECKED)
    if ids:
        return 0
    if marked.exists():
        return None
    Dataset.objects.filter(pk=dataset.pk).update(governance_at=Now())
    return 0


def _look(dataset: Dataset) -> int | None:
    unchecked = dataset.items.filter(governance=Governance.UNCHECKED).order_by("id")
    items = list(unchecked.select_related("subject").select_for_update(of=("self",), skip_locked=True)[:BATCH])
    if not items:
        return None
    rules = rules_of(dataset)
    fields = set().union(*(conditions.fields_of(rule.condition) for rule in rules))
    found = _findings(items) if "findings" in fields else {}
    now = timezone.now()
    said = {item.pk: decide(rules, facts_of(dataset, item, fields, found.get(item.pk, []), now)) for item in items}
    _write(dataset, said)
    return len(items)


def decide(rules: Sequence[GovernanceRule], facts: Mapping[str, Any]) -> GovernanceRule | None:
    """The first rule that fits; None when none does."""
    return next((rule for rule in rules if conditions.matches(rule.condition, facts)), None)


def facts_of(dataset: Dataset, item: Item, fields: Iterable[str], findings: list[str], now: datetime) -> dict[str, Any]:
    """The values of these fields of an item; its own metadata go before the dataset's."""
    metadata = {**dataset.metadata, **item.metadata}
    known = {
        **{name: metadata.get(name) for name in ("licence", "consent", "source", "personal_data")},
        "age": (now - (item.recorded_at or item.created_at)).total_seconds() / 86400,
        "modality": dataset.modality,
        "findings": findings,
        "generated": item.generated is not None,
        "label": item.label or None,
        "group": item.group or None,
        **{name: getattr(item, name) for name in ("name", "media_type", "bytes", "quality")},
    }
    families: dict[str, Mapping[str, Any]] = {
        "metadata": metadata,
        "generated": item.generated or {},
        "subject": {"name": item.subject.name, "kind": item.subject.kind or None, **item.subject.attributes}
        if item.subject
        else {},
    }
    facts: dict[str, Any] = {}
    for field in fields:
        family, point, name = field.partition(".")
        facts[field] = families[family].get(name) if point else known[field]
    return facts


def _findings(items: Sequence[Item]) -> dict[int, list[str]]:
    """What the quality checks found and nobody dismissed, by item."""
    rows = Finding.objects.filter(item__in=items, dismissed_at__isnull=True).order_by()
    found: dict[int, list[str]] = {}
    for pk, code in rows.values_list("item_id", "code").distinct():
        found.setdefault(pk, []).append(code)
    return found


def _write(dataset: Dataset, said: Mapping[int, GovernanceRule | None]) -> None:
    """The marks, and a decision for each item of which something else is said than the last time."""
    last = GovernanceDecision.objects.filter(item__in=said).order_by("item_id", "-id").distinct("item_id")
    before = {pk: rest for pk, *rest in last.values_list("item_id", "decision", "rule_id", "reason")}
    decisions: list[GovernanceDecision] = []
    marks: dict[str, list[int]] = {Governance.ALLOWED: [], Governance.REFUSED: []}
    for pk, rule in said.items():
        allowed = rule is not None and rule.decision == GovernanceRule.Decision.ALLOW
        mark = Governance.ALLOWED if allowed else Governance.REFUSED
        reason = rule.reason if rule else NO_RULE
        marks[mark].append(pk)
        if before.get(pk) != [mark, rule.pk if rule else None, reason]:
            decisions.append(
                GovernanceDecision(
                    dataset=dataset, item_id=pk, rule=rule, rule_name=rule.name if rule else "", decision=mark,
                    reason=reason, by_id=rule.changed_by_id if rule else None,
                )
            )  # fmt: skip
    GovernanceDecision.objects.bulk_create(decisions)
    for mark, ids in marks.items():
        if ids:
            Item.objects.filter(pk__in=ids).update(governance=mark)


def _lock(function: str, *keys: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}({', '.join(['%s'] * len(keys))})", keys)
