"""What must hold after any fault, read from the database, the disk and /proc alone. The hub is not asked.

Each invariant is one function that yields violations with their evidence. `judge` runs them all. They are meant
for a hub that is at rest: every job that can end has ended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rows = Callable[..., list[tuple[Any, ...]]]
TERMINAL = ("completed", "failed", "cancelled")
DONE = ("completed", "cancelled")  # their work folders are gone; a failed job keeps its own for a retry
SLACK = 5.0  # seconds beyond a lease in which somebody must have taken notice


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and what shows it."""

    invariant: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.evidence}"


@dataclass(frozen=True)
class Scene:
    """What the oracle looks at."""

    rows: Rows  # (sql, *arguments) → rows, of the hub's database
    home: Path
    jobs: frozenset[int] = frozenset()  # those that were submitted
    at_rest: bool = True


def judge(scene: Scene) -> list[Violation]:
    """Every violation of every invariant."""
    return [Violation(check.__name__.replace("_", " "), found) for check in INVARIANTS for found in check(scene)]


# Jobs


def no_job_is_lost(scene: Scene) -> Iterator[str]:
    """Every job that was submitted has its row."""
    known = {job for (job,) in scene.rows("SELECT id FROM jobs_job")}
    for job in sorted(scene.jobs - known):
        yield f"job {job} was accepted, and has no row"


def every_job_has_ended_or_waits_truthfully(scene: Scene) -> Iterator[str]:
    """A running job has an owner with a lease; one that waits has a slot to come, a due time, a reason or a person."""
    query = """
        SELECT j.id, j.status, a.number, extract(epoch FROM now() - a.lease_until)::float8,
               extract(epoch FROM now() - j.not_before)::float8, j.waiting_for,
               extract(epoch FROM now() - j.queued_at)::float8
        FROM jobs_job j LEFT JOIN jobs_attempt a ON a.job_id = j.id AND a.ended_at IS NULL
        WHERE j.status <> ALL(%s) ORDER BY j.id"""
    for job, status, attempt, overdue, due, reason, queued in scene.rows(query, list(TERMINAL)):
        if status == "running" and attempt is None:
            yield f"job {job} is running without an attempt"
        elif status == "running" and overdue > SLACK:
            yield f"job {job} is running, and the lease of attempt {attempt} ran out {overdue:.1f} s ago"
        elif status != "running" and attempt is not None:
            yield f"job {job} is {status}, and attempt {attempt} is open"
        elif status == "pending" and not reason and (due is None or due > SLACK):
            yield f"job {job} is pending without a reason or a due time"
        elif scene.at_rest and status == "queued" and (due is None or due > SLACK) and (queued or 0) > SLACK:
            yield f"job {job} has been queued for {queued or 0:.0f} s while nothing else runs"


def an_ended_job_has_no_open_attempt(scene: Scene) -> Iterator[str]:
    query = """
        SELECT a.job_id, a.number, j.status FROM jobs_attempt a JOIN jobs_job j ON j.id = a.job_id
        WHERE a.ended_at IS NULL AND j.status = ANY(%s) ORDER BY 1, 2"""
    for job, number, status in scene.rows(query, list(TERMINAL)):
        yield f"job {job} is {status}, and attempt {number} holds a lease"


def no_slot_is_held_by_an_attempt_that_is_over(scene: Scene) -> Iterator[str]:
    query = """
        SELECT s.id, a.job_id, a.number FROM jobs_slot s JOIN jobs_attempt a ON a.id = s.held_by_id
        WHERE a.ended_at IS NOT NULL ORDER BY 1"""
    for slot, job, number in scene.rows(query):
        yield f"slot {slot} is held by attempt {number} of job {job}, which has ended"


def one_open_attempt_per_job_and_slot(scene: Scene) -> Iterator[str]:
    for column in ("job_id", "slot_id"):
        query = f"""
            SELECT {column}, array_agg(job_id || '/' || number ORDER BY id) FROM jobs_attempt
            WHERE ended_at IS NULL AND {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"""
        for value, attempts in scene.rows(query):
            yield f"{column.removesuffix('_id')} {value} has the open attempts {', '.join(attempts)}"


def a_failure_has_a_reason(scene: Scene) -> Iterator[str]:
    query = """
        SELECT id FROM jobs_job
        WHERE status = 'failed' AND (failure_code = '' OR failure_message = '' OR failure_hint = '') ORDER BY id"""
    for (job,) in scene.rows(query):
        yield f"job {job} failed, and does not say why and what to do"


# What is told


