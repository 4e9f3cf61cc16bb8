"""Knocks that come twice, or a hundred times."""

from __future__ import annotations

import subprocess
import sys

from common.paths import PROJECT
from faults.kinds.registry import Kind
from faults.trial import Trial

KNOCK = (
    "import sys; from common.background import put; "
    "[put(queue, 'jobs.tasks.answer', int(slot)) for _ in range({times}) "
    "for slot, queue in (pair.split('=') for pair in sys.argv_pairs)]"
)


def knocked_often(trial: Trial) -> None:
    """The same knock, two or many times, at every slot, while a job runs."""
    lab = trial.lab
    times = trial.rng.choice([2, 25])
    before = trial.caught("simulate", steps=200)
    pairs = [f"{slot}={queue}" for slot, queue in lab.slot_rows()]
    code = KNOCK.format(times=times).replace("sys.argv_pairs", repr(pairs))
    command = [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", code]
    trial.strike(f"{times} knocks at each of {len(pairs)} slots")
    done = subprocess.run(command, cwd=PROJECT, env=lab.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    look = trial.follow(before, may_go_on=True)
    if look.number != before.number:
        trial.record.recovered, trial.record.note = False, "the job was disturbed"


KINDS = [Kind("knocked-often", "the same knock many times", knocked_often, 5, 1, True)]
