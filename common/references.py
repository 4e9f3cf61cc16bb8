"""Who still needs a file of the store: asked before a file is deleted.

The store is shared by rooms that don't know each other. Each room whose rows name files registers a
function here, in its AppConfig.ready. A writer holds the store in the transaction that makes a file and the
row that names it, so that no file vanishes between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from django.db import connection, transaction

from common.files import FileStore

Keeper = Callable[[list[str]], set[str]]

_KEY = 0x7EAC4B  # any constant: names the store among advisory locks
_keepers: list[Keeper] = []


def register_keeper(keeper: Keeper) -> None:
    """`keeper` gets SHA-256 addresses and returns those that some row of its room still names."""
    if keeper not in _keepers:
        _keepers.append(keeper)


def hold_store() -> None:
    """Until the end of the present transaction no file of the store is deleted. Writers don't hinder each other."""
    _lock("pg_advisory_xact_lock_shared")


def needed(addresses: list[str], but: Keeper | None = None) -> set[str]:
    """Those that some room names now; `but` leaves one keeper out."""
    return set().union(*(keeper(addresses) for keeper in _keepers if keeper != but))


def remove_unreferenced(store: FileStore, addresses: Iterable[str]) -> int:
    """Delete those of the files that no room needs any more. Returns the bytes freed."""
    freed = 0
    rest = iter(addresses)
    while chunk := list(islice(rest, 500)):
        with transaction.atomic():
            _lock("pg_advisory_xact_lock")
            kept = needed(chunk)
            freed += sum(store.remove(sha256) for sha256 in chunk if sha256 not in kept)
    return freed


def _lock(function: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s)", [_KEY])
