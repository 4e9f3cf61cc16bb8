"""Checkpoints that are damaged while their run is down."""

from __future__ import annotations

import signal
from pathlib import Path

from faults.kinds.registry import Kind
from faults.lab import Look
from faults.machine import kill
from faults.trial import Trial


def newest_damaged(trial: Trial) -> None:
    """The trainer dies and its newest checkpoint is damaged: the older one is used, and the log says so."""
    before, _ = _with_checkpoints(trial, 2)
    job = trial.record.job
    kill(before.trainer, signal.SIGSTOP)  # it must not write another one meanwhile
    folders = _checkpoints(trial, job)
    how = _damage(trial, folders[-1])
    reached = trial.lab.look(job)
    trial.strike(f"{folders[-1].name} of job {job}: {how}")
    kill(before.trainer)
    if trial.follow(before).number == before.number:
        return newest_damaged(trial.anew())  # it had ended a moment before
    told = _told(trial, folders[-1].name)
    resumed = trial.lab.rows(
        "SELECT first_step FROM jobs_attempt WHERE job_id = %s AND number = %s", job, before.number + 1
    )
    damaged = int(folders[-1].name.removeprefix("step-"))
    if not told and damaged <= reached.step:
        trial.record.recovered, trial.record.note = False, f"nothing in the log about {folders[-1].name}"
    elif resumed and (resumed[0][0] or 0) >= damaged:
        trial.record.recovered, trial.record.note = False, f"resumed from step {resumed[0][0]}, which was damaged"
    return None


def all_damaged(trial: Trial) -> None:
    """Every checkpoint is damaged: the job fails and says so; a person retries it, and it begins at step 0."""
    before, _ = _with_checkpoints(trial, 1)
    job = trial.record.job
    kill(before.trainer, signal.SIGSTOP)
    for folder in _checkpoints(trial, job):
        _damage(trial, folder)
    trial.strike(f"all checkpoints of job {job}")
    kill(before.trainer)
    failed = trial.follow(before, ends=("failed",))
    if failed.status == "completed" and failed.number == before.number:
        return all_damaged(trial.anew())
    if failed.status == "completed" and failed.first_step == 0 and _told(trial, ""):
        # Its only checkpoint was ahead of what had been recorded, so it was passed over unread: step 0 was right.
        trial.record.recovered, trial.record.note = True, ""
    elif failed.failure == "corrupt_checkpoints":
        trial.lab.insist("POST", f"/training/jobs/{job}/retry")
        trial.record.recovered = trial.finish(job).status == "completed"
    else:
        trial.record.recovered = False
        trial.record.note = f"ended as {failed.status} {failed.failure}"
    return None


def _told(trial: Trial, name: str) -> bool:
    """Whether the log says that a checkpoint (of this name) was passed over."""
    query = "SELECT count(*) FROM jobs_logline WHERE job_id = %s AND text LIKE %s"
    return bool(trial.lab.rows(query, trial.record.job, f"Checkpoint {name}% was passed over%")[0][0])


def _with_checkpoints(trial: Trial, count: int) -> tuple[Look, list[Path]]:
    def enough(_: Look) -> bool:
        return len(_checkpoints(trial, trial.record.job)) >= count

    for _ in range(6):
        job = trial.job(trial.rng.choice(["simulate", "text"]))
        before = trial.running(job, enough)
        if before:
            return before, _checkpoints(trial, job)
    raise AssertionError("no job wrote enough checkpoints while it ran")


def _checkpoints(trial: Trial, job: int) -> list[Path]:
    return sorted((trial.lab.home / "jobs" / str(job) / "checkpoints").glob("step-*"))


def _damage(trial: Trial, folder: Path) -> str:
    file = trial.rng.choice(sorted(path for path in folder.iterdir() if path.stat().st_size))
    how = trial.rng.choice(["one bit flipped", "a page of zeros", "cut short", "missing"])
    data = bytearray(file.read_bytes())
    place = trial.rng.randrange(len(data))
    if how == "missing":
        file.unlink()
        return f"{file.name} {how}"
    if how == "one bit flipped":
        data[place] ^= 1 << trial.rng.randrange(8)
    elif how == "a page of zeros":
        page = place // 4096 * 4096
        data[page : page + 4096] = bytes(len(data[page : page + 4096]))
    else:
        del data[place:]
    file.chmod(0o600)
    file.write_bytes(data)
    return f"{file.name} {how}"


KINDS = [
    Kind("checkpoint-damaged", "newest checkpoint damaged", newest_damaged, 34, 2, True, target=5.0),
    Kind("checkpoints-damaged", "all checkpoints damaged", all_damaged, 5, 0, True),
]