def events_have_no_gap_and_no_double(scene: Scene) -> Iterator[str]:
    query = """
        SELECT j.id, j.event_count, count(e.id), count(DISTINCT e.sequence), coalesce(min(e.sequence), 0),
               coalesce(max(e.sequence), 0)
        FROM jobs_job j LEFT JOIN jobs_jobevent e ON e.job_id = j.id GROUP BY j.id ORDER BY j.id"""
    for job, counted, rows, distinct, first, last in scene.rows(query):
        if not (counted == rows == distinct == last and first == min(1, rows)) or not rows:
            yield f"job {job} counts {counted} events and has {rows}, {distinct} of them distinct, {first} to {last}"


def events_replay_to_the_row(scene: Scene) -> Iterator[str]:
    """Each move starts where the one before it ended, and the last ends where the job is."""
    query = """
        SELECT e.job_id, e.sequence, e.from_status, e.to_status, j.status FROM jobs_jobevent e
        JOIN jobs_job j ON j.id = e.job_id WHERE e.to_status <> '' ORDER BY e.job_id, e.sequence"""
    states: dict[int, tuple[str, str]] = {}
    for job, sequence, came, went, status in scene.rows(query):
        before = states.get(job, ("", ""))[0]
        if came != before:
            yield f"event {sequence} of job {job} leaves '{came}', and the job was '{before}'"
        if before == "completed":
            yield f"event {sequence} of job {job} leaves 'completed', which is final"
        states[job] = went, status
    for job, (last, status) in states.items():
        if last != status:
            yield f"the events of job {job} end at '{last}', and its row says '{status}'"


def attempts_have_no_gap_and_are_told(scene: Scene) -> Iterator[str]:
    """Attempts count 1, 2, 3 …, up to the job's own number, and each has one event that says it started."""
    query = """
        SELECT j.id, j.attempt_number, count(a.id), coalesce(max(a.number), 0),
               (SELECT count(*) FROM jobs_jobevent e WHERE e.job_id = j.id AND e.to_status = 'running'),
               (SELECT count(DISTINCT e.attempt_number) FROM jobs_jobevent e
                WHERE e.job_id = j.id AND e.to_status = 'running')
        FROM jobs_job j LEFT JOIN jobs_attempt a ON a.job_id = j.id GROUP BY j.id ORDER BY j.id"""
    for job, number, rows, last, started, distinct in scene.rows(query):
        if not number == rows == last == started == distinct:
            yield f"job {job} is at attempt {number}, has {rows} up to {last}, and {started} events of a start"


def at_most_one_attempt_completed(scene: Scene) -> Iterator[str]:
    """A result is accepted once, from the attempt that owned the job: the last one."""
    query = """
        SELECT j.id, j.status, j.attempt_number, array_agg(a.number ORDER BY a.number)
                FILTER (WHERE a.outcome = 'completed')
        FROM jobs_job j JOIN jobs_attempt a ON a.job_id = j.id GROUP BY j.id ORDER BY j.id"""
    for job, status, number, completed in scene.rows(query):
        expected = [number] if status == "completed" else None
        if completed != expected:
            yield f"job {job} is {status} at attempt {number}, and attempts {completed or 'none'} completed"


def nothing_is_written_after_an_attempt_has_ended(scene: Scene) -> Iterator[str]:
    """A stale write: an event of an attempt that comes after the event which ended it."""
    query = """
        SELECT later.job_id, later.sequence, later.kind, later.attempt_number, ending.sequence
        FROM jobs_jobevent later JOIN jobs_jobevent ending
          ON ending.job_id = later.job_id AND ending.attempt_number = later.attempt_number
         AND ending.from_status = 'running' AND ending.sequence < later.sequence
        WHERE later.from_status = 'running' OR later.to_status = 'running' OR later.kind = 'checkpoint'
        ORDER BY 1, 2"""
    for job, sequence, kind, number, ended in scene.rows(query):
        yield f"event {sequence} ({kind}) of job {job} is of attempt {number}, which event {ended} had ended"


def attempts_of_a_job_do_not_overlap(scene: Scene) -> Iterator[str]:
    query = """
        SELECT a.job_id, a.number, b.number FROM jobs_attempt a
        JOIN jobs_attempt b ON b.job_id = a.job_id AND b.number > a.number
        WHERE b.started_at < coalesce(a.ended_at, 'infinity') ORDER BY 1, 2"""
    for job, earlier, later in scene.rows(query):
        yield f"attempt {later} of job {job} began before attempt {earlier} had ended"


# Progress


