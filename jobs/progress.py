"""Writing what a running job reports: rows by COPY, their extremes beside them, the job's present state.

A batch is one transaction that also counts itself on the attempt. When the answer of a commit is lost, the
count tells whether it took place: nothing is written twice, nothing is left out.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Exists, F
from django.db.models.functions import Now

from common.push import publish
from common.wording import storable
from jobs import samples
from jobs.automatic import threshold
from jobs.estimates import PEAK
from jobs.generation import examples
from jobs.generation.shown import makes_examples
from jobs.lifecycle import StaleAttemptError
from jobs.models import Attempt, Checkpoint, Job, JobSample, LogLine, MetricSeries, ProgressRow
from jobs.states import Status

BUCKET = 512
KEPT_CHECKPOINTS = 3
MAX_LOG_LINES = 100_000
MAX_LINE = 4_000
MARK_SECONDS = 0.5
MARKS = 120
WAITING = "run/waiting_share"  # of an evaluation
Row = tuple[int, int, float | None, float]  # series, step, value, Unix time


@dataclass
class Batch:
    """What was reported since the last write."""

    rows: list[tuple[str, int, float | None, float]] = field(default_factory=list)  # metric, step, value, Unix time
    lines: list[tuple[float, str, str]] = field(default_factory=list)  # Unix time, level, text
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    columns: dict[str, Any] = field(default_factory=dict)  # of the job

    def __bool__(self) -> bool:
        return bool(self.rows or self.lines or self.checkpoints or self.samples or self.examples or self.columns)


class ProgressWriter:
    """Collects the events of one attempt and writes them in batches. For one thread."""

    def __init__(self, job: Job, number: int, flushes: int = 0) -> None:
        """`number` is that of the attempt, `flushes` how many batches it has written before."""
        self.job_id, self.owner_id, self.number = job.pk, job.owner_id, number
        self.save_to_id = job.save_to_id
        self.generates = makes_examples(job)
        self.batch = Batch()
        self.pending: Batch | None = None  # handed to the database, outcome unknown
        self.flushes = flushes
        self.lines = job.log_lines
        self.series: dict[str, int] = {}
        self.marks: deque[tuple[int, float]] = deque(maxlen=MARKS)  # steps and their Unix times, MARK_SECONDS apart
        self.step_seconds: float | None = None
        self.peak = float((job.figures or {}).get(PEAK) or 0.0)  # bytes that the run held at most
        self.waiting: dict[str, float | None] = {}  # the latest share of time in which the device waited for data

    def step(self, event: dict[str, Any]) -> None:
        """Take a step's report."""
        step, at = event["step"], event["time"]
        metrics = event["metrics"]
        self._rows(step, at, metrics)
        self._speed(step, at)
        columns = self.batch.columns
        columns["current_step"] = step
        columns["current_epoch"] = event.get("epoch")
        columns["rate"] = self._rate(event)
        columns["step_seconds"] = self.step_seconds
        if "train/loss" in metrics:
            columns["current_loss"] = finite(metrics["train/loss"])

    def _rate(self, event: dict[str, Any]) -> float | None:
        """Examples a second. Those that are written several at once end in bursts, of which the run's own figure of the
        newest step says nothing: a step is an example, so it is what the time left is reckoned by."""
        if not self.generates:
            return event.get("rate")
        return 1 / self.step_seconds if self.step_seconds else None

    def evaluation(self, event: dict[str, Any]) -> None:
        """Take the figures of an evaluation."""
        self._rows(event["step"], event["time"], event["metrics"])
        if "validation/loss" in event["metrics"]:
            self.batch.columns["validation_loss"] = finite(event["metrics"]["validation/loss"])
        if WAITING in event["metrics"]:
            self.waiting = {WAITING: finite(event["metrics"][WAITING])}

    def figures(self, figures: dict[str, float]) -> None:
        """Take the latest use of device, CPU and memory."""
        held = max(figures.get("system/memory_bytes", 0.0), self.peak)
        self.peak = held
        kept = self.waiting | ({PEAK: held} if held else {})
        self.batch.columns["figures"] = {name: finite(value) for name, value in figures.items()} | kept

    def sample(self, event: dict[str, Any]) -> None:
        """Take what the model made. InvalidInputError for a picture that can't be kept."""
        made = samples.read(event)
        self.batch.samples.append(made)
        self.batch.columns["sample"] = samples.in_words(made)

    def example(self, event: dict[str, Any]) -> None:
        """Take what a step that generates has made; it is written with that step."""
        self.batch.examples.append(examples.read(event, time.time()))

    def log(self, text: str, level: str = "info", at: float | None = None) -> None:
        """Take output, line by line; beyond 100,000 lines of a job the rest is left out, and a line says so."""
        for line in text.splitlines() or [""]:
            count = self.lines + len(self.batch.lines) + (len(self.pending.lines) if self.pending else 0)
            if count > MAX_LOG_LINES:
                return
            if count == MAX_LOG_LINES:
                level, line = "warning", f"The log is cut here: {MAX_LOG_LINES:,} lines were written."
            self.batch.lines.append((at or time.time(), level, storable(line)[:MAX_LINE]))

    def checkpoint(self, event: dict[str, Any]) -> None:
        self.batch.checkpoints.append(event)

    def set(self, **columns: Any) -> None:
        """Set columns of the job with the next batch."""
        self.batch.columns.update(columns)

    def flush(self) -> str:
        """Write what was collected; the request that waits for the job (`pause`, `cancel` or empty).

        Raises StaleAttemptError when another attempt owns the job, and the database's own error when it is
        away: what was collected is kept, and the next call finds out whether the commit took place.
        """
        if self.pending is not None:
            self._settle()
        batch, self.batch = self.batch, Batch()
        if not batch:
            return self._request()
        self.pending = batch
        self._learn_series(batch)
        request = self._write(batch)
        self.pending = None
        self.lines += len(batch.lines)
        self.flushes += 1
        if any(row["kept"] for row in batch.examples):
            threshold.notice(self.owner_id, self.save_to_id)
        return request

    @transaction.atomic
    def rewind(self, step: int) -> None:
        """Forget what was reported after `step`: the attempt goes on from a checkpoint there.

        Every step is in the curves once, however often it was computed.
        """
        # The job's row first, as everywhere, so that two writers queue up instead of deadlocking.
        owned = Job.objects.filter(pk=self.job_id, attempt_number=self.number, status=Status.RUNNING)
        mine = Attempt.objects.filter(job_id=self.job_id, number=self.number, ended_at__isnull=True)
        if not owned.update(current_step=step) or not mine.update(first_step=step):
            raise StaleAttemptError(f"attempt {self.number} of job {self.job_id} is over")
        series = list(MetricSeries.objects.filter(job_id=self.job_id).values_list("pk", flat=True))
        bucket = (step + 1) // BUCKET
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")  # a million rows may go
            cursor.execute("DELETE FROM jobs_progressrow WHERE series_id = ANY(%s) AND step > %s", [series, step])
            cursor.execute(
                "DELETE FROM jobs_progresssummary WHERE series_id = ANY(%s) AND bucket >= %s", [series, bucket]
            )
            cursor.execute(_SUMMARISE, [series, bucket * BUCKET])
        Checkpoint.objects.filter(job_id=self.job_id, step__gt=step).delete()
        JobSample.objects.filter(job_id=self.job_id, step__gt=step).delete()
        examples.forget(self.job_id, step)
        publish(f"job.{self.job_id}")

    def _rows(self, step: int, at: float, metrics: dict[str, Any]) -> None:
        for name, value in metrics.items():
            self.batch.rows.append((name[:100], step, finite(value), at))

    def _learn_series(self, batch: Batch) -> None:
        """Look up or make the series of the batch, before its transaction: they stay whatever becomes of it."""
        unknown = sorted({row[0] for row in batch.rows} - self.series.keys())
        if not unknown:
            return
        with connection.cursor() as cursor:
            cursor.execute(_SERIES, [self.job_id, unknown])
            self.series.update(cursor.fetchall())

    def _speed(self, step: int, at: float) -> None:
        """Seconds per step over the last minute, with evaluations and checkpoints, since they will come again."""
        if self.marks and at - self.marks[-1][1] < MARK_SECONDS:
            return
        if self.marks and step > self.marks[0][0]:
            first_step, first_at = self.marks[0]
            self.step_seconds = (at - first_at) / (step - first_step)
        self.marks.append((step, at))

    def _settle(self) -> None:
        """After a lost answer: keep the batch if it was not written, drop it if it was."""
        written = Attempt.objects.values_list("flushes", flat=True).get(job_id=self.job_id, number=self.number)
        batch, self.pending = self.pending, None
        if batch is None:
            return
        if written > self.flushes:
            self.flushes = written
            self.lines += len(batch.lines)
            return
        self.batch = Batch(
            batch.rows + self.batch.rows,
            batch.lines + self.batch.lines,
            batch.checkpoints + self.batch.checkpoints,
            batch.samples + self.batch.samples,
            batch.examples + self.batch.examples,
            batch.columns | self.batch.columns,
        )

    def _request(self) -> str:
        mine = Job.objects.filter(pk=self.job_id, attempt_number=self.number, status=Status.RUNNING)
        request = mine.values_list("request", flat=True).first()
        if request is None:
            raise StaleAttemptError(f"attempt {self.number} of job {self.job_id} is over")
        return request

    @transaction.atomic
    def _write(self, batch: Batch) -> str:
        # The job's row first, as everywhere, so that two writers queue up instead of deadlocking.
        columns = dict(batch.columns)
        if batch.lines:
            columns["log_lines"] = F("log_lines") + len(batch.lines)
        if batch.rows:
            columns["progress_at"] = Now()
        mine = Job.objects.filter(pk=self.job_id, attempt_number=self.number, status=Status.RUNNING)
        if not mine.update(**columns or {"phase": F("phase")}):
            raise StaleAttemptError(f"attempt {self.number} of job {self.job_id} is over")
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, [self.job_id, self.number, self.flushes])
            counted = cursor.fetchone()
        if counted is None:
            raise StaleAttemptError(f"attempt {self.number} of job {self.job_id} is over")
        self._write_rows([(self.series[name], *rest) for name, *rest in batch.rows])
        self._write_lines(batch.lines)
        self._write_checkpoints(batch.checkpoints)
        samples.write(self.job_id, batch.samples)
        examples.write(self.job_id, self.number, batch.examples)
        publish(f"job.{self.job_id}", f"jobs.{self.owner_id}", "jobs.all")
        return counted[0]

    @staticmethod
    def _write_rows(rows: list[Row]) -> None:
        """Every step once: an attempt that goes on from the last step evaluates it again, and that is no news."""
        if not rows:
            return
        try:
            with transaction.atomic():
                copy_rows(rows)
        except IntegrityError:
            series, steps = sorted({row[0] for row in rows}), sorted({row[1] for row in rows})
            known = ProgressRow.objects.filter(series_id__in=series, step__in=steps)
            there = set(known.values_list("series_id", "step"))
            copy_rows({row[:2]: row for row in rows if row[:2] not in there}.values())

    def _write_lines(self, lines: list[tuple[float, str, str]]) -> None:
        if not lines:
            return
        LogLine.objects.bulk_create(
            LogLine(job_id=self.job_id, number=number, at=datetime.fromtimestamp(at, UTC), level=level, text=text)
            for number, (at, level, text) in enumerate(lines, self.lines + 1)
        )

    def _write_checkpoints(self, events: list[dict[str, Any]]) -> None:
        if not events:
            return
        rows = Checkpoint.objects.filter(job_id=self.job_id)
        further = ~Exists(rows.filter(step__gte=events[-1]["step"]))
        Job.objects.filter(further, pk=self.job_id, attempts_since_progress__gt=0).update(attempts_since_progress=0)
        latest = {event["step"]: event for event in events}  # one statement can't write a row twice
        Checkpoint.objects.bulk_create(
            [
                Checkpoint(
                    job_id=self.job_id,
                    step=step,
                    attempt_number=self.number,
                    name=event["name"],
                    bytes=event["bytes"],
                    at=Now(),
                )
                for step, event in latest.items()
            ],
            update_conflicts=True,
            unique_fields=["job", "step"],
            update_fields=["attempt_number", "name", "bytes", "at", "available"],
        )
        kept = rows.order_by("-step").values("pk")[:KEPT_CHECKPOINTS]
        rows.filter(available=True).exclude(pk__in=kept).update(available=False)


