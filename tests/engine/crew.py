"""Runs of several processes for the tests: start one, know its ranks, see all of them gone."""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine import launch
from engine.processes import Ended, process_alive, start_time_of, stat_of
from engine.protocol import Spec

Process = tuple[int, int]  # process id, start time


class Crew:
    """A trainer of several processes and what it has reported."""

    def __init__(self, spec: Spec) -> None:
        path = spec.work_dir.parent / "spec.json"
        path.write_text(spec.model_dump_json())
        self.began = time.perf_counter()
        self.trainer = launch.start_trainer(path, socket_path=None, processes=spec.processes)
        self.events: list[dict[str, Any]] = []
        self.rest = b""
        self.waiting: deque[bytes] = deque()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.trainer.close()

    def read(self, seconds: float = 60) -> Iterator[dict[str, Any]]:
        """Events as they come, until no process is left that could report one."""
        deadline = time.monotonic() + seconds
        while True:
            while self.waiting:  # some may be left of the last time
                event = json.loads(self.waiting.popleft())
                self.events.append(event)
                yield event
            try:
                data = os.read(self.trainer.events, 1 << 20)
            except BlockingIOError:
                assert time.monotonic() < deadline, f"no end in sight: {self.events[-3:]}"
                select.select([self.trainer.events], [], [], 0.5)
                continue
            if not data:
                return
            *lines, self.rest = (self.rest + data).split(b"\n")
            self.waiting.extend(filter(None, lines))

    def read_until(self, enough: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for event in self.read():
            if enough(event):
                return event
        raise AssertionError(f"{self.trainer.wait(5)} {self.events[-3:]} {self.output()}")

    def read_to_step(self, step: int) -> None:
        self.read_until(lambda event: event["event"] == "step" and event["step"] >= step)

    def finish(self) -> Ended:
        """Read to the end; how it ended."""
        for _ in self.read():
            pass
        ended = self.trainer.wait(5)
        assert ended is not None
        return ended

    def output(self) -> str:
        try:
            return os.read(self.trainer.output, 1 << 20).decode()
        except BlockingIOError:
            return ""

    def ranks(self) -> dict[int, Process]:
        """The process of each rank."""
        return ranks_of(self.trainer.pid)

    def everyone(self) -> list[Process]:
        """The launcher and its ranks."""
        return [(self.trainer.pid, self.trainer.start_time), *self.ranks().values()]


def ranks_of(launcher: int) -> dict[int, Process]:
    """The rank processes of a launcher."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        stat = stat_of(int(name))
        if stat is None or stat.parent != launcher:
            continue
        facts = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
        rank = next((int(fact[5:]) for fact in facts if fact.startswith(b"RANK=")), None)
        if rank is not None:
            found[rank] = int(name), stat.start_time
    return found


def gone(processes: list[Process]) -> bool:
    return not any(process_alive(*process) for process in processes)


def of_process(pid: int) -> Process:
    return pid, start_time_of(pid) or 0
