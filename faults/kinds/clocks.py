"""A machine whose clock jumps. Leases are in the database's time, so a jump must change nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from faults.kinds.hosts import _need_namespaces
from faults.kinds.registry import Kind
from faults.lab import Host
from faults.trial import Skip, Trial

# With the monotonic clock left alone, Python's time.sleep fails under libfaketime (EINVAL); the shim replaces it.
SHIM = Path(__file__).resolve().parent.parent / "shim"
JUMPS = ["+1h", "-2h", "-20000d"]


def clock_jumps(trial: Trial) -> None:
    """A second machine runs a job while its clock jumps an hour ahead, two hours back, or far back."""
    library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        raise Skip("libfaketime is not installed (Debian: apt-get install libfaketime)")
    _need_namespaces()
    lab = trial.lab
    jump = JUMPS[(trial.record.number - 1) % len(JUMPS)]
    stamp = Path("/tmp") / f"clock-{lab.home.name}-{trial.record.number}"
    stamp.write_text("+0")
    host = Host(
        lab,
        f"clock-{trial.record.number}",
        LD_PRELOAD=str(library),
        PYTHONPATH=str(SHIM),
        FAKETIME_TIMESTAMP_FILE=str(stamp),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    try:
        host.ready(60)
        with lab.only_elsewhere():
            before = trial.caught("simulate", steps=300)
            trial.strike(f"the clock of {host.name}, {jump}, while job {trial.record.job} runs")
            draft = stamp.with_suffix(".new")
            draft.write_text(jump)
            os.replace(draft, stamp)
            look = trial.follow(before, may_go_on=True)
            if look.number != before.number:
                trial.record.recovered, trial.record.note = False, "the job was taken from its worker for nothing"
            # The next job is taken and ended under the wrong clock.
            later = trial.companion()
            time.sleep(0.1)
            if trial.finish(later).status != "completed":
                trial.record.recovered, trial.record.note = False, f"job {later} did not complete after the jump"
    finally:
        host.stop()
        stamp.unlink(missing_ok=True)


KINDS = [Kind("clock-jumps", "clock of a node jumps", clock_jumps, 3, 0)]
