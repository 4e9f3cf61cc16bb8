"""What of a model's predictions is put down: how much of the input, which share, and for how long."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, InterfaceError, transaction

from accounts import audit
from common.errors import InvalidInputError
from registry.access import Action, require
from registry.models import LogPolicy, Model

Keep = LogPolicy.Keep
FRESH_SECONDS = 5.0  # a process takes a changed policy up within this time
MAX_DAYS = 3650


@dataclass(frozen=True)
class Policy:
    keep: str = Keep.HASH
    share: float = 1.0
    days: int = 90

    def takes(self, prediction: UUID) -> bool:
        """Whether this prediction belongs to the share that is put down: the same answer wherever it is asked."""
        place = int.from_bytes(hashlib.sha256(prediction.bytes).digest()[:8]) / 2**64
        return place < self.share


DEFAULT = Policy()
# Nothing of an input is kept while nobody can say whether it may be.
UNKNOWN = Policy(keep=Keep.NONE)
_known: dict[int, tuple[float, Policy]] = {}  # model → (when it was read, what it said)


def policy_of(model_id: int) -> Policy:
    """The policy as it stands."""
    row = LogPolicy.objects.filter(pk=model_id).first()
    return Policy(row.keep, row.share, row.days) if row else DEFAULT


def recent_policy(model_id: int) -> Policy:
    """The policy as it stood a few seconds ago, for who answers and must not wait; never raises."""
    known = _known.get(model_id)
    if known and time.monotonic() - known[0] < FRESH_SECONDS and not settings.LOG_PREDICTIONS_AT_ONCE:
        return known[1]
    try:
        found = policy_of(model_id)
    except (DatabaseError, InterfaceError):
        return known[1] if known else UNKNOWN
    _known[model_id] = (time.monotonic(), found)
    return found


def change_policy(model: Model, by: AbstractBaseUser, *, keep: str, share: float, days: int) -> LogPolicy:
    """Say what is put down from now on. What was put down before stays as it is, and is kept as long as this says.

    ForbiddenError for who may not see the model's predictions, InvalidInputError names a wrong value.
    """
    require(by, Action.SEE_PREDICTIONS, model)
    problems: dict[str, list[str]] = {}
    if keep not in Keep.values:
        problems["keep"] = [f"Choose one of: {', '.join(Keep.values)}."]
    if not 0 <= share <= 1:
        problems["share"] = ["Must lie between 0 and 1."]
    if not 1 <= days <= MAX_DAYS:
        problems["days"] = [f"Must lie between 1 and {MAX_DAYS}."]
    if problems:
        raise InvalidInputError("The policy can't be kept.", "Correct the named fields.", fields=problems)
    values = {"keep": keep, "share": share, "days": days}
    with transaction.atomic():
        row, _ = LogPolicy.objects.update_or_create(model=model, defaults={**values, "changed_by": by})
        audit.write(by, "changed what is logged", model, **values)
    _known.pop(model.pk, None)
    return row
