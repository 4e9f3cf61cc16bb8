"""Ten million logged predictions of three models over 90 days, three millions of them with an outcome: server time of
pages and lists, of reckoning figures, of removing what is old, and of putting predictions down.

BENCH_PREDICTIONS says how many, where there is less room.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import scratch
from bench.report import line, spread

PREDICTIONS = int(os.environ.get("BENCH_PREDICTIONS", 10_000_000))
DAYS, PART, REPEATS = 90, 500_000, 30
# The share of each model, and of each of its two versions half of that.
MODELS = (("Sorter", "text-classification"), ("Pricer", "table-baseline"), ("Watcher", "text-classification"))

# The n-th prediction of so many, evenly over the time: half of the first model, three and two tenths of the others.
NUMBERED = """
FROM (SELECT n, %(begin)s::bigint + (n * %(span)s::bigint / %(count)s) AS ms,
    CASE WHEN n %% 10 < 5 THEN 0 WHEN n %% 10 < 8 THEN 1 ELSE 2 END AS which, md5(n::text) AS chance
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n) AS numbered
"""
ID = """(lpad(to_hex(ms), 12, '0') || '7' || substr(chance, 1, 3) || '8' || substr(chance, 4, 15))::uuid"""
GROUP = "CASE WHEN n %% 3 = 0 THEN 'group ' || n / 3 %% 15 ELSE '' END"
MODEL = "(%(models)s::bigint[])[1 + which]"
VERSION = "(%(versions)s::bigint[])[1 + 2 * which + (n / 10 %% 2)::int]"
FILL = f"""
INSERT INTO registry_prediction (id, at, model_id, version_id, user_id, key, "group", input_hash, features, output,
    label, score, latency_ms, error)
SELECT {ID}, to_timestamp(ms / 1000.0), {MODEL}, {VERSION}, %(owner)s, '', {GROUP}, chance || chance,
    jsonb_build_object('characters', n %% 400, 'words', n %% 60, 'confidence', 0.9),
    CASE WHEN which = 1 THEN jsonb_build_object('value', n %% 100) ELSE '{{"label": "cat", "confidence": 0.9}}' END,
    CASE WHEN which = 1 THEN '' WHEN n %% 4 = 0 THEN 'dog' ELSE 'cat' END,
    CASE WHEN which = 1 THEN n %% 100 ELSE 0.5 + n %% 50 / 100.0 END, 5 + n %% 90,
    CASE WHEN n %% 500 = 0 THEN 'No model process answers.' ELSE '' END
{NUMBERED}
"""
TOLD = f"""
INSERT INTO registry_outcome (prediction_id, model_id, version_id, key, "group", predicted_at, at, user_id, truth,
    correct, error)
SELECT {ID}, {MODEL}, {VERSION}, '', {GROUP}, to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0) + interval '1 hour',
    %(owner)s, CASE WHEN which = 1 THEN '7' ELSE '"cat"' END::jsonb, CASE WHEN which <> 1 THEN n %% 7 > 0 END,
    CASE WHEN which = 1 THEN (n %% 20 - 10) / 5.0 END
{NUMBERED} WHERE n / 10 %% 10 < 3
"""
# The hours of the last week, and all days.
MARKS = """
INSERT INTO registry_touched (version_id, since, day, at)
SELECT version, period, span = '1 day', now() - interval '1 day' FROM unnest(%s::bigint[]) AS version,
    (VALUES ('1 hour'::interval, 7), ('1 day', %s)) AS spans (span, days),
    generate_series(date_trunc('day', now(), 'UTC') - (days - 1) * interval '1 day', now(), span) AS period
