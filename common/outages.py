"""What a round of work does when one of its pieces fails: an error of that piece is logged and the next has its turn;
an outage of the database ends the round, because all that follow would fail alike and the next round comes by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, connection


def database_is_away(error: BaseException) -> bool:
    """Whether this came of a connection that is gone. A statement that took too long or a lock that someone holds is of
    the same class, but leaves the connection usable: asked here, since the error itself does not tell."""
    return isinstance(error, OperationalError | InterfaceError) and not connection.is_usable()


@contextmanager
def a_turn(log: logging.Logger, failed: str, *args: object) -> Iterator[None]:
    """One piece of a round: what it raises is logged as `failed`, with `args` as logging does it, and goes no further
    than here unless the database is away."""
    try:
        yield
    except Exception as error:
        if database_is_away(error):
            raise
        log.exception(failed, *args)
