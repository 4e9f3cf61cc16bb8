"""A whole hub: how fast it starts, what it weighs, how soon a job takes its first step."""

from __future__ import annotations

import time

import psutil

from bench.report import line, spread
from tests.hub.harness import Hub, manual_text

SUBMISSIONS = 20


def main() -> None:
    print("\n## Hub", flush=True)
    hub = Hub(prepared=False)
    try:
        hub.start()
        line("first start, empty home (environment installed)", f"{hub.start_seconds:.1f} s")
        hub.process.terminate()
        hub.process.wait(60)
        hub.start()
        line("second start", f"{hub.start_seconds:.1f} s", "8 s")
        _weigh(hub)
        _first_steps(hub)
        _weigh(hub, "after the jobs")
    finally:
        hub.stop()


def _weigh(hub: Hub, when: str = "idle") -> None:
    time.sleep(5)  # let start-up work end: this is a figure of rest
    total, with_torch = 0, []
    for process in _whole(hub):
        try:
            total += process.memory_full_info().pss
            maps = {mapping.path for mapping in process.memory_maps()}
            if any("libtorch" in path for path in maps):
                with_torch.append(" ".join(process.cmdline())[-60:])
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    line(f"proportional memory of everything, {when}", f"{total / 2**20:.0f} MiB", "600 MiB")
    expected = "2, the warm server and the model server forked from it"
    line(f"processes that have loaded torch, {when}", str(len(with_torch)), expected)


def _whole(hub: Hub) -> list[psutil.Process]:
    """All processes of the hub, with the database's own children."""
    found = {process.pid: process for process in hub.processes()}
    for process in list(found.values()):
        found |= {child.pid: child for child in process.children(recursive=True)}
    return list(found.values())


def _first_steps(hub: Hub) -> None:
    """From the request to the time stamp of the first step, as the trainer wrote it."""
    dataset = hub.dataset("bench", "text", manual_text())["id"]
    config = {"layers": 2, "heads": 2, "width": 64, "block_size": 32, "steps": 20, "sample_every": 0}
    for recipe, more in (("simulate", {"config": {"steps": 5, "step_seconds": 0.01}}),
                         ("text-generation", {"dataset": dataset, "config": config})):  # fmt: skip
        waits = []
        for number in range(SUBMISSIONS):
            sent = time.time()
            job = hub.post("/training/jobs", {"recipe": recipe, "name": f"{recipe} {number}", **more})["id"]
            hub.wait_job(job)
            row = hub.sql(
                "SELECT extract(epoch FROM min(recorded_at)) FROM jobs_progressrow r "
                "JOIN jobs_metricseries s ON s.id = r.series_id WHERE s.job_id = %s",
                job,
            )
            waits.append(float(row[0][0]) - sent)
        line(f"submit → first step, idle warm worker, {recipe}", spread(waits[1:]), "p50 500 ms")
