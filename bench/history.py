"""A history of a million sessions and 200,000 jobs: server time of lists, filters, trends, and of the export."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench import examples, scratch
from bench.report import line, spread

SESSIONS, JOBS = 1_000_000, 200_000
OTHERS = 50  # people who share half of the sessions; the other half is one person's
REPEATS = 30
PART = 100_000

# Every fifth run is a generation, with genres and models that compete; two years, a run a minute.
SESSIONS_SQL = """
INSERT INTO history_session (user_id, session_id, kind, name, recipe, outcome, job_id, subject_id, modality, metric,
    metric_value, estimated_seconds, cost, currency, note, tags, starred, examples_requested, examples_successful,
    examples_failed, genres, stored_in_memory, saved_to_database, saved_count, quality_average, quality_min,
    quality_max, best_model, performance_by_model, genre_distribution, total_seconds, examples_before, examples_after,
    fine_tuning_triggered, metrics, request_digest, started_at, completed_at, created_at)
SELECT CASE WHEN n %% 2 = 0 THEN %(owner)s ELSE (%(others)s::int[])[1 + n / 2 %% %(count)s] END, gen_random_uuid(),
    CASE WHEN made THEN 'generation' ELSE 'training' END,
    'Run ' || n || CASE WHEN n %% 20000 = 0 THEN ' zebra' ELSE '' END,
    (ARRAY['text-generation', 'image-classification', 'forecast', 'simulate'])[1 + n / 2 %% 4],
    CASE WHEN n %% 50 = 4 THEN 'failed' WHEN n %% 1000 = 6 THEN 'cancelled' ELSE 'completed' END,
    CASE WHEN n <= %(jobs)s THEN n END,
    CASE WHEN n %% 10 = 0 THEN (%(subjects)s::int[])[1 + n / 10 %% 20] END,
    (ARRAY['text', 'image', 'table', ''])[1 + n / 2 %% 4],
    (ARRAY['validation/loss', 'validation/accuracy', 'validation/loss', ''])[1 + n / 2 %% 4], 0.2 + n %% 100 / 200.0,
    60 + n %% 60, n %% 100 / 50.0, 'EUR', '', CASE WHEN n %% 5000 = 0 THEN ARRAY['checked'] ELSE '{}'::varchar[] END,
    n %% 2500 = 0, 100, 100 - n %% 10, n %% 10,
    CASE WHEN made THEN jsonb_build_array('genre ' || n %% 12, 'genre ' || n %% 7) ELSE '[]' END, false, true,
    90 - n %% 10,
    CASE WHEN made THEN 5 + n %% 40 / 10.0 END, CASE WHEN made THEN 3.0 END, CASE WHEN made THEN 9.5 END,
    CASE WHEN made THEN 'Model ' || n %% 3 ELSE '' END,
    CASE WHEN made THEN jsonb_build_object('Model ' || n %% 3, '{"wins": 6, "average_quality": 7.5}'::jsonb,
        'Model ' || (n + 1) %% 3, '{"wins": 4, "average_quality": 6.5}'::jsonb) ELSE '{}' END,
    CASE WHEN made THEN jsonb_build_object('genre ' || n %% 12, 60, 'genre ' || n %% 7, 40) ELSE '{}' END,
    60 + n %% 90, n %% 1000, n %% 1000 + 90, n %% 7 = 0, '{"train/loss": 0.5, "validation/loss": 0.6}', '',
    timestamptz '2024-01-01' + n * interval '63 seconds', timestamptz '2024-01-01' + n * interval '63 seconds'
        + interval '1 minute', now()
