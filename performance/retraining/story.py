"""The one place that moves a retraining, and writes down what happened to it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts import audit
from common.errors import ConflictError
from common.push import publish
from performance.models import Retraining, RetrainingEvent
from registry.models import Model

Status = Retraining.Status


class MovedOnError(ConflictError):
    """Somebody was faster. An ordinary outcome."""


@transaction.atomic
def move(
    row: Retraining,
    to: str,
    kind: str,
    message: str,
    *,
    expected: Collection[str],
    hint: str = "",
    actor: AbstractBaseUser | None = None,
    details: dict[str, Any] | None = None,
    **columns: Any,
) -> None:
    """Move a retraining to `to`, if it is in one of `expected`, with its event and its entry in the audit trail.

    `row` is changed too. `kind` names the event by a participle; `actor` None: the hub by itself. MovedOnError when it
    is in another state by now.
    """
    columns |= {"status": to, "message": message[:500], "hint": hint[:500], "updated_at": Now(), "waits_since": Now()}
    columns |= {"ended_at": None if to in Retraining.OPEN else Now(), "retry_at": None}
    if not Retraining.objects.filter(pk=row.pk, status__in=expected).update(**columns):
        row.refresh_from_db()
        raise MovedOnError(
            f"Retraining {row.pk} is in another state by now: it {row.state}.",
            f"Look at it at /performance/retraining/{row.pk}.",
            retraining=row.pk,
        )
    note(row.model, kind, message, retraining=row, actor=actor, details=details)
    audit.write(actor, f"retraining {kind}", row, message=message, **(details or {}))
    row.refresh_from_db()


def note(
    model: Model,
    kind: str,
    message: str,
    *,
    retraining: Retraining | None = None,
    actor: AbstractBaseUser | None = None,
    key: str = "",
    details: dict[str, Any] | None = None,
) -> bool:
    """Write an event; False when what it tells of (`key`) was told before."""
    row = RetrainingEvent(
        model=model, retraining=retraining, at=_now(), kind=kind, key=key, actor=actor, message=message[:1000],
        details=details or {},
    )  # fmt: skip
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        if key and RetrainingEvent.objects.filter(model=model, key=key).exists():
            return False
        raise
    tell(retraining)
    return True


def say(row: Retraining, message: str, hint: str = "") -> None:
    """Why it does not go on just now; written once however often it is so."""
    fresh = Retraining.objects.filter(pk=row.pk, status=row.status).exclude(message=message[:500], hint=hint[:500])
    if fresh.update(message=message[:500], hint=hint[:500], updated_at=Now()):
        note(row.model, "waits", f"{message} {hint}".strip(), retraining=row)


def tell(row: Retraining | None) -> None:
    """Have open pages look again."""
    publish("retraining.all", *([f"retraining.{row.pk}"] if row else []))


def _now() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]
