"""Whether the audit trail is whole: every entry's hash is made again, here and not by the database, which may have been
changed together with what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.db import connection

from accounts.models import AuditEntry

CHUNK = 10_000
TOLD = 20  # places that are named; all are counted
JOINT = "\x1f"
ROWS = """
    SELECT place, previous_hash, hash, (extract(epoch FROM at) * 1000000)::bigint, coalesce(actor_id_then::text, ''),
        actor_name, verb, kind, object_id, name, details
    FROM accounts_auditentry WHERE place > %s ORDER BY place LIMIT %s
"""


@dataclass(frozen=True)
class Head:
    """The newest entry: whoever keeps its hash elsewhere can show later that nothing before it was changed."""

    place: int
    hash: str


@dataclass
class Verdict:
    """`broken` names the first places that are not right, `wrong` counts all; `unsealed` are entries without a place.
    `expected` says whether a hash that was noted before is in the chain; None: none was given."""

    count: int = 0
    head: Head | None = None
    broken: list[str] = field(default_factory=list)
    wrong: int = 0
    unsealed: int = 0
    expected: bool | None = None

    @property
    def whole(self) -> bool:
        return not self.wrong and not self.unsealed and self.expected is not False

    def note(self, problem: str) -> None:
        self.wrong += 1
        if len(self.broken) < TOLD:
            self.broken.append(problem)


def head() -> Head | None:
    """The newest entry of the chain; None when there is none."""
    row = AuditEntry.objects.filter(place__isnull=False).order_by("-place").values_list("place", "hash").first()
    return Head(*row) if row else None


def verify(noted: str = "") -> Verdict:
    """Walk the whole chain, with as much memory for a million entries as for ten. `noted` is the hash of an entry that
    was put down elsewhere before: only by such a one is it seen that the newest entries were cut off, or that someone
    made the whole chain anew."""
    verdict = Verdict(unsealed=AuditEntry.objects.filter(place=None).count(), expected=False if noted else None)
    place, before = 0, ""
    for row in _rows():
        found, previous, digest = row[:3]
        if found != place + 1:
            verdict.note(_missing(place + 1, found - 1))
        elif previous != before:
            verdict.note(f"Entry {found} does not follow the one before it: that one was changed or exchanged.")
        if _hash(row) != digest:
            verdict.note(f"Entry {found} was changed: its content does not have its hash.")
        if digest == noted:
            verdict.expected = True
        place, before = found, digest
        verdict.count += 1
    verdict.head = Head(place, before) if place else None
    return verdict


def _rows() -> Iterator[tuple[int, str, str, int, str, str, str, str, str, str, str]]:
    last = -(2**62)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(ROWS, [last, CHUNK])
            rows = cursor.fetchall()
            yield from rows
            if len(rows) < CHUNK:
                return
            last = rows[-1][0]


def _hash(row: tuple[int, str, str, int, str, str, str, str, str, str, str]) -> str:
    place, previous, _, micros, *rest = row
    return hashlib.sha256(JOINT.join([previous, str(place), str(micros), *rest]).encode()).hexdigest()


def _missing(first: int, last: int) -> str:
    if last < first:
        return f"Entry {last + 1} has a place that can't be."
    return f"Entry {first} is missing." if first == last else f"Entries {first} to {last} are missing."