def every_step_is_there_once(scene: Scene) -> Iterator[str]:
    """The loss of a completed job has a row for each step of its plan; nobody's has a gap below its last row."""
    query = """
        SELECT j.id, j.status, j.current_step, j.total_steps, count(r.step), count(DISTINCT r.step),
               coalesce(min(r.step), 0), coalesce(max(r.step), 0)
        FROM jobs_job j JOIN jobs_metricseries s ON s.job_id = j.id AND s.name = 'train/loss'
        LEFT JOIN jobs_progressrow r ON r.series_id = s.id GROUP BY j.id ORDER BY j.id"""
    for job, status, step, total, rows, distinct, first, last in scene.rows(query):
        whole = rows == distinct == last and first == min(1, rows)
        if not whole or last != step or (status == "completed" and last != total):
            yield (
                f"job {job} ({status}) is at step {step} of {total}, and has {rows} rows of its loss, "
                f"{distinct} of them distinct, {first} to {last}"
            )


def every_completed_job_has_its_curve(scene: Scene) -> Iterator[str]:
    query = """
        SELECT id FROM jobs_job j WHERE status = 'completed' AND NOT EXISTS
               (SELECT 1 FROM jobs_metricseries s WHERE s.job_id = j.id AND s.name = 'train/loss') ORDER BY id"""
    for (job,) in scene.rows(query):
        yield f"job {job} completed, and has no row of its loss"


def summaries_agree_with_the_rows(scene: Scene) -> Iterator[str]:
    query = """
        SELECT s.job_id, s.name, coalesce(m.rows, 0), count(r.step)
        FROM jobs_metricseries s LEFT JOIN jobs_progressrow r ON r.series_id = s.id AND r.value IS NOT NULL
        LEFT JOIN (SELECT series_id, sum(rows) AS rows FROM jobs_progresssummary GROUP BY 1) m ON m.series_id = s.id
        GROUP BY s.id, m.rows HAVING coalesce(m.rows, 0) <> count(r.step) ORDER BY 1, 2"""
    for job, name, summed, rows in scene.rows(query):
        yield f"the summaries of {name} of job {job} count {summed} rows, and there are {rows}"


def log_lines_have_no_gap(scene: Scene) -> Iterator[str]:
    query = """
        SELECT j.id, j.log_lines, count(l.number), coalesce(max(l.number), 0) FROM jobs_job j
        LEFT JOIN jobs_logline l ON l.job_id = j.id GROUP BY j.id ORDER BY j.id"""
    for job, counted, rows, last in scene.rows(query):
        if not counted == rows == last:
            yield f"job {job} counts {counted} log lines and has {rows}, the last is {last}"


# Results


def equal_jobs_have_equal_curves(scene: Scene) -> Iterator[str]:
    """The same recipe, settings, seed and data give the same numbers, however often the job was interrupted."""
    query = """
        SELECT j.id, j.recipe || md5(j.config::text) || j.seed || '/' || coalesce(j.dataset_version_id, 0) || s.name,
               md5(string_agg(r.step || '=' || coalesce(r.value::text, ''), ',' ORDER BY r.step))
        FROM jobs_job j JOIN jobs_metricseries s ON s.job_id = j.id AND s.name IN ('train/loss', 'validation/loss')
        JOIN jobs_progressrow r ON r.series_id = s.id WHERE j.status = 'completed' GROUP BY j.id, s.id ORDER BY j.id"""
    yield from _equal(scene.rows(query), "curve")


def equal_jobs_have_equal_weights(scene: Scene) -> Iterator[str]:
    """By the SHA-256 of the final weights."""
    query = """
        SELECT j.id, j.recipe || md5(j.config::text) || j.seed || '/' || coalesce(j.dataset_version_id, 0), f->>'sha256'
        FROM jobs_job j JOIN registry_modelversion v ON v.id = j.model_version_id,
             jsonb_array_elements(v.artifact) f
        WHERE j.status = 'completed' AND f->>'name' = 'model.safetensors' ORDER BY j.id"""
    yield from _equal(scene.rows(query), "weights")


def _equal(rows: list[tuple[Any, ...]], what: str) -> Iterator[str]:
    first: dict[str, tuple[int, str]] = {}
    for job, group, value in rows:
        model, wanted = first.setdefault(group, (job, value))
        if value != wanted:
            yield f"the {what} of job {job} ({value[:12]}) differs from that of its twin {model} ({wanted[:12]})"


def a_completed_training_has_one_version(scene: Scene) -> Iterator[str]:
    query = """
        SELECT j.id, j.recipe, j.model_version_id IS NOT NULL,
               (SELECT count(*) FROM registry_modelversion v WHERE v.source_job_id = j.id)
        FROM jobs_job j WHERE j.status = 'completed' OR j.model_version_id IS NOT NULL ORDER BY j.id"""
    for job, recipe, linked, made in scene.rows(query):
        wanted = 0 if recipe == "simulate" else 1
        if made != wanted or linked != bool(wanted):
            yield f"job {job} ({recipe}) made {made} model versions"


