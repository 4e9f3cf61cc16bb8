"""A database that restarts, dies or goes away, and a line to it that breaks or lies."""

from __future__ import annotations

import re
import signal
import time
import urllib.error
import uuid
from contextlib import suppress

from faults.kinds.registry import Kind
from faults.lab import AWAY, Look
from faults.machine import kill
from faults.trial import Trial

JOB = re.compile(rb'"jobs_job"\."id" = (\d+)')
# What a transaction holds by which its moment in a job's life is known.
CLAIM = b'INSERT INTO "jobs_attempt"'
PROGRESS = b"COPY jobs_progressrow"
ENDING = b'UPDATE "jobs_attempt" SET "ended_at"'
SUBMIT = b'INSERT INTO "jobs_job"'


def restarted(trial: Trial) -> None:
    """Stopped in order, stopped as in a crash, or killed with all its processes; started again at once."""
    trial.companion()
    before = trial.caught()
    way = trial.rng.choice(["fast", "immediate", "kill"])
    trial.strike(f"PostgreSQL, {'SIGKILL to all its processes' if way == 'kill' else f'stop -m {way}'}")
    _stop(trial, way)
    _start(trial)
    trial.follow(before, may_go_on=True)


def away(trial: Trial) -> None:
    """Away for two and a half leases: nobody can hold a lease, so training stops and goes on afterwards."""
    before = trial.caught()
    seconds = 2.5 * trial.lab.lease
    trial.strike(f"PostgreSQL, away for {seconds:.0f} s")
    _stop(trial, "fast")
    time.sleep(seconds)
    _start(trial)
    gone = trial.since()
    trial.follow(before, may_go_on=True)
    _after(trial, gone)


def dropped(trial: Trial) -> None:
    """Every connection is reset at once, as by a firewall that forgets."""
    trial.companion()
    before = trial.caught()
    trial.strike("all connections to the database")
    count = trial.lab.proxy.cut()
    trial.record.target += f" ({count})"
    trial.follow(before, may_go_on=True)


def silent(trial: Trial) -> None:
    """A black hole: for one and a half leases no byte passes, and no connection is closed."""
    before = trial.caught()
    seconds = 1.5 * trial.lab.lease
    trial.strike(f"the line to the database, silent for {seconds:.0f} s")
    trial.lab.proxy.silence(True)
    time.sleep(seconds)
    trial.lab.proxy.silence(False)
    gone = trial.since()
    trial.follow(before, may_go_on=True)
    _after(trial, gone)


def answer_lost(trial: Trial) -> None:
    """A COMMIT is carried out and its answer thrown away: of a submission, claim, batch of progress, or ending."""
    moment = trial.rng.choice([SUBMIT, CLAIM, PROGRESS, PROGRESS, ENDING, ENDING])
    if moment == SUBMIT:
        return _submission_lost(trial)
    job = trial.job()
    words = (f'"jobs_job"."id" = {job} ' if moment != ENDING else f'"jobs_job"."id" = {job}').encode()
    if moment == CLAIM:
        # Held until the line is prepared, so that its next claim is the one.
        with suppress(AssertionError):
            trial.lab.insist("POST", f"/training/jobs/{job}/pause")
        while trial.lab.look(job).status not in {"paused", "completed"}:
            time.sleep(0.02)
    before = trial.lab.look(job)
    wish = trial.lab.proxy.swallow(moment, words)
    trial.strike(f"answer of the commit of a {_name(moment)} of job {job}")
    if before.status == "paused":
        trial.lab.insist("POST", f"/training/jobs/{job}/resume")
    while not wish.done.wait(0.02):
        look = trial.lab.look(job)
        if look.status == "completed" or trial.since() > 60:
            trial.lab.proxy.forget(wish)
            break
        before = look
    if not wish.done.is_set():
        return answer_lost(trial)  # it had ended before the line was prepared: another one
    trial.struck, trial.record.at = wish.at, time.time() - (time.monotonic() - wish.at)
    trial.follow(trial.lab.look(job) if moment == PROGRESS else before, may_go_on=True)
    return None


def _submission_lost(trial: Trial) -> None:
    """The client hears nothing, or 503, and asks again with the same key: one job, the same for both."""
    lab, key = trial.lab, uuid.uuid4().hex
    body = {"recipe": "simulate", "config": {"steps": 60, "step_seconds": 0.02}, "seed": 6, "name": f"once {key[:6]}"}
    wish = lab.proxy.swallow(SUBMIT, key.encode())
    trial.strike("answer of the commit of a submission")
    with suppress(urllib.error.HTTPError, *AWAY):
        lab.call("POST", "/training/jobs", body, {"Idempotency-Key": key})
    job = lab.insist("POST", "/training/jobs", body, {"Idempotency-Key": key})["id"]
    lab.accepted.add(job)
    trial.record.job = job
    trial.record.truthful = trial.since()
    made = lab.rows("SELECT count(*) FROM jobs_job WHERE idempotency_key = %s", key)[0][0]
    trial.follow(Look("queued", 0))
    if made != 1 or not wish.done.is_set():
        trial.record.recovered = False
        trial.record.note = f"{made} jobs were made; answer lost: {wish.done.is_set()}"


def _name(moment: bytes) -> str:
    return {CLAIM: "claim", PROGRESS: "batch of progress", ENDING: "ending", SUBMIT: "submission"}[moment]


def _after(trial: Trial, gone: float) -> None:
    """Count from the end of an outage that the trial itself made last."""
    record = trial.record
    record.truthful = max(0.0, (record.truthful or 0) - gone)
    record.again = max(0.0, (record.again or 0) - gone)


def _stop(trial: Trial, way: str) -> None:
    lab = trial.lab
    if way != "kill":
        lab.database.stop(way)
        return
    pid = int((lab.database.data / "postmaster.pid").read_text().split()[0])
    mine = [pid, *(p for p in _descendants(pid))]
    for process in mine:
        kill(process, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    from faults.machine import children

    return [found for child in children(pid) for found in (child, *_descendants(child))]


def _start(trial: Trial) -> None:
    """As the system's service manager would; right after a kill its shared memory may still be in use."""
    deadline = time.monotonic() + 30
    while not trial.lab.database.running():
        try:
            trial.lab.database.start()
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


KINDS = [
    Kind("database-restarted", "database restarted or killed", restarted, 32, 2, target=5.0),
    Kind("answer-lost", "answer of a COMMIT swallowed", answer_lost, 34, 3, True, target=5.0, leases=1.0),
    Kind("connections-dropped", "all database connections dropped", dropped, 8, 1, target=5.0),
    Kind("line-silent", "line to the database silent 1.5 leases", silent, 4, 0, target=10.0),
    Kind("database-away", "database away 2.5 leases", away, 3, 0, target=10.0),
]
