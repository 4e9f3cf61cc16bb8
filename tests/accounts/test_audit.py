"""The audit trail: each entry has its place and takes in the one before it; nothing in it can be changed."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, connections, transaction

from accounts import audit
from accounts.models import AuditEntry
from tests.world import make_user

pytestmark = pytest.mark.django_db(transaction=True)


def chain() -> list[AuditEntry]:
    return list(AuditEntry.objects.order_by("place"))


def test_entries_are_chained_when_they_commit():
    user = make_user()
    first = audit.write(user, "promoted", user, margin=0.1)
    audit.write(None, "demoted", user)
    one, two = chain()
    assert (one.pk, one.place, one.previous_hash, one.actor_name) == (first.pk, 1, "", user.username)
    assert (two.place, two.previous_hash, two.actor_name) == (2, one.hash, "")
    assert len(one.hash) == 64 != two.hash


def test_what_is_rolled_back_leaves_no_gap():
    user = make_user()
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.write(user, "promoted", user)
        raise RuntimeError
    audit.write(user, "demoted", user)
    assert [entry.place for entry in chain()] == [1]


def test_many_writers_make_one_chain():
    user = make_user()

    def write() -> None:
        for _ in range(10):
            with transaction.atomic():
                audit.write(user, "promoted", user)
                audit.write(user, "demoted", user)
        connections.close_all()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = chain()
    assert [entry.place for entry in entries] == list(range(1, 81))
    assert [entry.previous_hash for entry in entries] == ["", *(entry.hash for entry in entries[:-1])]


@pytest.mark.parametrize(
    "change", ["UPDATE accounts_auditentry SET verb = 'x'", "UPDATE accounts_auditentry SET hash = 'x'",
               "UPDATE accounts_auditentry SET place = NULL", "DELETE FROM accounts_auditentry"],
)  # fmt: skip
def test_entries_can_not_be_changed(change):
    user = make_user()
    audit.write(user, "promoted", user)
    with pytest.raises(IntegrityError, match="only added to"), connection.cursor() as cursor:
        cursor.execute(change)