def each_run_has_one_session(scene: Scene) -> Iterator[str]:
    """The history knows of each ended job once for each time that it ended."""
    query = """
        SELECT j.id, j.status, (SELECT count(*) FROM history_session s WHERE s.job_id = j.id),
               (SELECT count(*) FROM jobs_jobevent e WHERE e.job_id = j.id AND e.to_status = ANY(%s))
        FROM jobs_job j WHERE j.status = ANY(%s) ORDER BY j.id"""
    for job, status, sessions, endings in scene.rows(query, list(TERMINAL), list(TERMINAL)):
        if sessions != endings:
            yield f"job {job} ({status}) has ended {endings} times and has {sessions} history sessions"


def nothing_waits_to_be_recorded(scene: Scene) -> Iterator[str]:
    query = "SELECT id, topic, job_id, last_error FROM jobs_outboxmessage WHERE processed_at IS NULL ORDER BY id"
    for number, topic, job, error in scene.rows(query) if scene.at_rest else []:
        yield f"message {number} ({topic} of job {job}) was not taken up: {error or 'no error'}"


# Files


def stored_files_are_what_their_rows_name(scene: Scene) -> Iterator[str]:
    """Each file that a row names is in the store; each file of the store is named by a row."""
    named: dict[str, str] = {}
    for query in _NAMED:
        named |= dict(scene.rows(query))
    there = {path.name for path in (scene.home / "store").glob("??/*")}
    for sha256 in sorted(named.keys() - there):
        yield f"{named[sha256]} names {sha256[:12]}, which is not in the store"
    for sha256 in sorted(there - named.keys()):
        yield f"{sha256[:12]} is in the store, and no row names it"


def no_temporary_file_is_left(scene: Scene) -> Iterator[str]:
    """Neither of the store, nor of an upload, nor of a checkpoint or result that was being written."""
    for pattern in ("store/.incoming/*", "uploads/*", "jobs/*/.tmp-*", "jobs/*/*/.tmp-*", "jobs/.trash-*"):
        for path in sorted(scene.home.glob(pattern)):
            yield f"{path.relative_to(scene.home)} is left"


def work_folders_belong_to_jobs_that_need_them(scene: Scene) -> Iterator[str]:
    status = dict(scene.rows("SELECT id, status FROM jobs_job"))
    for path in sorted((scene.home / "jobs").glob("*")):
        if not re.fullmatch(r"\d+", path.name):
            continue
        job = int(path.name)
        if status.get(job, "completed") in DONE:
            yield f"jobs/{job} is there, and the job is {status.get(job, 'unknown')}"


def checkpoints_of_ended_jobs_are_gone(scene: Scene) -> Iterator[str]:
    query = "SELECT job_id, name FROM jobs_checkpoint WHERE available ORDER BY 1, 2"
    status = dict(scene.rows("SELECT id, status FROM jobs_job"))
    for job, name in scene.rows(query):
        if status[job] in DONE:
            yield f"checkpoint {name} counts as available, and job {job} is {status[job]}"


_NAMED = (
    "SELECT f->>'sha256', 'version ' || v.id FROM registry_modelversion v, jsonb_array_elements(v.artifact) f",
    "SELECT sha256, 'item ' || id FROM datasets_item",
    "SELECT content_hash, 'dataset version ' || id FROM datasets_datasetversion",
)

INVARIANTS: tuple[Callable[[Scene], Iterator[str]], ...] = (
    no_job_is_lost,
    every_job_has_ended_or_waits_truthfully,
    an_ended_job_has_no_open_attempt,
    no_slot_is_held_by_an_attempt_that_is_over,
    one_open_attempt_per_job_and_slot,
    a_failure_has_a_reason,
    events_have_no_gap_and_no_double,
    events_replay_to_the_row,
    attempts_have_no_gap_and_are_told,
    at_most_one_attempt_completed,
    nothing_is_written_after_an_attempt_has_ended,
    attempts_of_a_job_do_not_overlap,
    every_step_is_there_once,
    every_completed_job_has_its_curve,
    summaries_agree_with_the_rows,
    log_lines_have_no_gap,
    equal_jobs_have_equal_curves,
    equal_jobs_have_equal_weights,
    a_completed_training_has_one_version,
    each_run_has_one_session,
    nothing_waits_to_be_recorded,
    stored_files_are_what_their_rows_name,
    no_temporary_file_is_left,
    work_folders_belong_to_jobs_that_need_them,
    checkpoints_of_ended_jobs_are_gone,
)
