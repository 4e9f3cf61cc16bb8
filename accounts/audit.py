"""The audit trail: who decided what. Entries are never changed, and each one's hash takes in the one before it.

An entry is written in the transaction of what it tells. The database gives it its place and its hash when that
transaction commits (a deferred trigger, see `migrations/_sql.py`), so that writers wait for each other for that moment
alone.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone

from accounts.models import AuditEntry


def write(actor: AbstractBaseUser | None, verb: str, about: models.Model, **details: Any) -> AuditEntry:
    """Put down that `actor` (None: the hub by itself) did `verb` ("promoted", "deployed" …) to a row; in the caller's
    transaction. `details` must be what JSON can hold, dates and decimals included."""
    return AuditEntry.objects.create(
        at=timezone.now(),
        actor_id_then=actor.pk if actor else None,
        actor_name=actor.get_username() if actor else "",
        verb=verb,
        kind=about._meta.model_name or "",
        object_id=str(about.pk),
        name=str(about)[:300],
        details=json.dumps(details, cls=DjangoJSONEncoder, sort_keys=True, ensure_ascii=False),
    )
