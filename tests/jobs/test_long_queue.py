"""A hundred thousand queued jobs: claims and lists look at a few of them."""

from __future__ import annotations

import statistics
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import places, queue, waiting
from jobs.models import Job, Slot
from jobs.queue import candidates, claim, ready
from jobs.reasons import places_of, waiting_reasons

MANY = 100_000
OWNERS = 20
LANES = ("any 1 0 ", "cuda 1 0 ", "cpu 1 4 ")

_FILL = """
INSERT INTO jobs_job (owner_id, name, recipe, config, seed, resources, lane, status, phase, waiting_for, request,
    priority, position, interrupted, preemptible, after_failure, phase_seconds, estimate, attempt_number,
    attempts_since_progress, current_step, figures, sample, spent_seconds, failure_code, failure_message, failure_hint,
    failure_traceback, metrics, environment, idempotency_key, request_digest, log_lines, event_count, created_at,
    queued_at)
SELECT (%s::bigint[])[1 + n %% %s], 'job ' || n, 'simulate', '{}', 0, '{}', (%s::text[])[1 + n %% 3], 'queued', '', '',
    '', n %% 4, n / %s, false, false, 'cancel', '{}', '{}', 0, 0, 0, '{}', '', 0, '', '', '', '', '{}', '{}', '', '', 0,
    0, now() - n * interval '1 ms', now()
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def owners(django_user_model, db):
    return django_user_model.objects.bulk_create(django_user_model(username=f"u{n}") for n in range(OWNERS))


def fill(owners, lanes) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_FILL, [[one.pk for one in owners], OWNERS, list(lanes), OWNERS, MANY])
        cursor.execute("ANALYZE jobs_job")


@pytest.fixture
def long_queue(owners):
    fill(owners, LANES)
    return owners


def plan_of(sql, parameters) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql, parameters)
        return "\n".join(row[0] for row in cursor.fetchall())


def milliseconds(call, times=15) -> float:
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def reading_all() -> float:
    """What it costs on this machine at this moment to look at each job of the queue."""
    return milliseconds(lambda: list(ready().values_list("pk", "lane")), times=3)


@pytest.mark.django_db
def test_a_claim_looks_at_the_first_jobs_only(long_queue, slot, myself):
    for query, parameters in ((queue._FIRST, [[], queue.FIRST]), (queue._CANDIDATES, [[], queue.HEADS])):
        assert "Seq Scan on jobs_job" not in plan_of(query, parameters)
    others = [Slot.objects.create(node=slot.node, index=n, device="cpu", queue=f"q{n}") for n in range(1, 16)]
    spent = []
    for place in others:
        first = ready().exclude(lane=LANES[1]).first()
        started = time.perf_counter()
        attempt = claim(place, myself)
        spent.append(1000 * (time.perf_counter() - started))
        assert attempt.job_id == first.pk
    print(f"claim among {MANY:,} queued jobs: median {statistics.median(spent):.1f} ms")
    assert statistics.median(spent) < reading_all()


@pytest.mark.django_db
def test_a_claim_that_finds_nothing_to_run_is_as_cheap(owners, slot, myself):
    fill(owners, [LANES[1]] * 3)
    assert claim(slot, myself) is None
    spent = milliseconds(lambda: claim(slot, myself))
    print(f"claim in vain among {MANY:,} queued jobs: median {spent:.1f} ms")
    assert spent < reading_all()


@pytest.mark.django_db
def test_a_job_behind_many_that_can_not_start_is_found(owners, slot, myself):
    fill(owners, [LANES[1]] * 3)
    last = ready().reverse().first()
    Job.objects.filter(pk=last.pk).update(lane=LANES[0])
    assert claim(slot, myself).job_id == last.pk


@pytest.mark.django_db
def test_lists_of_a_long_queue_use_indexes(long_queue, owner):
    newest = Job.objects.order_by("-created_at", "-id")
    listed = {
        "queue": ready()[:50],
        "jobs": newest[:50],
        "own jobs": newest.filter(owner=long_queue[0])[:50],
        "of a status": Job.objects.filter(status="completed").order_by("-created_at")[:200],
        "pending sweep": waiting._free_to_go().order_by("not_before", "pk")[:500],
        "head": places._level(0).values_list("position", flat=True)[:1],
    }
    for name, query in listed.items():
        plan = query.explain()
        assert "Seq Scan on jobs_job" not in plan, (name, plan)


@pytest.mark.django_db
def test_what_each_of_a_page_waits_for_takes_the_same_queries_for_one_and_for_many(long_queue, slot):
    some = list(ready()[:50])
    last = ready().reverse().first()
    for jobs in ([some[0]], some, [last]):
        with CaptureQueriesContext(connection) as queries:
            reasons = waiting_reasons(jobs)
        assert len(queries) <= 14 and all(reasons.values())
    assert places_of([last.pk])[last.pk] == MANY - 1
    assert places_of([job.pk for job in some]) == {job.pk: number for number, job in enumerate(some)}
    for name, call in {
        "places of the first 50": lambda: places_of([job.pk for job in some]),
        "place of the last": lambda: places_of([last.pk]),
        "places of the first 50 without a lane": lambda: places_of([job.pk for job in some], [LANES[1]]),
        "reasons of the first 50": lambda: waiting_reasons(some),
        "reason of the last": lambda: waiting_reasons([last]),
        "candidates": lambda: candidates([]),
    }.items():
        print(f"{name} of {MANY:,}: median {milliseconds(call, 7):.1f} ms")
