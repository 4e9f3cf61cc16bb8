"""What /proc says about a hub: its trainers, its process trees, its clusters. Nothing here asks the hub itself."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.processes import Stat, stat_of

TRAINER = "train-"  # a trainer's name is this and the number of its job
COLD = re.compile(r"/jobs/(\d+)/spec\.json")


@dataclass(frozen=True)
class Process:
    """A live process of the hub."""

    pid: int
    name: str
    stat: Stat
    command: str


class Machine:
    """The processes that have one hub's home in their environment."""

    def __init__(self, home: Path) -> None:
        self.mark = f"TRAINHUB_HOME={home}".encode()
        self._mine: dict[tuple[int, int], bool] = {}

    def processes(self) -> list[Process]:
        """All that live now, without those that only wait to be reaped, and without the caller."""
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            process = self._look(int(entry))
            if process:
                found.append(process)
        return found

    def trainers(self) -> dict[int, list[int]]:
        """Job number → ids of the live trainers that work on it. Only the leaders count, not what they started."""
        jobs: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (job := self._trains(int(entry))):
                jobs.setdefault(job, []).append(int(entry))
        return jobs

    def strays(self, roots: list[int]) -> list[Process]:
        """Processes of the hub that descend from none of `roots`: nobody would end them."""
        everyone = {process.pid: process for process in self.processes()}
        return [process for process in everyone.values() if not self._descends(process, everyone, roots)]

    def _descends(self, process: Process, everyone: dict[int, Process], roots: list[int]) -> bool:
        seen = process
        while seen.pid not in roots:
            parent = everyone.get(seen.stat.parent)
            if parent is None:
                return seen.stat.parent in roots
            seen = parent
        return True

    def _look(self, pid: int) -> Process | None:
        stat = stat_of(pid)
        if stat is None or stat.dead or not self._owned(pid, stat.start_time):
            return None
        return Process(pid, _read(pid, "comm").strip(), stat, _read(pid, "cmdline").replace("\0", " ").strip())

    def _trains(self, pid: int) -> int:
        name = _read(pid, "comm").strip()
        number = name.removeprefix(TRAINER) if name.startswith(TRAINER) else ""
        if not number.isdigit() and name.startswith("python"):
            cold = COLD.search(_read(pid, "cmdline"))
            number = cold[1] if cold else ""
        if not number.isdigit():
            return 0
        stat = stat_of(pid)
        leads = stat is not None and not stat.dead and stat.session == pid
        return int(number) if leads and self._owned(pid, stat.start_time) else 0

    def _owned(self, pid: int, start_time: int) -> bool:
        key = pid, start_time
        if key not in self._mine:
            self._mine[key] = self.mark in _read(pid, "environ").encode(errors="surrogateescape").split(b"\0")
        return self._mine[key]


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal; False when the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def kill_session(pid: int) -> bool:
    """SIGKILL the whole process group of the session that a process belongs to; False when it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(os.getsid(pid), signal.SIGKILL)
        return True
    return False


def children(pid: int) -> list[int]:
    """The living children of a process, oldest first."""
    found = []
    for entry in os.listdir("/proc"):
        stat = stat_of(int(entry)) if entry.isdigit() else None
        if stat and stat.parent == pid and not stat.dead:
            found.append((stat.start_time, int(entry)))
    return [child for _, child in sorted(found)]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
