"""Disks without room. The home and the database have small disks of their own, which are filled to the last page."""

from __future__ import annotations

import time
import urllib.error
from contextlib import suppress

from faults.kinds.registry import Kind
from faults.lab import AWAY, TERMINAL
from faults.trial import Skip, Trial

NO_DISK = "no small disk can be mounted here (that needs root)"


def home_full(trial: Trial) -> None:
    """No room for checkpoints and results: the job goes on, or fails as 'disk full' and is retried once there is."""
    lab, record = trial.lab, trial.record
    if lab.home not in lab.mounted:
        raise Skip(NO_DISK)
    before = trial.caught()
    job = record.job
    trial.strike(f"the disk of the home, while job {job} runs")
    ballast = lab.fill(lab.home)
    try:
        stop = time.monotonic() + 1.5
        while (look := lab.look(job)).status not in TERMINAL and time.monotonic() < stop:
            time.sleep(0.02)
        record.truthful = trial.since()
    finally:
        ballast.unlink()
    freed = trial.since()
    if look.status == "failed" and look.failure == "disk_full":
        lab.insist("POST", f"/training/jobs/{job}/retry")
    trial.follow(before, may_go_on=True)
    record.again = max(0.0, (record.again or 0.0) - freed)


def upload_refused(trial: Trial) -> None:
    """An upload meets a full disk: it is refused in words, and goes in once there is room."""
    lab, record = trial.lab, trial.record
    if lab.home not in lab.mounted:
        raise Skip(NO_DISK)
    made = lab.insist("POST", "/datasets", {"name": f"full {record.number}", "modality": "text"})
    files = {f"{n}.txt": (f"{record.seed} {n} ".encode() * 40_000) for n in range(4)}
    trial.strike("the disk of the home, during an upload")
    ballast = lab.fill(lab.home)
    said = "nothing"
    try:
        lab.upload(made["id"], files)
    except AssertionError as refusal:
        said = str(refusal)[:300]
    except (urllib.error.URLError, *AWAY) as error:
        said = f"{error}"
    finally:
        ballast.unlink()
    record.truthful = trial.since()
    while record.again is None and trial.since() < 60:
        with suppress(AssertionError, *AWAY):
            lab.upload(made["id"], files)
            record.again = trial.since()

    def whole() -> bool:
        now = lab.get(f"/datasets/{made['id']}")
        return now["status"] == "active"

    lab.until(whole, 60, "the import")
    items = lab.rows("SELECT count(*) FROM datasets_item WHERE dataset_id = %s", made["id"])[0][0]
    record.recovered = items == len(files) and "full" in said
    record.note = "" if record.recovered else f"{items} of {len(files)} items; the hub said: {said}"


def database_full(trial: Trial) -> None:
    """No room for the database: it refuses or dies; the hub waits, and goes on when there is room."""
    lab, record = trial.lab, trial.record
    folder = lab.home / "postgres"
    if folder not in lab.mounted:
        raise Skip(NO_DISK)
    for _ in range(lab.slots - 1):  # tables must grow, or nobody notices
        lab.submit("simulate", 3, f"beside {record.kind} {record.number}", steps=400)
    before = trial.caught("simulate", steps=400)
    trial.strike(f"the disk of the database, while job {record.job} runs")
    ballast = lab.fill(folder)
    time.sleep(4)
    ballast.unlink()
    before = lab.look(record.job) if lab.database.running() else before
    while not lab.database.running():
        with suppress(RuntimeError):
            lab.database.start()
    freed = trial.since()
    trial.follow(before, may_go_on=True)
    record.truthful = max(0.0, (record.truthful or 0.0) - freed)
    record.again = max(0.0, (record.again or 0.0) - freed)


KINDS = [
    Kind("disk-full", "disk full (checkpoints, results)", home_full, 32, 1),
    Kind("disk-full-upload", "disk full (upload)", upload_refused, 4, 0),
    Kind("disk-full-database", "disk full (database)", database_full, 4, 0),
]
