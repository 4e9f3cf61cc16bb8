"""Drift: how soon what moves is found, and how often what stays raises an alarm; and reading a table of a million
predictions.

The columns are those of a set of machine states where it lies beside the checkout (ai4i2020), else made ones.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from bench import scratch
from bench.report import line
from common.paths import PROJECT

PREDICTIONS = 1_000_000
REPETITIONS = 20
Rows = dict[str, list[Any]]


def main() -> None:
    print("\n## Drift", flush=True)
    with scratch.database():
        _columns()
        _streams()
        _reading()


def _columns() -> None:
    import numpy as np

    from performance.drift.columns import ALPHA, Kind, compare
    from performance.drift.monitors import level

    kinds = {name: Kind.CATEGORY if name == "Type" else Kind.NUMBER for name in _machines()}

    def alarms(alpha: Callable[[int], float], looks: int) -> int:
        wrong = 0
        for seed in range(REPETITIONS):
            dice = np.random.default_rng([1, seed])
            reference = _drawn(dice, 3000)
            found = (compare(reference, _drawn(dice, 300), kinds) for _ in range(looks))
            wrong += any(any(one.moved(alpha(number)) for one in each) for number, each in enumerate(found, 1))
        return wrong

    line(
        f"columns: rows of 50 looks with an alarm, of {REPETITIONS}", str(alarms(lambda k: level(ALPHA, 1, k), 50)), "0"
    )
    for shift in (0.25, 0.5, 1.0):
        needed = [_needed(seed, shift, kinds) for seed in range(REPETITIONS)]
        line(f"columns: recent rows until a shift of {shift} σ is found", _told(needed))


def _needed(seed: int, shift: float, kinds: dict[str, Any]) -> int | None:
    """How many recent rows it takes until one that is shifted is found; None where 3,000 are too few."""
    import numpy as np

    from performance.drift.columns import compare

    dice = np.random.default_rng([2, seed])
    reference, recent = _drawn(dice, 3000), _drawn(dice, 3000, shift)
    for count in (30, 60, 100, 200, 300, 500, 1000, 2000, 3000):
        if any(one.moved() for one in compare(reference, {k: v[:count] for k, v in recent.items()}, kinds)):
            return count
    return None


def _told(found: list[int | None]) -> str:
    known = [one for one in found if one is not None]
    never = f", {len(found) - len(known)} never" if len(known) < len(found) else ""
    return f"p50 {median(known):.0f}, max {max(known)}{never}" if known else "never"


def _streams() -> None:
    import numpy as np

    from performance.drift.detectors import Watcher

    def seen(row: Iterator[bool], after: int = 0) -> int | None:
        watcher = Watcher()
        for number, value in enumerate(row):
            change = watcher.take(float(value))
            if change is not None and change.matters and number >= after:
                return number - after
        return None

    for rate in (0.02, 0.1, 0.3):
        rows = (np.random.default_rng([3, seed]).random(10_000) < rate for seed in range(5 * REPETITIONS))
        alarms = sum(seen(iter(row)) is not None for row in rows)
        line(f"streams: alarms in {5 * REPETITIONS} × 10,000 outcomes, {rate:.0%} wrong", str(alarms), "0")
    for before, after in ((0.05, 0.1), (0.1, 0.2), (0.3, 0.5), (0.1, 0.5)):
        delays = []
        for seed in range(REPETITIONS):
            dice = np.random.default_rng([4, seed])
            row = np.concatenate([dice.random(3000) < before, dice.random(6000) < after])
            delays.append(seen(iter(row), 3000))
        line(f"streams: outcomes until {before:.0%} → {after:.0%} wrong is found", _told(delays))
    delays = [seen(_sea(seed), 3000) for seed in range(5)]
    line("streams: the same for concepts of SEA, five times", _told(delays))


def _sea(seed: int) -> Iterator[bool]:
    """Whether a model of the first concept is wrong, before and after the fourth takes its place."""
    from river.datasets.synth import SEA
    from river.naive_bayes import GaussianNB

    model = GaussianNB()
    for x, y in SEA(variant=0, seed=100 + seed).take(2000):
        model.learn_one(x, y)
    for variant in (0, 3):
        for x, y in SEA(variant=variant, noise=0.05, seed=200 + 10 * seed + variant).take(3000):
            yield model.predict_one(x) != y


def _reading() -> None:
    from django.contrib.auth import get_user_model

    from performance.drift import streams, verbs
    from registry import versions
    from registry.models import Prediction

    owner = get_user_model().objects.create_user("bench")
    version = versions.register(
        owner=owner, model=None, name="Bench", recipe="table-baseline", subject=None, config={}, metrics={},
        artifact=[], dataset_version=None, base_version=None, source_job_id=None, seed=0, code={}, environment={},
    )  # fmt: skip
    _fill(version)
    print(f"{Prediction.objects.count():,} predictions, as many outcomes", flush=True)
    for about, recent in (
        ("inputs", 1000),
        ("inputs", verbs.timedelta(days=7)),
        ("predictions", 1000),
        ("errors", 1000),
    ):
        started = time.perf_counter()
        made = verbs.check(version.model, about, owner, recent=recent)
        asked = time.perf_counter()
        ended = verbs.run(made.pk)
        assert ended is not None and ended.moved is False, ended and ended.message
        what = "7 days" if recent != 1000 else "newest 1,000"
        took = f"asked {1000 * (asked - started):.0f} ms, run {time.perf_counter() - asked:.1f} s"
        line(f"{about}, {what} ({ended.recent_count:,} beside {ended.reference_count:,})", took)
    started = time.perf_counter()
    taken = streams.follow(version, "errors") + streams.follow(version, "errors")
    line(f"stream: {taken:,} outcomes taken", f"{1e6 * (time.perf_counter() - started) / taken:.0f} µs each")


def _fill(version: Any) -> None:
    """A million predictions of 30 days with their outcomes, made by the database."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            """
            CREATE TEMPORARY TABLE made AS
            SELECT n, now() - interval '30 days' * (1 - n / %(count)s::float) - interval '2 minutes' AS at,
                   random() AS chance, random() AS other, gen_random_uuid()::text AS own
            FROM generate_series(1, %(count)s) AS n
            """,
            {"count": PREDICTIONS},
        )
        cursor.execute(
            """
            INSERT INTO registry_prediction
              (id, at, model_id, version_id, key, "group", input_hash, features, label, score, latency_ms, error)
            SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(own, 16, 3)
                    || substr(replace(own, '-', ''), 17))::uuid,
                   at, %(model)s, %(version)s, '', '', repeat('0', 64),
                   jsonb_build_object('temperature', 300 + 10 * chance, 'speed', 1500 + 300 * other,
                                      'Type', CASE WHEN chance < 0.6 THEN 'L' ELSE 'M' END),
                   CASE WHEN other < 0.1 THEN 'fails' ELSE 'holds' END, chance, 1.0, ''
            FROM made ORDER BY n
            """,
            {"model": version.model_id, "version": version.pk},
        )
        cursor.execute(
            """
            INSERT INTO registry_outcome
              (prediction_id, model_id, version_id, "group", predicted_at, at, truth, correct)
            SELECT id, model_id, version_id, '', at, at, '"holds"'::jsonb, label = 'holds' FROM registry_prediction
            """
        )
        cursor.execute("VACUUM ANALYZE registry_prediction, registry_outcome")
        cursor.execute("RESET statement_timeout")


def _machines() -> Rows:
    path = PROJECT.parent / "shared" / "data" / "ai4i2020" / "ai4i2020.csv"
    if not path.exists():
        return _made()
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = (
        "Air temperature [K]",
        "Process temperature [K]",
        "Rotational speed [rpm]",
        "Torque [Nm]",
        "Tool wear [min]",
    )
    return {name: [float(row[name]) for row in rows] for name in numbers} | {"Type": [row["Type"] for row in rows]}


def _made() -> Rows:
    import numpy as np

    dice = np.random.default_rng(0)
    return {f"n{number}": dice.normal(size=10_000).tolist() for number in range(5)} | {
        "Type": dice.choice(["L", "M", "H"], 10_000).tolist()
    }


_KEPT: Rows = {}


def _drawn(dice: Any, count: int, shift: float = 0.0) -> Rows:
    """Rows drawn from the set; the first column is shifted by so many standard deviations."""
    import numpy as np

    if not _KEPT:
        _KEPT.update(_machines())
    places = dice.integers(0, len(_KEPT["Type"]), count)
    drawn = {name: [values[place] for place in places] for name, values in _KEPT.items()}
    first = next(iter(drawn))
    by = shift * float(np.std(_KEPT[first]))
    return drawn | {first: [value + by for value in drawn[first]]}


if __name__ == "__main__":
    main()
