"""Whom an import may ask: the public internet, and what an administrator allows. `engine.guarded` connects."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from common.errors import InvalidInputError, UnavailableError
from engine import guarded
from engine.guarded import Allowance

PORTS = {80, 443, 8000, 8080, 8443, 9000}


def allowance() -> Allowance:
    """What the administrator allows now."""
    return Allowance.of(settings.TRAINHUB_ALLOW_INTERNAL_SOURCES)


@contextmanager
def told() -> Iterator[None]:
    """A refusal of the guard as the hub's doors tell it."""
    try:
        yield
    except guarded.UnreachableError as error:
        raise UnavailableError(error.message, error.hint) from error
    except guarded.RefusedError as error:
        raise InvalidInputError(error.message, error.hint) from error


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a host that may be asked.

    InvalidInputError when it leads into a private network or the port is not used for files; UnavailableError when
    the name is unknown or nobody answers.
    """
    with told():
        return guarded.connect(host, port, timeout, allowance(), PORTS)


def check_literal(host: str) -> None:
    """InvalidInputError at the doors for a host that is an address inside already; names are looked up by the worker
    alone."""
    with told():
        guarded.check_literal(host, allowance())
