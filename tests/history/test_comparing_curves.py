"""Curves of many runs over a shared axis: thinned to their extremes, in as many queries for many as for two."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.errors import InvalidInputError, NotFoundError
from history.comparing import comparison, curves, runs
from jobs.models import Attempt
from tests.history.runs import START, attempt, ended, report

LOSS = "train/loss"


def read(owner, *jobs, metric=LOSS, **asked):
    return curves.read(runs.find(owner, [str(job.pk) for job in jobs]), metric, **asked)


def wave(count, peak=None):
    values = [2.0 + (n * 7919 % 1000) / 1000 for n in range(count)]
    if peak is not None:
        values[peak] = 99.0
    return values


def test_short_curves_are_whole(owner):
    one, two = ended(owner, curves={LOSS: [3.0, 2.0]}), ended(owner, curves={LOSS: [5.0, 4.0, 1.0]})
    found = read(owner, one, two)
    assert [[(point.x, point.value) for point in curve.points] for curve in found] == [
        [(1, 3.0), (2, 2.0)],
        [(1, 5.0), (2, 4.0), (3, 1.0)],
    ]
    assert [curve.total for curve in found] == [2, 3]


@pytest.mark.parametrize("exact", [60_000, 0])
def test_long_curves_keep_their_ends_and_extremes(owner, monkeypatch, exact):
    monkeypatch.setattr(curves, "EXACT_ROWS", exact)
    one, two = ended(owner, curves={LOSS: wave(5000, 3210)}), ended(owner, curves={LOSS: wave(3000)})
    found = read(owner, one, two, max_points=50)
    for curve, count in zip(found, (5000, 3000), strict=True):
        steps = [point.step for point in curve.points]
        assert steps == sorted(set(steps))
        assert (steps[0], steps[-1], curve.total) == (1, count, count)
        assert len(steps) <= 52
    assert (3211, 99.0) in [(point.step, point.value) for point in found[0].points]
    assert min(point.value for point in found[0].points) == 2.0


def test_of_many_rows_the_shortest_curves_are_read_by_row(owner, monkeypatch):
    monkeypatch.setattr(curves, "EXACT_ROWS", 100)
    short, long = ended(owner, curves={LOSS: [1.0, 7.0, 2.0]}), ended(owner, curves={LOSS: wave(2000)})
    found = read(owner, short, long, max_points=500)
    assert [point.value for point in found[0].points] == [1.0, 7.0, 2.0]
    assert len(found[1].points) <= 2 * (2000 // 512 + 1) + 2  # a pair for each summary, and the ends


def test_time_is_time_at_work_without_the_pause_between_attempts(owner):
    job = ended(owner, seconds=10, curves={LOSS: [1.0] * 10})
    again = START + timedelta(hours=5)
    attempt(job, 2, again, 10)
    report(job, LOSS, [2.0] * 10, start=again, first=11)
    found = read(owner, job, ended(owner, curves={LOSS: [1.0]}), axis="time")
    assert [point.x for point in found[0].points] == [float(second) for second in range(1, 21)]


@pytest.mark.parametrize("exact", [60_000, 0])
def test_a_moment_within_a_summary_follows_from_its_step(owner, monkeypatch, exact):
    monkeypatch.setattr(curves, "EXACT_ROWS", exact)
    job = ended(owner, seconds=5000, curves={LOSS: wave(4000, 2000)})
    found = read(owner, job, ended(owner, curves={LOSS: [1.0]}), axis="time", max_points=100)[0]
    assert next(point.x for point in found.points if point.value == 99.0) == pytest.approx(2001, abs=3)
    assert [point.x for point in found.points] == sorted({point.x for point in found.points})


def test_a_run_without_attempts_left_starts_at_nothing(owner):
    one, two = ended(owner, curves={LOSS: [1.0, 2.0]}), ended(owner, curves={LOSS: [1.0]})
    Attempt.objects.all().delete()
    assert [point.x for point in read(owner, one, two, axis="time")[0].points] == [0.0]


def test_examples_are_steps_times_what_a_step_sees_where_every_run_says_it(owner):
    given = {"recipe": "text-generation", "curves": {LOSS: [2.0, 1.0]}}
    one, two = ended(owner, config={"batch_size": 8}, **given), ended(owner, config={"batch_size": 32}, **given)
    assert [[point.x for point in curve.points] for curve in read(owner, one, two, axis="examples")] == [
        [8, 16],
        [32, 64],
    ]
    silent = ended(owner, curves={LOSS: [2.0]})
    with pytest.raises(InvalidInputError, match="no axis"):
        read(owner, one, silent, axis="examples")
    assert curves.axes(runs.find(owner, [str(one.pk), str(silent.pk)])) == ["step", "time"]


def test_a_value_that_is_no_number_stays_a_gap_at_the_end(owner):
    job = ended(owner, curves={LOSS: [1.0, None, 3.0, None]})
    found = read(owner, job, ended(owner, curves={LOSS: [1.0]}))[0]
    assert [(point.step, point.value) for point in found.points] == [(1, 1.0), (3, 3.0), (4, None)]
    assert found.total == 2


def test_a_run_without_the_metric_has_no_points(owner):
    found = read(owner, ended(owner, curves={LOSS: [1.0]}), ended(owner))
    assert [len(curve.points) for curve in found] == [1, 0]


def test_a_curve_is_told_in_four_numbers(owner):
    one, two = ended(owner, curves={LOSS: [3.0, 1.0, 9.0, 1.0, None]}), ended(owner)
    found, silent = curves.glances(runs.find(owner, [str(one.pk), str(two.pk)]), LOSS)
    told = [(value.value, value.step) for value in (found.first, found.lowest, found.highest, found.last)]
    assert told == [(3.0, 1), (1.0, 2), (9.0, 3), (None, 5)]
    assert found.total == 4
    assert (silent.total, silent.last) == (0, None)


def test_common_metrics_are_offered_and_the_headline_comes_first(owner):
    told = {"train/loss": [1.0], "validation/loss": [1.0], "system/cpu_percent": [5.0], "a/b": [1.0]}
    one, two = ended(owner, curves=told), ended(owner, curves=told | {"own": [1.0]})
    found = curves.metrics(runs.find(owner, [str(one.pk), str(two.pk)]))
    assert found == ["validation/loss", "train/loss", "a/b", "system/cpu_percent"]


def test_an_unknown_metric_names_the_known_ones(owner):
    jobs = [ended(owner, curves={LOSS: [1.0]}) for _ in range(2)]
    with pytest.raises(NotFoundError) as found:
        read(owner, *jobs, metric="nope")
    assert LOSS in found.value.hint


@pytest.mark.parametrize("asked", [{"max_points": 9}, {"max_points": 2001}, {"axis": "weeks"}])
def test_what_can_not_be_drawn_is_refused(owner, asked):
    jobs = [ended(owner, curves={LOSS: [1.0]}) for _ in range(2)]
    with pytest.raises(InvalidInputError):
        read(owner, *jobs, **asked)


def test_twenty_runs_take_as_many_queries_as_two(owner, monkeypatch):
    monkeypatch.setattr(curves, "EXACT_ROWS", 30)
    jobs = [ended(owner, curves={LOSS: wave(20), "validation/loss": [1.0]}) for _ in range(20)]

    def queries(some):
        with CaptureQueriesContext(connection) as counted:
            found = runs.find(owner, [str(job.pk) for job in some])
            comparison.compare(found)
            curves.metrics(found)
            curves.read(found, LOSS, max_points=10)
        return len(counted)

    assert queries(jobs[:2]) == queries(jobs) <= 9


def test_what_tells_most_is_drawn_first_and_how_a_run_went_last(owner):
    named = {name: [1.0, 2.0] for name in ("run/waiting_share", "generate/failed", "generate/quality")}
    made = [ended(owner, recipe="generate", curves=named) for _ in range(2)]
    trained = ended(owner, curves={"run/waiting_share": [0.5], "train/loss": [2.0]})
    of = {run.key: run for run in runs.find(owner, [str(job.pk) for job in (*made, trained)])}
    first, second, other = (of[job.pk] for job in (*made, trained))
    assert curves.metrics([first, second]) == ["generate/quality", "generate/failed", "run/waiting_share"]
    assert curves.metrics([first, other]) == ["run/waiting_share"]
