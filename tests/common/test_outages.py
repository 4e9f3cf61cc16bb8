"""A round goes on after a piece that failed, and ends when the database is away."""

from __future__ import annotations

import logging

import pytest
from django.db import OperationalError, connection, transaction

from common.outages import a_turn

log = logging.getLogger(__name__)


def refused_by_the_database() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 1")
        cursor.execute("SELECT pg_sleep(5)")


def broken() -> None:
    raise KeyError("seats")


@pytest.mark.parametrize(("piece", "name"), [(broken, "KeyError"), (refused_by_the_database, "OperationalError")])
@pytest.mark.django_db
def test_what_fails_is_logged_and_the_next_has_its_turn(piece, name, caplog):
    done = []
    for act in (piece, lambda: done.append("next")):
        with a_turn(log, "piece %s failed", 7):
            act()
    assert done == ["next"]
    (said,) = caplog.records
    assert said.getMessage() == "piece 7 failed" and said.exc_info[0].__name__ == name


@pytest.mark.django_db(transaction=True)
def test_nothing_goes_on_while_the_database_is_away(caplog):
    with pytest.raises(OperationalError), a_turn(log, "piece failed"), connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()
    assert not caplog.records