def renew_lease(job_id: int, number: int, **columns: Any) -> None:
    """Hold an attempt for another lease, in the database's time. Raises StaleAttemptError when it is over.

    `columns` are further ones of its row that are to be set.
    """
    mine = Attempt.objects.filter(job_id=job_id, number=number, ended_at__isnull=True)
    if not mine.update(lease_until=Now() + timedelta(seconds=settings.LEASE_SECONDS), **columns):
        raise StaleAttemptError(f"attempt {number} of job {job_id} is over")


def copy_rows(rows: Iterable[Row]) -> None:
    """Write progress rows (series, step, value, Unix time) by COPY, and merge their extremes into the summaries."""
    rows = list(rows)
    if not rows:
        return
    second, text = 0, ""
    lines = []
    for series, step, value, at in rows:
        whole = int(at)
        if whole != second:
            second = whole
            text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%d %H:%M:%S")
        shown = "\\N" if value is None else repr(value)
        lines.append(f"{series}\t{step}\t{shown}\t{text}.{int((at - whole) * 1e6):06d}+00\n")
    with connection.cursor() as cursor:
        # The driver's own call: its errors are turned into Django's here, as everywhere else.
        with connection.wrap_database_errors, cursor.cursor.copy(_COPY) as copy:
            copy.write("".join(lines))
        cursor.executemany(_MERGE, _summaries(rows))


