"""Ids that are unique everywhere and lie in the order of their making."""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def uuid7(at: datetime | None = None) -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): milliseconds since 1970, then chance. `at` None: of now."""
    stamp = time.time_ns() // 1_000_000 if at is None else int(at.timestamp() * 1000)
    chance = int.from_bytes(os.urandom(10))
    high = (stamp & 0xFFFFFFFFFFFF) << 16 | 0x7000 | chance >> 68
    low = 0x8000000000000000 | chance & 0x3FFFFFFFFFFFFFFF
    return uuid.UUID(int=high << 64 | low)


def moment_of(made: uuid.UUID) -> datetime:
    """When a `uuid7` was made, to the millisecond; years from now or in 1970 for ids of another kind."""
    return EPOCH + MILLISECOND * min(made.int >> 80, 253_402_300_799_000)  # the year 9999


def least_at(moment: datetime) -> uuid.UUID:
    """The least id whose time (`moment_of`) is at or after a time: ids of a period lie between two of these.

    Rounds up, as ids tell whole milliseconds: one of 12:00:00.001 was not made at or after 12:00:00.0015.
    """
    return uuid.UUID(int=(max(0, -((EPOCH - moment) // MILLISECOND)) & 0xFFFFFFFFFFFF) << 80)
