"""How far reviewers agree: the share of equal votes, and kappa, which takes off what chance alone would give.

For two reviewers Cohen's kappa, for more Fleiss' (with any number of votes an item). Only items count of which at least
two people said something in the same round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from datasets.models import Dataset

MAX_PAIRS = 200


@dataclass(frozen=True)
class Agreement:
    """`equal`: share of pairs of votes that are equal, 0–1. `kappa`: None where it means nothing."""

    items: int
    reviewers: int
    equal: float | None
    kappa: float | None
    method: str  # "Cohen", "Fleiss", or "" when nobody can be compared


@dataclass(frozen=True)
class Pair:
    """Two reviewers and the items that both looked at."""

    first: str
    second: str
    items: int
    equal: float
    kappa: float | None


def agreement(dataset: Dataset) -> Agreement:
    """Of all reviewers of a dataset."""
    people = _people(dataset)
    if len(people) < 2:
        return Agreement(0, len(people), None, None, "")
    if len(people) == 2:
        pair = pairs(dataset)[0]
        return Agreement(pair.items, 2, pair.equal, pair.kappa, "Cohen")
    rows = _query(
        f"""SELECT approved, change, rejected, count(*) FROM (
               SELECT count(*) FILTER (WHERE verdict = 'approved') AS approved,
                      count(*) FILTER (WHERE verdict = 'change') AS change,
                      count(*) FILTER (WHERE verdict = 'rejected') AS rejected
               FROM ({_COUNTED}) votes GROUP BY item_id, round HAVING count(*) > 1) items GROUP BY 1, 2, 3""",
        dataset,
    )
    counts = {tuple(row[:3]): row[3] for row in rows}
    equal, kappa = fleiss(counts)
    return Agreement(sum(counts.values()), len(people), equal, kappa, "Fleiss")


def pairs(dataset: Dataset) -> list[Pair]:
    """Each two reviewers that looked at the same items, by name."""
    rows = _query(
        f"""SELECT a.reviewer_id, b.reviewer_id, a.verdict, b.verdict, count(*)
            FROM ({_COUNTED}) a JOIN ({_COUNTED}) b USING (item_id, round)
            WHERE a.reviewer_id < b.reviewer_id GROUP BY 1, 2, 3, 4""",
        dataset,
    )
    names = _people(dataset)
    tables: dict[tuple[int, int], Counter[tuple[str, str]]] = {}
    for first, second, said, other, count in rows:
        tables.setdefault((first, second), Counter())[said, other] += count
    found = []
    for (first, second), table in sorted(tables.items())[:MAX_PAIRS]:
        equal, kappa = cohen(table)
        found.append(Pair(names[first], names[second], table.total(), equal, kappa))
    return found


def cohen(table: Counter[tuple[str, str]]) -> tuple[float, float | None]:
    """(share of equal votes, Cohen's kappa) of how often each two verdicts met. At least one item."""
    total = table.total()
    equal = sum(count for (first, second), count in table.items() if first == second) / total
    rows: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for (first, second), count in table.items():
        rows[first] += count
        columns[second] += count
    chance = sum(rows[verdict] * columns[verdict] for verdict in rows) / total**2
    return equal, _kappa(equal, chance)


def fleiss(counts: dict[tuple[int, ...], int]) -> tuple[float | None, float | None]:
    """(share of equal pairs, Fleiss' kappa). `counts`: votes of an item by verdict → how many such items."""
    items = sum(counts.values())
    if not items:
        return None, None
    equal = sum(_pairs(votes) / _pairs([sum(votes)]) * count for votes, count in counts.items()) / items
    said = [sum(votes[verdict] * count for votes, count in counts.items()) for verdict in range(3)]
    chance = sum((number / sum(said)) ** 2 for number in said)
    return equal, _kappa(equal, chance)


def _pairs(votes: Iterable[int]) -> int:
    return sum(number * (number - 1) for number in votes)


def _kappa(equal: float, chance: float) -> float | None:
    return None if chance >= 1 else (equal - chance) / (1 - chance)


# Votes that were not replaced, of rounds in which two people spoke.
_COUNTED = """SELECT item_id, round, reviewer_id, verdict FROM datasets_reviewvote
              WHERE dataset_id = %(dataset)s AND withdrawn_at IS NULL"""


def _people(dataset: Dataset) -> dict[int, str]:
    """Who voted on an item that somebody else voted on, too."""
    rows = _query(
        f"""SELECT DISTINCT votes.reviewer_id, person.username FROM ({_COUNTED}) votes
            JOIN auth_user person ON person.id = votes.reviewer_id
            WHERE EXISTS (SELECT 1 FROM ({_COUNTED}) other WHERE other.item_id = votes.item_id
                          AND other.round = votes.round AND other.reviewer_id <> votes.reviewer_id)""",
        dataset,
    )
    return dict(rows)


def _query(sql: str, dataset: Dataset) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"dataset": dataset.pk})
        return cursor.fetchall()
