"""Short jobs through the whole hub: how many a second, each once and in its order, and what they cost."""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from bench.report import line, spread
from common.paths import PROJECT
from tests.hub.harness import Hub, running

JOBS = 1_000
STEPS = 10
NODES = 2
SLOTS = 4
WARM_UP = 20
PRIORITIES = (-5, 0, 5)
CONFIG = {"steps": STEPS, "step_seconds": 0, "evaluate_every": 0}


def main() -> None:
    print("\n## Queue", flush=True)
    with contextmanager(running)(TRAINHUB_SLOTS=str(SLOTS // NODES)) as hub, _more_nodes(hub):
        _throughput(hub)
    subprocess.run([sys.executable, "-m", "bench.claims"], check=True)


@contextmanager
def _more_nodes(hub: Hub) -> Iterator[None]:
    """The other nodes, each with its own manager, warm server and worker clusters, as on a machine of its own."""
    others = [
        subprocess.Popen(
            [sys.executable, "manage.py", "node"], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=hub.environment | {"TRAINHUB_NODE": f"node-{number}"},
        )
        for number in range(1, NODES)
    ]  # fmt: skip
    try:
        hub.until(lambda: hub.sql("SELECT count(*) FROM jobs_slot WHERE enabled")[0][0] == SLOTS, 60, "all slots")
        yield
    finally:
        for process in others:
            process.send_signal(signal.SIGTERM)
        for process in others:
            process.wait(60)


def _throughput(hub: Hub) -> None:
    """Submit while no slot takes anything, then let go, so that neither disturbs the other."""
    _submit(hub, WARM_UP)
    _until_done(hub)
    hub.sql("UPDATE jobs_slot SET enabled = false")
    hub.until(lambda: not _waiting_knocks(hub), 30, "the slots to be quiet")
    first = hub.sql("SELECT max(id) FROM jobs_job")[0][0]
    line(f"submit by the API, one client, {JOBS:,} jobs", f"{JOBS / _submit(hub, JOBS):.0f} jobs/s")
    before = _processor_seconds(hub)
    hub.sql("UPDATE jobs_slot SET enabled = true")
    _until_done(hub)
    spent = {part: seconds - before.get(part, 0.0) for part, seconds in _processor_seconds(hub).items()}
    _check(hub, first)
    began, ended = hub.sql("SELECT min(started_at), max(completed_at) FROM jobs_job WHERE id > %s", first)[0]
    what = f"{JOBS:,} jobs of {STEPS} steps, {NODES} nodes of {SLOTS // NODES} slots, each once, in order"
    rate = JOBS / (ended - began).total_seconds()
    line(
        what,
        f"{rate:.1f} jobs/s",
        "20 jobs/s",
    )
    for part, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        line(f"  processor time of one job: {part}", f"{1000 * seconds / JOBS:.1f} ms")
    gaps = hub.sql(
        "SELECT extract(epoch FROM a.started_at - lag(a.ended_at) OVER (PARTITION BY a.slot_id ORDER BY a.started_at)),"
        " extract(epoch FROM a.ended_at - a.started_at) FROM jobs_attempt a WHERE job_id > %s",
        first,
    )
    line("  claim → conclusion of one job", spread([float(row[1]) for row in gaps]))
    line("  conclusion → next claim of a slot", spread([float(row[0]) for row in gaps if row[0] is not None]))


def _submit(hub: Hub, count: int) -> float:
    """Queue jobs over one connection; the seconds that it took."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/json"}
    order = random.Random(1)
    started = time.perf_counter()
    for number in range(count):
        body = {"recipe": "simulate", "name": f"short {number}", "priority": order.choice(PRIORITIES), "config": CONFIG}
        connection.request("POST", "/api/v1/training/jobs", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text
    return time.perf_counter() - started


def _until_done(hub: Hub) -> None:
    def done() -> bool:
        time.sleep(0.5)  # between two looks: they take processor time from what they watch
        return not hub.sql("SELECT 1 FROM jobs_job WHERE completed_at IS NULL LIMIT 1")

    hub.until(done, 600, "the queue to be empty")
    hub.until(lambda: not hub.sql("SELECT 1 FROM jobs_outboxmessage WHERE processed_at IS NULL"), 60, "the history")


def _waiting_knocks(hub: Hub) -> bool:
    return bool(hub.sql("SELECT 1 FROM django_q_ormq WHERE key LIKE %s", "slot.%"))


def _check(hub: Hub, first: int) -> None:
    """Every job completed in one attempt with each step once, and started in the order of the queue."""
    bad = hub.sql("SELECT j.id, j.status, a.number, a.outcome, a.reason FROM jobs_job j JOIN jobs_attempt a "
                  "ON a.job_id = j.id WHERE j.id > %s AND (j.status <> 'completed' OR attempt_number <> 1 "
                  "OR current_step <> %s)", first, STEPS)  # fmt: skip
    assert not bad, bad[:5]
    counts = hub.sql("SELECT count(*), count(DISTINCT job_id) FROM jobs_attempt WHERE job_id > %s", first)[0]
    assert counts == (JOBS, JOBS), counts
    steps = hub.sql("SELECT count(*) FROM jobs_progressrow r JOIN jobs_metricseries s ON s.id = r.series_id "
                    "WHERE s.job_id > %s AND s.name = 'train/loss'", first)[0][0]  # fmt: skip
    assert steps == JOBS * STEPS, steps
    sessions = hub.sql("SELECT count(*) FROM history_session WHERE job_id > %s", first)[0][0]
    assert sessions == JOBS, sessions
    wanted = [row[0] for row in hub.sql("SELECT id FROM jobs_job WHERE id > %s "
                                        "ORDER BY priority DESC, position, id", first)]  # fmt: skip
    claims = hub.sql("SELECT job_id FROM jobs_attempt WHERE job_id > %s ORDER BY started_at", first)
    place = {job: number for number, job in enumerate(wanted)}
    # Claims at the same moment are written in any order, but never further apart than there are slots.
    late = max(abs(place[job] - number) for number, (job,) in enumerate(claims))
    assert late < SLOTS, f"a job started {late} places off"


def _processor_seconds(hub: Hub) -> dict[str, float]:
    """Processor time so far of each part of the hub, with the processes that it had and has reaped."""
    found: dict[str, float] = {}
    for process, part in _parts(hub):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        taken = times.user + times.system
        if part in {"trainers and their server", "database"}:
            taken += times.children_user + times.children_system
        found[part] = found.get(part, 0.0) + taken
    return found


def _parts(hub: Hub) -> Iterator[tuple[psutil.Process, str]]:
    whole = {process.pid: process for process in hub.processes()}
    for process in list(whole.values()):
        with suppress(psutil.NoSuchProcess):
            whole |= {child.pid: child for child in process.children(recursive=True)}
    for process in whole.values():
        try:
            name, command = process.name(), " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "engine." in command:
            yield process, "trainers and their server"
        elif "postgres" in name or "postgres" in command:
            yield process, "database"
        elif name.startswith("q:back"):
            yield process, "background work"
        elif name.startswith("q:"):
            yield process, "workers"
        else:
            yield process, "web, node manager, process manager"


if __name__ == "__main__":
    main()
