"""Progress is written in batches, once each, and read back thinned to its extremes."""

import math
import time
import tracemalloc
from itertools import pairwise

import pytest
from django.db import connection

from common.errors import NotFoundError
from jobs import logs, metrics
from jobs.lifecycle import StaleAttemptError
from jobs.models import Attempt, Checkpoint, Job, LogLine, MetricSeries, ProgressRow, ProgressSummary
from jobs.progress import BUCKET, ProgressWriter


@pytest.fixture
def writer(running):
    return ProgressWriter(running.job, running.number)


def step(number, loss=1.0, **more):
    values = {"train/loss": loss, **more}
    return {"event": "step", "step": number, "epoch": number / 100, "time": time.time(), "metrics": values, "rate": 5.0}


def report(writer, first, last):
    for number in range(first, last + 1):
        writer.step(step(number, math.sin(number) + (50 if number == 777 else 0)))
    writer.flush()


def test_examples_that_end_in_bursts_are_told_at_the_pace_of_the_time_left(running):
    Job.objects.filter(pk=running.job_id).update(recipe="generate")
    writer = ProgressWriter(Job.objects.get(pk=running.job_id), running.number)
    for number in range(1, 13):  # four at once, every four seconds
        writer.step(step(number, rate=400.0) | {"time": 1000.0 + 4 * ((number - 1) // 4), "rate": 400.0})
    writer.flush()
    job = Job.objects.get(pk=running.job_id)
    assert (job.rate, job.step_seconds) == (1.0, 1.0)


def test_a_batch_moves_the_job_and_keeps_every_step(writer, running):
    writer.set(total_steps=10)
    report(writer, 1, 5)
    job = Job.objects.get(pk=running.job_id)
    assert (job.current_step, job.progress, job.rate) == (5, 50.0, 5.0)
    curve = metrics.read(job, "train/loss")
    assert [point.step for point in curve.points] == [1, 2, 3, 4, 5]
    assert curve.total_points == 5


def test_a_value_that_is_not_finite_is_stored_as_absent(writer, running):
    writer.step(step(1, float("nan")))
    writer.flush()
    assert metrics.read(running.job, "train/loss").points[0].value is None
    assert Job.objects.get().current_loss is None


def test_a_stale_attempt_writes_no_row(writer, running):
    Job.objects.update(attempt_number=2)
    writer.step(step(1))
    with pytest.raises(StaleAttemptError):
        writer.flush()
    assert not ProgressRow.objects.exists()


def test_a_commit_whose_answer_was_lost_is_written_once(writer, running, monkeypatch):
    real = writer._write

    def write_and_lose(batch):
        real(batch)
        raise connection.Database.OperationalError("the line was cut")

    monkeypatch.setattr(writer, "_write", write_and_lose)
    writer.step(step(1))
    writer.log("hello")
    with pytest.raises(connection.Database.OperationalError):
        writer.flush()
    monkeypatch.undo()
    writer.step(step(2))
    writer.log("again")
    writer.flush()
    assert list(ProgressRow.objects.values_list("step", flat=True)) == [1, 2]
    assert [(line.number, line.text) for line in logs.read(running.job)] == [(1, "hello"), (2, "again")]


def test_a_batch_that_was_never_written_is_kept(writer, running, monkeypatch):
    def fail(batch):
        raise connection.Database.OperationalError("away")

    monkeypatch.setattr(writer, "_write", fail)
    writer.step(step(1))
    with pytest.raises(connection.Database.OperationalError):
        writer.flush()
    monkeypatch.undo()
    writer.step(step(2))
    writer.flush()
    assert list(ProgressRow.objects.values_list("step", flat=True)) == [1, 2]


def test_going_back_to_a_checkpoint_forgets_what_came_after_it(writer, running):
    report(writer, 1, 1300)
    writer.rewind(1100)
    report(writer, 1101, 1200)
    curve = metrics.read(running.job, "train/loss", max_points=5000)
    assert [point.step for point in curve.points] == list(range(1, 1201))
    summary = ProgressSummary.objects.get(bucket=1100 // BUCKET)
    assert summary.rows == 1200 - 2 * BUCKET + 1


def test_the_summaries_agree_with_the_rows(writer, running):
    for first in range(1, 3000, 137):
        report(writer, first, first + 136)
    for summary in ProgressSummary.objects.all():
        rows = ProgressRow.objects.filter(step__gte=summary.bucket * BUCKET, step__lt=(summary.bucket + 1) * BUCKET)
        values = list(rows.values_list("value", "step"))
        assert (summary.rows, summary.low, summary.high) == (len(values), min(values)[0], max(values)[0])
        assert {(summary.low, summary.low_step), (summary.high, summary.high_step)} <= set(values)


@pytest.mark.parametrize("exact", [True, False])
def test_a_thinned_curve_keeps_its_peak_its_start_and_its_end(writer, running, monkeypatch, exact):
    if not exact:
        monkeypatch.setattr(metrics, "EXACT_ROWS", 100)
    report(writer, 1, 2000)
    curve = metrics.read(running.job, "train/loss", max_points=50)
    assert len(curve.points) <= 54
    assert max(point.value for point in curve.points) > 49
    steps = [point.step for point in curve.points]
    assert steps == sorted(set(steps))
    assert curve.total_points == 2000
    part = metrics.read(running.job, "train/loss", from_step=1500, to_step=1600)
    assert {point.step for point in part.points} <= set(range(1500, 1601))


def test_a_curve_is_exported_whole(writer, running):
    report(writer, 1, 1500)
    lines = list(metrics.export(running.job, "train/loss"))
    assert lines[0] == "step,train/loss,recorded_at\n"
    assert len(lines) == 1501


def test_an_unknown_metric_is_answered_with_the_known_ones(writer, running):
    report(writer, 1, 1)
    with pytest.raises(NotFoundError) as problem:
        metrics.read(running.job, "nope")
    assert "train/loss" in problem.value.hint


def test_only_the_last_three_checkpoints_are_offered(writer, running):
    Job.objects.update(attempts_since_progress=3)
    for number in (10, 20, 30, 40):
        writer.checkpoint({"step": number, "name": f"step-{number:08}", "bytes": 5, "seconds": 0.1})
        writer.flush()
    assert list(Checkpoint.objects.filter(available=True).values_list("step", flat=True)) == [40, 30, 20]
    assert Job.objects.get().attempts_since_progress == 0


def test_a_log_keeps_odd_bytes_out_and_can_be_searched(writer, running):
    writer.log("one\x00two\nThree")
    writer.flush()
    assert [line.text for line in logs.read(running.job)] == ["one�two", "Three"]
    assert [line.number for line in logs.read(running.job, search="three")] == [2]
    assert "Three" in "".join(logs.export(running.job))


def test_a_log_is_cut_at_its_limit_and_says_so(writer, running, monkeypatch):
    monkeypatch.setattr("jobs.progress.MAX_LOG_LINES", 3)
    for number in range(10):
        writer.log(str(number))
        writer.flush()
    assert [line.text for line in LogLine.objects.order_by("number")][-1].startswith("The log is cut here")
    assert LogLine.objects.count() == 4


def test_flushes_are_counted_on_the_attempt(writer, running):
    report(writer, 1, 1)
    report(writer, 2, 2)
    assert Attempt.objects.get().flushes == 2


def test_an_evaluation_that_is_done_again_at_the_last_step_is_no_news(writer, running):
    evaluation = {"event": "evaluation", "step": 5, "time": time.time(), "metrics": {"validation/loss": 2.0}}
    report(writer, 1, 5)
    writer.evaluation(evaluation)
    writer.flush()
    writer.rewind(5)
    writer.evaluation(evaluation)
    writer.step(step(6))
    writer.flush()
    assert ProgressRow.objects.filter(series__name="validation/loss").count() == 1
    assert metrics.read(running.job, "train/loss").points[-1].step == 6
    assert ProgressSummary.objects.get(series__name="validation/loss").rows == 1


def test_a_database_that_goes_away_during_a_copy_is_told_as_such(writer, running):
    """The driver's own error would not be taken for an absent database, and would end the trainer."""
    from django.db import OperationalError

    series = MetricSeries.objects.create(job=running.job, name="train/loss").pk
    rows = [(series, number, 1.0, time.time()) for number in range(200_000)]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 20")
    with pytest.raises(OperationalError):
        writer._write_rows(rows)
    with connection.cursor() as cursor:  # what ends the test may take its time
        cursor.execute("SET LOCAL statement_timeout = 0")


def test_a_sample_with_bytes_that_no_text_column_holds_is_kept(writer, running):
    writer.sample({"step": 3, "kind": "text", "text": "a\x00b\ud800c"})
    writer.flush()
    assert Job.objects.get().sample == "a\ufffdb?c"


def test_the_time_left_does_not_jump_when_an_evaluation_takes_its_time(writer, running):
    now, left = time.time(), []
    for number in range(1, 600):
        now += 0.1 + (3.0 if number % 250 == 0 else 0.0)
        writer.step(step(number) | {"time": now})
        left.append((writer.step_seconds or 0.1) * (1000 - number))
    jumps = [later - earlier for earlier, later in pairwise(left[100:])]
    assert max(jumps) < 25  # a pause of 3 s among steps of 0.1 s, 900 steps to go


def test_all_metrics_come_in_one_table_with_a_line_a_step(writer, running, monkeypatch):
    monkeypatch.setattr(metrics, "PAGE", 2)  # so that every metric takes several pages
    for number in range(1, 6):
        more = {"validation/loss": number / 2} if number % 2 else {}
        writer.step(step(number, float("nan") if number == 3 else float(number), **more))
    writer.flush()
    rows = [line.rstrip().split(",") for line in metrics.export_all(running.job)]
    assert rows[0] == ["step", "recorded_at", "train/loss", "validation/loss"]
    assert [[row[0], *row[2:]] for row in rows[1:]] == [
        ["1", "1.0", "0.5"], ["2", "2.0", ""], ["3", "", "1.5"], ["4", "4.0", ""], ["5", "5.0", "2.5"],
    ]  # fmt: skip
    assert all(row[1].startswith("20") for row in rows[1:])


def test_all_metrics_of_a_long_run_are_never_in_memory_at_once(writer, running):
    report(writer, 1, 6000)
    tracemalloc.start()
    assert sum(1 for _ in metrics.export_all(running.job)) == 6001
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_run_without_metrics_has_a_table_without_lines(running):
    assert list(metrics.export_all(running.job)) == ["step,recorded_at\n"]


def test_lines_of_a_log_are_found_by_their_level_and_worse_ones(writer, running):
    for level in ("info", "warning", "error"):
        writer.log(f"{level} of it", level)
    writer.flush()
    found = {level: [line.level for line in logs.read(running.job, level=level)] for level in ("", *logs.LEVELS)}
    assert found == {"": ["info", "warning", "error"], "warning": ["warning", "error"], "error": ["error"]}
    assert [line.text for line in logs.read(running.job, level="warning", search="ERR")] == ["error of it"]
