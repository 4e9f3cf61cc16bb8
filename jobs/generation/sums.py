"""What the examples of a run add up to, kept block by block.

A block is counted anew from its rows whenever they are written or forgotten. So the sums are exact whatever is told
twice, and the page of a million examples reads two thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Max, Min, Sum

from jobs.generation.figures import Figures, figures_of
from jobs.models import ExampleSum, Job

BLOCK = 500  # also in the SQL here and in the migration

_RECOUNT = """
WITH made AS NOT MATERIALIZED (SELECT job_id, step / 500 AS block, kept, score, genre, winner, candidates
    FROM jobs_generatedexample WHERE job_id = %s AND step >= %s AND step < %s),
genres AS (SELECT job_id, block, jsonb_object_agg(genre, number) AS found FROM (
    SELECT job_id, block, genre, count(*) AS number FROM made WHERE kept GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
wins AS (SELECT job_id, block, jsonb_object_agg(winner, number) AS found FROM (
    SELECT job_id, block, winner, count(*) AS number FROM made WHERE kept GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
scores AS (SELECT job_id, block, jsonb_object_agg(name, jsonb_build_array(number, scores)) AS found FROM (
    SELECT job_id, block, part->>'generator' AS name, count(*) AS number, sum((part->>'score')::float8) AS scores
    FROM made, jsonb_array_elements(candidates) AS part WHERE jsonb_typeof(part->'score') = 'number'
    GROUP BY 1, 2, 3) AS one GROUP BY 1, 2),
whole AS (SELECT job_id, block, count(*) AS made, count(*) FILTER (WHERE kept) AS kept,
    coalesce(sum(score) FILTER (WHERE kept), 0) AS score, min(score) FILTER (WHERE kept) AS least,
    max(score) FILTER (WHERE kept) AS most FROM made GROUP BY 1, 2)
INSERT INTO jobs_examplesum (job_id, block, made, kept, score, least, most, genres, wins, candidates)
SELECT job_id, block, made, kept, score, least, most, coalesce(genres.found, '{}'), coalesce(wins.found, '{}'),
    coalesce(scores.found, '{}')
FROM whole LEFT JOIN genres USING (job_id, block) LEFT JOIN wins USING (job_id, block)
    LEFT JOIN scores USING (job_id, block)
"""


def recount(job_id: int, first: int, last: int | None = None) -> None:
    """Count the blocks of steps `first` to `last` anew, or up to the end; in the transaction that changed their rows,
    which holds the job's row."""
    blocks = ExampleSum.objects.filter(job=job_id, block__gte=first // BLOCK)
    if last is not None:
        blocks = blocks.filter(block__lte=last // BLOCK)
    blocks.delete()
    end = 2**62 if last is None else (last // BLOCK + 1) * BLOCK
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT, [job_id, first // BLOCK * BLOCK, end])


def figures(job: Job, names: Iterable[str]) -> Figures:
    """The same as `examples.figures` of the whole run, from the sums."""
    rows = ExampleSum.objects.filter(job=job).order_by()
    total = rows.aggregate(made=Sum("made"), kept=Sum("kept"), score=Sum("score"), least=Min("least"), most=Max("most"))
    kept = total["kept"] or 0
    candidates = _added(job, "candidates", "sum((value->>0)::bigint), sum((value->>1)::float8)")
    return figures_of(
        names, made=total["made"] or 0, kept=kept, quality=total["score"] / kept if kept else None,
        least=total["least"], most=total["most"],
        genres={genre: int(count) for genre, count in _added(job, "genres", "sum(value::bigint)")},
        wins={winner: int(count) for winner, count in _added(job, "wins", "sum(value::bigint)")},
        means={name: scores / int(count) for name, count, scores in candidates},
    )  # fmt: skip


def since_kept(job: Job, count: int) -> int:
    """A step from which on at least the latest `count` kept examples lie; all of them, where there are fewer."""
    blocks = ExampleSum.objects.filter(job=job, kept__gt=0).order_by("-block").values_list("block", flat=True)[:count]
    return min(blocks, default=0) * BLOCK


def _added(job: Job, column: str, sums: str) -> list[tuple[Any, ...]]:
    """(key, sums over all blocks) of one of the mappings."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT key, {sums} FROM jobs_examplesum, jsonb_each({column}) WHERE job_id = %s GROUP BY key", [job.pk]
        )
        return cursor.fetchall()