def _summaries(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    found: dict[tuple[int, int], list[Any]] = {}
    for series, step, value, at in rows:
        if value is None:
            continue
        entry = found.get((series, step // BUCKET))
        if entry is None:
            found[series, step // BUCKET] = [1, step, value, step, value, at]
            continue
        entry[0] += 1
        if value < entry[2]:
            entry[1], entry[2] = step, value
        if value > entry[4]:
            entry[3], entry[4] = step, value
        entry[5] = at
    return [(*key, *entry[:5], datetime.fromtimestamp(entry[5], UTC)) for key, entry in found.items()]


def finite(value: Any) -> float | None:
    """A float that JSON and SQL can hold; None for what is not a finite number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


_COPY = "COPY jobs_progressrow (series_id, step, value, recorded_at) FROM STDIN"

# The update changes nothing: it lets a row that another process made meanwhile be returned, too.
_SERIES = """
INSERT INTO jobs_metricseries AS known (job_id, name) SELECT %s, unnest(%s::text[])
ON CONFLICT (job_id, name) DO UPDATE SET name = known.name RETURNING name, id
"""

# Counts a batch on its attempt, and brings back the request that waits for the job.
_COUNT = """
UPDATE jobs_attempt AS attempt SET flushes = attempt.flushes + 1 FROM jobs_job AS job
WHERE job.id = attempt.job_id AND job.id = %s AND attempt.number = %s AND attempt.ended_at IS NULL
  AND attempt.flushes = %s
RETURNING job.request
"""

_MERGE = """
INSERT INTO jobs_progresssummary AS old (series_id, bucket, rows, low_step, low, high_step, high, last_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (series_id, bucket) DO UPDATE SET
    rows = old.rows + EXCLUDED.rows,
    low_step = CASE WHEN EXCLUDED.low < old.low THEN EXCLUDED.low_step ELSE old.low_step END,
    low = LEAST(old.low, EXCLUDED.low),
    high_step = CASE WHEN EXCLUDED.high > old.high THEN EXCLUDED.high_step ELSE old.high_step END,
    high = GREATEST(old.high, EXCLUDED.high),
    last_at = EXCLUDED.last_at
"""

_SUMMARISE = f"""
INSERT INTO jobs_progresssummary (series_id, bucket, rows, low_step, low, high_step, high, last_at)
SELECT series_id, step / {BUCKET}, count(*),
       (array_agg(step ORDER BY value, step))[1], min(value),
       (array_agg(step ORDER BY value DESC, step))[1], max(value), max(recorded_at)
FROM jobs_progressrow WHERE series_id = ANY(%s) AND step >= %s AND value IS NOT NULL
GROUP BY series_id, step / {BUCKET}
"""