FROM (SELECT n, n %% 5 = 0 AS made FROM generate_series(%(first)s::int, %(last)s::int) AS n) AS numbers
"""


def main() -> None:
    print("\n## History", flush=True)
    with scratch.database("history", TRAINHUB_DEVICE_HOUR_PRICE="EUR cpu=0.05") as home:
        _measure(home / scratch.FILLED)


def _measure(mark: Path) -> None:
    from django.db import connection
    from django.test import Client

    owner, boss, subject = _filled(mark)
    from common.settling import settle
    from history.models import Session

    middle = Session.objects.filter(user=owner).order_by("-started_at", "-id").values_list("pk", flat=True)[200_000]
    client, staff = (Client(headers={"host": "127.0.0.1"}) for _ in range(2))
    client.force_login(owner)
    staff.force_login(boss)
    settle()  # as the web process does
    for name, query in {
        "first page": "", "page in the middle": f"?after={middle}", "oldest first": "?sort=started",
        "200 on a page": "?size=200", "slowest first": "?sort=-time", "best quality first": "?sort=-quality",
        "by name": "?sort=name", "failed (4 %)": "?outcome=failed",
        "cancelled, one recipe": "?outcome=cancelled&recipe=forecast",
        "failed, best quality first": "?outcome=failed&sort=-quality", "model type": "?modality=image",
        "a month": "?since=2025-01-01&until=2025-01-31", "a subject": f"?subject={subject}", "a tag": "?tag=checked",
        "starred": "?starred=1", "search: in every run": "?search=run", "search: in one of 20,000": "?search=zebra",
        "search: nowhere": "?search=unicorn",
    }.items():  # fmt: skip
        _timed(f"history, {name}: page, count and figures", _ask(client, f"/history{query}"), "100 ms")
    for name, query in {
        "first page": "", "failed": "?outcome=failed", "slowest first": "?sort=-time", "by name": "?sort=name",
        "failed, dearest first": "?outcome=failed&sort=-cost", "of one user": f"?user={owner.pk}&outcome=failed",
    }.items():  # fmt: skip
        _timed(f"history of everyone, {name}", _ask(staff, f"/history{query}"))
    _timed("history, a row opened", _ask(client, f"/history/{middle}"), "100 ms")
    for by in ("recipe", "subject", "model"):
        _timed(f"trends by {by}", _ask(client, f"/history/trends?by={by}"))
    _timed("trends by day", _ask(client, "/history/trends?period=day"))
    _timed("trends by subject and day", _ask(client, "/history/trends?by=subject&period=day"))
    _timed("trends by subject of what generates", _ask(client, "/history/trends?by=subject&kind=generation"))
    _timed("trends of what a search finds", _ask(client, "/history/trends?search=run"))
    _timed("trends of a subject", _ask(client, f"/history/trends?subject={subject}"))
    _timed("trends of everyone", _ask(staff, "/history/trends"))
    _timed("trends of everyone by day", _ask(staff, "/history/trends?period=day"))
    user = f"/api/v1/training-history/user/{owner.pk}"
    _timed("API: statistics", _ask(client, f"{user}/stats"), "100 ms")
    _timed("API: find, failed", _ask(client, f"{user}/find?outcome=failed"), "100 ms")
    _timed("API: middle page of all sessions by number", _ask(client, f"{user}/paginated?size=200&page=1250"))
    _timed("API: last page of all sessions by number", _ask(client, f"{user}/paginated?size=200&page=2500"))
    _timed("jobs page, 200,000 jobs", _ask(client, "/jobs"))
    _timed("jobs page, the last of 8,000", _ask(client, "/jobs?page=8000"))
    _timed("jobs page, by name", _ask(client, "/jobs?sort=name"))
    writing = examples.run_of(owner)
    _timed("page of a run of 1,000,000 examples", _ask(client, f"/jobs/{writing.pk}"))
    examples.measure(writing, REPEATS)
    for form in ("csv", "parquet"):
        _export(client, form)
    connection.close()


def _ask(client: Any, address: str) -> Callable[[], Any]:
    def ask() -> None:
        answer = client.get(address, headers={"HX-Request": "true"})
        assert answer.status_code == 200, answer.content[:300]

    return ask


def _timed(name: str, ask: Callable[[], Any], aim: str = "") -> None:
    ask()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    line(name, spread(times), aim)


def _export(client: Any, form: str) -> None:
    """The rate, and how much memory this process took for it at most."""
    _used(client.get(f"/history?export={form}&tag=checked"))  # what is imported is so by now
    before, peak = _memory(), [0]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], _memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    size = _used(client.get(f"/history?export={form}"))
    took = time.perf_counter() - started
    done.set()
    watcher.join()
    rows, grown = SESSIONS // 2, max(0, peak[0] - before) / 2**20
    line(f"export of {rows:,} sessions as {form}, {size / 2**20:,.0f} MiB", f"{rows / took:,.0f} rows/s")
    line("the same: memory at most", f"+{grown:.0f} MiB")


def _used(answer: Iterable[bytes]) -> int:
    return sum(len(piece) for piece in answer)


def _memory() -> int:
    """Resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _filled(mark: Path) -> tuple[Any, Any, int]:
    """A million sessions and 200,000 jobs, put there by SQL: (whose half they are, an administrator, a subject)."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from datasets.models import Subject
    from datasets.subjects.subjects import create
    from history import daily

    people = get_user_model().objects
    if mark.exists():
        return people.get(username="bench"), people.get(username="boss"), Subject.objects.get(name="Subject 0").pk
    owner = people.create_user("bench", "bench@example.org", "benchmarks only")
    boss = people.create_superuser("boss", "boss@example.org", "benchmarks only")
    others = [people.create_user(f"other-{n}", "", None).pk for n in range(OTHERS)]
    subjects = [create(owner, name=f"Subject {n}").pk for n in range(20)]
    values = {"owner": owner.pk, "others": others, "count": OTHERS, "subjects": subjects, "jobs": JOBS}
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        _fill_jobs(owner, JOBS)
        for first in range(1, SESSIONS, PART):
            cursor.execute(SESSIONS_SQL, values | {"first": first, "last": min(SESSIONS, first + PART - 1)})
        filled = time.perf_counter()
        daily.rebuild()
        line("adding up a million sessions anew", f"{time.perf_counter() - filled:.1f} s")
        for table in ("history_session", "history_sessionday", "history_sessiondayshare", "jobs_job"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute("SET statement_timeout = '15s'")
    line(f"(filled in {time.perf_counter() - started:.0f} s)", "")
    mark.touch()
    return owner, boss, subjects[0]


def _fill_jobs(owner: Any, count: int) -> None:
    """Completed copies of one job, by SQL."""
    from django.db import connection

    from jobs.creation import create_job
    from jobs.models import Job

    first = create_job(owner, recipe="simulate", name="Run")[0]
    columns = [field.column for field in Job._meta.concrete_fields if field.column != "id"]
    made = {"name": "'Run ' || n", "status": "'completed'", "completed_at": "now()", "created_at":
            "timestamptz '2024-01-01' + n * interval '63 seconds'"}  # fmt: skip
    shown = ", ".join(made.get(column, f'j."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO jobs_job (id, {names}) SELECT n, {shown} FROM jobs_job AS j, "
            "generate_series(2, %s::int) AS n WHERE j.id = %s",
            [count, first.pk],
        )
        cursor.execute("SELECT setval(pg_get_serial_sequence('jobs_job', 'id'), %s)", [count])


if __name__ == "__main__":
    main()
