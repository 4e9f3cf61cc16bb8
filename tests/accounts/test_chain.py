"""Whoever changes the audit trail behind its triggers is found out."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from accounts import audit, chain
from accounts.models import AuditEntry
from tests.world import make_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trail(monkeypatch):
    """Seven entries, walked three at a time."""
    monkeypatch.setattr(chain, "CHUNK", 3)
    user = make_user("ada")
    for number in range(7):
        audit.write(user if number % 2 else None, "promoted", user, number=number, why="Grüße\n\u2028 'x'")
    return user


def attack(*statements: str) -> None:
    """As somebody with all rights on the database does it."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("ALTER TABLE accounts_auditentry ENABLE TRIGGER USER")


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def problem(*arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        said("verify", *arguments)
    return str(refused.value)


def test_an_untouched_trail_is_whole_and_shows_its_head(trail):
    newest = AuditEntry.objects.get(place=7)
    assert said("head").split() == ["7", newest.hash]
    assert "7 entries" in said("verify") and newest.hash in said("verify")
    assert "is whole" in said("verify", "--noted", AuditEntry.objects.get(place=3).hash)


def test_an_empty_trail_is_whole():
    assert chain.verify().whole and said("head").split() == ["0", "-"]


@pytest.mark.parametrize(
    "change", ["verb = 'x'", "name = 'x'", "details = '{}'", "actor_name = 'eve'", "actor_id_then = 99",
               "at = at + interval '1 microsecond'", "kind = 'x'", "object_id = '0'"],
)  # fmt: skip
def test_a_changed_field_is_found_at_its_place(trail, change):
    attack(f"UPDATE accounts_auditentry SET {change} WHERE place = 4")
    assert "Entry 4 was changed" in problem()


def test_an_entry_that_was_sealed_anew_does_not_fit_the_next_one(trail):
    attack(
        "UPDATE accounts_auditentry SET verb = 'x' WHERE place = 4",
        "UPDATE accounts_auditentry e SET hash = trainhub_audit_hash(e) WHERE place = 4",
    )
    assert "Entry 5 does not follow" in problem()


def test_a_deleted_entry_is_missed(trail):
    attack("DELETE FROM accounts_auditentry WHERE place IN (3, 4)")
    assert "Entries 3 to 4 are missing" in problem()
    attack("DELETE FROM accounts_auditentry WHERE place = 1")
    assert "Entry 1 is missing" in problem()


def test_exchanged_entries_are_found(trail):
    attack(
        "UPDATE accounts_auditentry SET place = -1 WHERE place = 2",
        "UPDATE accounts_auditentry SET place = 2 WHERE place = 5",
        "UPDATE accounts_auditentry SET place = 5 WHERE place = -1",
    )
    assert "Entry 2" in problem().splitlines()[1] and "Entry 5" in problem()


def test_what_was_cut_off_or_made_anew_is_seen_by_a_hash_that_was_noted(trail):
    noted = chain.head().hash
    attack("DELETE FROM accounts_auditentry WHERE place = 7")
    assert "is whole" in said("verify")
    assert "noted hash is not in the chain" in problem("--noted", noted)


def test_an_entry_without_a_place_is_told(trail):
    attack(
        "INSERT INTO accounts_auditentry (at, actor_name, verb, kind, object_id, name, details, previous_hash, hash)"
        " VALUES (now(), '', 'v', 'k', '1', 'n', '{}', '', '')"
    )
    assert "without a place in the chain: 1" in problem()
