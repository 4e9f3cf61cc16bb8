"""The page of a run that made a million examples of three candidates each; in the database of `bench.history`."""

from __future__ import annotations

import time
from typing import Any

from bench.report import line, spread

EXAMPLES = 1_000_000
PART = 100_000

EXAMPLES_SQL = """
INSERT INTO jobs_generatedexample (job_id, step, genre, prompt, kept, winner, score, text, reason, candidates, at)
SELECT %(job)s, n, 'genre ' || n %% 12, 'Tell me story ' || n, n %% 10 > 0, 'endpoint m' || n %% 3,
    5 + n %% 50 / 10.0, repeat('word ', 60), CASE WHEN n %% 10 = 0 THEN 'Too bad.' ELSE '' END,
    (SELECT jsonb_agg(jsonb_build_object('generator', 'endpoint m' || m, 'text', repeat('word ', 60), 'score',
        5 + (n + m) %% 50 / 10.0, 'reasons', '[]'::jsonb, 'error', '', 'seconds', 0.5))
    FROM generate_series(0, 2) AS m), now()
FROM generate_series(%(first)s::int, %(last)s::int) AS n
"""


def run_of(owner: Any) -> Any:
    """The run, with all its examples; as an earlier bench left it, where it did."""
    from django.db import connection

    from jobs.creation import create_job
    from jobs.generation import sums
    from jobs.models import Job

    known = Job.objects.filter(owner=owner, name="Stories").first()
    if known is not None:
        return known
    job = create_job(owner, recipe="simulate", name="Writing")[0]
    config = {"generators": "endpoint m0\nendpoint m1\nendpoint m2", "examples": EXAMPLES}
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for first in range(1, EXAMPLES, PART):
            cursor.execute(EXAMPLES_SQL, {"job": job.pk, "first": first, "last": first + PART - 1})
        written = time.perf_counter()
        sums.recount(job.pk, 1)
        line("adding up a million examples anew", f"{time.perf_counter() - written:.1f} s")
        for table in ("jobs_generatedexample", "jobs_examplesum"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute("SET statement_timeout = '15s'")
    Job.objects.filter(pk=job.pk).update(
        name="Stories", recipe="generate", config=config, status="completed", current_step=EXAMPLES,
        completed_at=job.created_at,
    )  # fmt: skip
    line(f"(examples written in {time.perf_counter() - started:.0f} s)", "")
    return Job.objects.get(pk=job.pk)


def measure(job: Any, repeats: int) -> None:
    """What is drawn at each change of the page, and what a batch of ten more costs."""
    from django.db import transaction

    from jobs.generation import examples, shown
    from jobs.models import GeneratedExample

    told = GeneratedExample.objects.filter(job=job, step__gt=EXAMPLES - 10).defer("item")
    names = ("step", "genre", "prompt", "kept", "winner", "score", "text", "reason", "candidates", "at")
    rows = list(told.values(*names))

    def write() -> None:
        with transaction.atomic():
            examples.write(job.pk, 1, rows)

    for name, act, times in (
        ("figures of 1,000,000 examples, as the page has them", lambda: shown.made(job), repeats),
        ("the same, counted from the rows, as a session has them", lambda: examples.figures(job, []), 3),
        ("ten examples written, with their sums", write, repeats),
    ):
        line(name, spread([_took(act) for _ in range(times)]))


def _took(act: Any) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
