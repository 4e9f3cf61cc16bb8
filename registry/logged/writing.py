"""Putting predictions down: ids at once, rows in batches behind the back of whoever answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings

from registry.logged.buffer import buffer
from registry.logged.policies import recent_policy
from registry.logged.rows import MAX_ROWS, Asked, new_ids, row_ids, rows_of
from registry.logged.storing import store
from registry.routing import Choice

__all__ = ["MAX_ROWS", "Asked", "flush", "row_ids", "write"]


def write(
    asked: Asked,
    choice: Choice,
    outputs: Sequence[Mapping[str, Any]],
    latency_ms: float,
    *,
    shadow_of: UUID | Sequence[UUID] | None = None,
    error: str = "",
) -> list[UUID]:
    """Put down what a version answered; returns an id for each output, in order.

    Of a table each row is a prediction of its own: `row_ids` tells their ids. `shadow_of` are the ids of the answers
    that were given while this one was not, one for each output. Of a request that failed there are no outputs: `error`
    says why, and each input has an id. Neither the database nor a policy that leaves the prediction out keeps anybody
    waiting: the ids are the same.
    """
    ids = new_ids(len(asked.inputs) if error else len(outputs))
    shadows = [shadow_of] if isinstance(shadow_of, UUID) else list(shadow_of or ())
    policy = recent_policy(choice.version.model_id)
    rows = rows_of(asked, choice, ids, [] if error else outputs, latency_ms, policy, shadows, error)
    if rows and settings.LOG_PREDICTIONS_AT_ONCE:
        store(rows)
    elif rows:
        buffer.put(rows)
    return ids


def flush() -> bool:
    """Wait, two seconds at most, until what this process put down is there; False when it is not."""
    return settings.LOG_PREDICTIONS_AT_ONCE or buffer.flush()
