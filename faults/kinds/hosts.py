"""Other machines: one that is lost, one that takes a name that is taken."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from common.paths import PROJECT
from faults.kinds.registry import Kind
from faults.lab import Host
from faults.trial import Skip, Trial


def host_lost(trial: Trial) -> None:
    """A second machine runs a job and loses its power; the first must take the job up by the lease alone."""
    _need_namespaces()
    lab = trial.lab
    host = Host(lab, f"host-{trial.record.number}")
    try:
        host.ready()
        with lab.only_elsewhere():
            before = trial.caught()
            if before.host != host.name:
                raise AssertionError(f"job {trial.record.job} runs on {before.host}")
        trial.strike(f"host {host.name} with job {trial.record.job}")
        host.kill()
        trial.follow(before)
    finally:
        host.kill()


def same_name_here(trial: Trial) -> None:
    """A second manager of the same node on the same machine: it is refused, in words, and harms nothing."""
    lab = trial.lab
    before = trial.caught("simulate", steps=200)
    trial.strike("a second manager of node 'test' on this machine")
    second = subprocess.run(
        [sys.executable, "manage.py", "node"],
        cwd=PROJECT, env=lab.environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    look = trial.follow(before, may_go_on=True)
    refused = second.returncode != 0 and "already" in second.stderr
    if not refused or look.number != before.number:
        trial.record.recovered = False
        trial.record.note = f"exit {second.returncode}, attempt {look.number}: {second.stderr[-200:]}"


def same_name_elsewhere(trial: Trial) -> None:
    """A second manager of the same node on another machine: whatever it does, no job runs twice."""
    _need_namespaces()
    lab = trial.lab
    before = trial.caught("simulate", steps=200)
    trial.strike("a second manager of node 'test' on another machine")
    host = Host(lab, f"twin-{trial.record.number}", node="test", slots=lab.slots)
    try:
        jobs = [trial.companion() for _ in range(2 * lab.slots)]
        time.sleep(2)
        jobs += [trial.companion() for _ in range(2 * lab.slots)]
        trial.follow(before, may_go_on=True)
        ended = [trial.finish(job).status for job in jobs]
        if set(ended) != {"completed"}:
            trial.record.recovered, trial.record.note = False, f"jobs beside it ended as {set(ended)}"
    finally:
        host.stop()


def _need_namespaces() -> None:
    command = ["unshare", "--pid", "--uts", "--mount", "--mount-proc", "--fork", "--kill-child", "true"]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        raise Skip("a second host needs namespaces, which this machine lets only root make")


KINDS = [
    Kind("host-lost", "host lost, taken up elsewhere", host_lost, 8, 0, target=5.0, leases=1.0),
    Kind("same-name-here", "second node of the same name, same host", same_name_here, 3, 0),
    Kind("same-name-elsewhere", "second node of the same name, other host", same_name_elsewhere, 3, 0),
]