"""


def main() -> None:
    print(f"\n## Logged predictions: {PREDICTIONS:,}", flush=True)
    with scratch.database("predictions") as home:
        _measure(home / scratch.FILLED)


def _measure(mark: Path) -> None:
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client

    if not mark.exists():
        _fill(mark)
    from common.settling import settle
    from performance.use import names
    from registry.models import Model, Prediction

    owner = get_user_model().objects.get(username="bench")
    model = Model.objects.get(name="Sorter")
    version = model.versions.get(number=2)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(owner)
    settle()  # as the web process does
    middle = Prediction.objects.filter(model=model).order_by("-id").values_list("pk", flat=True)
    deep = middle[int(PREDICTIONS * 0.4)]
    page, figures = f"/models/{model.pk}/predictions", f"/performance/models/{model.pk}"
    day = (datetime.now(UTC) - timedelta(days=50)).date()
    for name, query in {
        "first page": "", "a page deep inside": f"?after={deep}", "of a version": f"?version={version.pk}",
        "of a group": "?group=group+3", "of a group, deep inside": f"?group=group+3&after={deep}",
        "of a group that is not there": "?group=nowhere", "with an outcome": "?outcome=known",
        "without an outcome": "?outcome=unknown", "wrong only": "?outcome=wrong",
        "wrong only, deep inside": f"?outcome=wrong&after={deep}", "of a day": f"?since={day}&until={day}",
        "wrong, of a version and a group on a day":
            f"?outcome=wrong&version={version.pk}&group=group+3&since={day}&until={day}",
    }.items():  # fmt: skip
        _timed(f"predictions, {name}", _ask(client, page + query))
    _timed("one prediction", _ask(client, f"/predictions/{deep}"))
    _timed("model page", _ask(client, f"/models/{model.pk}"))
    _timed("performance, all models", _ask(client, "/performance"))
    for days in (7, 30, 90):
        for figure in (names.ACCURACY, names.P95):
            _timed(f"figures of use, {figure}, {days} days", _ask(client, f"{figures}?days={days}&figure={figure}"))
    _timed("figures of use of a group, 90 days", _ask(client, f"{figures}?days=90&group=group+3"))
    _compared(client, owner, model)
    api = "/api/v1/"
    _timed("API: predictions, 200 on a page", _ask(client, f"{api}predictions?model={model.pk}&page_size=200"))
    trend = f"{api}performance/metrics/trend?model={model.pk}&name={names.ACCURACY}"
    _timed("API: trend by the hour, a week", _ask(client, f"{trend}&bucket=hour"))
    for name in ("prediction", "outcome"):
        client.force_login(get_user_model().objects.get(username="boss"))
        _timed(f"administration, list of {name}s", _ask(client, f"/admin/registry/{name}/"))
    _background(owner, version)
    connection.close()


def _background(owner: Any, version: Any) -> None:
    """What workers do: reckon, remove; and what comes in: predictions and outcomes."""
    from django.db import connection

    from performance.use import rollup
    from performance.use.rollup import Period
    from registry.logged import policies, retention
    from registry.logged.outcomes import Entry, send_many
    from registry.logged.rows import Asked, new_ids, rows_of
    from registry.logged.storing import store
    from registry.models import Prediction, Touched
    from registry.routing import Choice

    hour = (datetime.now(UTC) - timedelta(days=20)).replace(minute=0, second=0, microsecond=0)
    for period in (Period(version.pk, hour, False), Period(version.pk, hour.replace(hour=0), True)):

        def reckon(period: Period = period) -> None:
            Touched.objects.create(version_id=period.version_id, since=period.since, day=period.day)
            assert rollup.reckon(period)

        _timed(f"reckoning a version's figures of {'a day' if period.day else 'an hour'} anew", reckon, "")
    asked = Asked(owner, ["How much is the fish?"] * 1000)
    answers = [{"label": "cat", "confidence": 0.9}] * 1000

    def write() -> None:
        store(rows_of(asked, Choice(version), new_ids(1000), answers, 5.0, policies.DEFAULT))

    _timed("putting 1,000 predictions down", write, "")
    fresh = iter(Prediction.objects.filter(version=version, label="cat").order_by("-id").values_list("pk", flat=True))

    def tell() -> None:
        send_many(owner, [Entry(pk, "cat") for pk, _ in zip(fresh, range(1000), strict=False)])

    _timed("1,000 outcomes in one request", tell, "")
    policies.change_policy(version.model, owner, keep="hash", share=1.0, days=DAYS - 3)
    since = retention.kept_since(DAYS - 3)

    def remove() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                retention.OLD_PREDICTIONS, [version.model_id, retention.least_at(since), [], retention.BATCH]
            )

    _timed(f"removing a batch of {retention.BATCH:,} old predictions", remove, "", repeats=3)
    started = time.perf_counter()
    removed = retention.run(budget=600)
    line("removing the rest of two days", f"{removed / (time.perf_counter() - started):,.0f} rows/s")


def _compared(client: Any, owner: Any, model: Any) -> None:
    """Pages of drift and of experiments; with a check of the newest ten thousand answers beside earlier ones."""
    from django.utils import timezone

    from performance.drift import verbs as drift
    from registry.models import Alias

    version = model.versions.first()
    Alias.objects.get_or_create(model=model, name="champion", defaults={"version": version, "since": timezone.now()})
    started = time.perf_counter()
    made = drift.check(model, "predictions", owner, recent=10_000)
    asked = time.perf_counter()
    ended = drift.run(made.pk)
    line("a check for drift: asked for / carried out", f"{(asked - started) * 1000:.0f} ms / "
         f"{time.perf_counter() - asked:.1f} s ({ended.status})")  # fmt: skip
    for name, address in (
        ("drift, all models", "/performance/drift"), ("drift of a model", f"/performance/drift/models/{model.pk}"),
        ("drift, checks", "/performance/drift/checks"), ("drift, a check", f"/performance/drift/checks/{made.pk}"),
        ("experiments", "/performance/experiments"),
        ("a new experiment", f"/performance/experiments/new?model={model.pk}"),
    ):  # fmt: skip
        _timed(name, _ask(client, address))


def _ask(client: Any, address: str) -> Callable[[], Any]:
    def ask() -> None:
        answer = client.get(address)
        assert answer.status_code == 200, answer.content[:300]

    return ask


def _timed(name: str, ask: Callable[[], Any], aim: str = "300 ms", repeats: int = REPEATS) -> None:
    ask()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        ask()
        times.append(time.perf_counter() - started)
    line(name, spread(times), aim)


def _fill(mark: Path) -> None:
    """Predictions, outcomes and their figures, put there by SQL."""
    from django.contrib.auth import get_user_model
    from django.db import connection

    from performance.use import rollup
    from registry import versions as registry

    people = get_user_model().objects
    owner = people.create_user("bench", "bench@example.org", "benchmarks only")
    people.create_superuser("boss", "boss@example.org", "benchmarks only")
    made = [_version(registry, owner, name, recipe) for name, recipe in MODELS for _ in range(2)]
    now = int(time.time() * 1000)
    begin = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS - 1)
    first = int(begin.timestamp() * 1000)
    ids = {"models": [version.model_id for version in made[::2]], "versions": [version.pk for version in made]}
    values = {"begin": first, "span": now - first, "count": PREDICTIONS, "owner": owner.pk, **ids}
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for statement in (FILL, TOLD):
            for number in range(1, PREDICTIONS, PART):
                last = min(PREDICTIONS, number + PART - 1)
                cursor.execute(statement, values | {"first": number, "last": last})
        cursor.execute(MARKS, [ids["versions"], DAYS])
        for table in ("registry_prediction", "registry_outcome", "registry_touched"):
            cursor.execute(f"VACUUM (ANALYZE) {table}")
        cursor.execute(
            "SELECT pg_total_relation_size('registry_prediction'), pg_total_relation_size('registry_outcome')"
        )
        sizes = [size / 2**30 for size in cursor.fetchone()]
        cursor.execute("SET statement_timeout = '15s'")
    line(f"(filled in {time.perf_counter() - started:.0f} s)", f"{sizes[0]:.1f} + {sizes[1]:.1f} GiB")
    started = time.perf_counter()
    rollup.WAITS = dict.fromkeys(rollup.WAITS, -5)
    periods = rollup.run(budget=1e9)
    took = time.perf_counter() - started
    line(f"reckoning all {periods:,} hours and days of them", f"{took:.0f} s")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) performance_metricrecord")
        cursor.execute("SELECT count(*) FROM performance_metricrecord")
        line("figures that came of it", f"{cursor.fetchone()[0]:,}")
    mark.touch()


def _version(registry: Any, owner: Any, name: str, recipe: str) -> Any:
    return registry.register(
        owner=owner, model=None, name=name, recipe=recipe, subject=None, config={},
        metrics={"validation/accuracy": 0.8, "validation/confidence": 0.85}, artifact=[], dataset_version=None,
        base_version=None, source_job_id=None, seed=0, code={}, environment={},
    )  # fmt: skip


if __name__ == "__main__":
    main()
