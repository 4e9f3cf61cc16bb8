"""Processes that die, hang or are told to go."""

from __future__ import annotations

import os
import signal
import threading
import time

from faults.kinds.registry import Kind
from faults.machine import children, kill, kill_session
from faults.trial import Skip, Trial


def trainer_killed(trial: Trial) -> None:
    _trainer(trial, signal.SIGKILL)


def trainer_segfault(trial: Trial) -> None:
    _trainer(trial, signal.SIGSEGV)


def trainer_terminated(trial: Trial) -> None:
    """SIGTERM is obeyed: a checkpoint is saved, and nothing is lost."""
    _trainer(trial, signal.SIGTERM)


def _trainer(trial: Trial, number: signal.Signals) -> None:
    trial.companion()
    before = trial.caught()
    trial.strike(f"trainer {before.trainer} of job {trial.record.job}, {number.name}")
    if not kill(before.trainer, number):
        return _trainer(trial.anew(), number)  # it had ended a moment before
    trial.follow(before)
    return None


def trainer_exits(trial: Trial) -> None:
    """The trainer leaves by itself, without a word."""
    step = trial.rng.randrange(20, 90)
    job = trial.job("simulate", failure="crash", fail_at_step=step, fail_attempts=1)
    before = trial.running(job)
    if before is None:
        raise AssertionError(f"job {job} ended before it ran")
    while (look := trial.lab.look(job)).number == before.number and not look.ended:
        trial.strike(f"trainer {before.trainer} of job {job}, exit code 70 at step {step}")
        before = look
        time.sleep(0.005)
    trial.follow(before)


def supervisor_killed(trial: Trial) -> None:
    trial.companion()
    before = trial.caught()
    trial.strike(f"supervisor {before.supervisor} of job {trial.record.job}")
    kill(before.supervisor)
    trial.follow(before)


def cluster_killed(trial: Trial) -> None:
    """The whole process group of a slot's cluster, at once."""
    trial.companion()
    before = trial.caught()
    trial.strike(f"cluster of supervisor {before.supervisor} of job {trial.record.job}")
    kill_session(before.supervisor)
    trial.follow(before)


def cluster_parent_killed(trial: Trial) -> None:
    """Only the main process of a cluster: django-q2 by itself leaves five orphans that go on consuming."""
    before = trial.caught()
    leader = os.getsid(before.supervisor)
    trial.strike(f"main process {leader} of the cluster of job {trial.record.job}")
    kill(leader)
    trial.follow(before)


def supervisor_frozen(trial: Trial) -> None:
    """SIGSTOP for two and a half leases, then SIGCONT: a zombie that wants to end a job that is another's by now."""
    before = trial.caught()
    trial.strike(f"supervisor {before.supervisor} of job {trial.record.job}, frozen for {2.5 * trial.lab.lease:.0f} s")
    kill(before.supervisor, signal.SIGSTOP)
    alarm = threading.Timer(2.5 * trial.lab.lease, kill, (before.supervisor, signal.SIGCONT))
    alarm.start()
    trial.follow(before)
    alarm.join()
    time.sleep(1)  # what it would write, it writes now; the oracle sees it
    outcome = trial.lab.rows(
        "SELECT outcome FROM jobs_attempt WHERE job_id = %s AND number = %s", trial.record.job, before.number
    )[0][0]
    if outcome not in {"lost", "stopped"}:
        trial.record.recovered = False
        trial.record.note = f"the frozen attempt ended as {outcome}"


def node_killed(trial: Trial) -> None:
    trial.companion()
    before = trial.caught()
    node = trial.lab.child("manage.py", "node")
    trial.strike(f"node manager {node}")
    kill(node)
    trial.follow(before)


def node_stopped(trial: Trial) -> None:
    """SIGTERM, as at an upgrade: running jobs save a checkpoint and go back to the queue; no step is lost."""
    trial.companion()
    before = trial.caught()
    node = trial.lab.child("manage.py", "node")
    trial.strike(f"node manager {node}, SIGTERM")
    kill(node, signal.SIGTERM)
    trial.follow(before)


def warm_server_killed(trial: Trial) -> None:
    before = trial.caught()
    warm = next((p.pid for p in trial.lab.machine.processes() if "engine.warm" in p.command and p.name != "sh"), 0)
    trial.strike(f"warm server {warm}")
    kill(warm)
    trial.follow(before)


def web_killed(trial: Trial) -> None:
    """The web process dies while clients submit jobs: each is there once, and running ones don't notice."""
    before = trial.caught()
    web = trial.lab.child("uvicorn")
    trial.strike(f"web process {web}")
    kill(web)
    trial.companion()  # insists, with one key, until it is taken
    back = trial.since()
    trial.follow(before, may_go_on=True)
    trial.record.truthful = trial.record.again = back


def memory_exhausted(trial: Trial) -> None:
    """The kernel ends the trainer because the hub's memory group is full: the job fails, and says so."""
    group = trial.lab.memory
    if group is None:
        raise Skip("no memory control group (version 1) can be made here")
    trial.companion()
    used = int((group / "memory.usage_in_bytes").read_text())
    limit = group / "memory.limit_in_bytes"
    limit.write_text(str(used + (96 << 20)))
    job = trial.job("simulate", memory=400)
    trial.strike(f"memory of the hub limited to {(used >> 20) + 96} MiB, job {job} wants 400 MiB more")
    try:
        look = trial.finish(job)
    finally:
        limit.write_text("-1")
    trial.record.truthful = trial.record.again = trial.since()
    trial.record.recovered = (look.status, look.failure) == ("failed", "out_of_memory")
    if not trial.record.recovered:
        trial.record.note = f"ended as {look.status} {look.failure}"


def idle_worker_killed(trial: Trial) -> None:
    """The django-q2 worker of every slot dies while nothing runs; measured until each slot takes a job again."""
    lab = trial.lab
    lab.until(lambda: not lab.rows("SELECT 1 FROM jobs_job WHERE status IN ('queued', 'running')"), 90, "an idle hub")
    workers = [_worker(trial, queue) for _, queue in lab.slot_rows()]
    workers = [worker for worker in workers if worker]
    if not workers:
        raise AssertionError("no idle worker was found")
    trial.strike(f"idle workers {', '.join(map(str, workers))}")
    moment = lab.rows("SELECT now()")[0][0]
    for worker in workers:
        kill(worker)
    jobs = [lab.submit("simulate", 4, f"probe {trial.record.number}.{n}", steps=40) for n in range(lab.slots)]
    trial.record.job = jobs[0]
    query = "SELECT count(*) FROM jobs_slot WHERE id = ANY(%s) AND answered_at > %s"
    numbers = [slot for slot, _ in lab.slot_rows()]
    first = None
    while (answered := lab.rows(query, numbers, moment)[0][0]) < len(numbers) and trial.since() < 60:
        first = first if first is not None or not answered else trial.since()
        for _ in range(2):  # a slot answers only while work waits
            jobs.append(lab.submit("simulate", 4, f"probe {trial.record.number}.{len(jobs)}", steps=40))
        time.sleep(0.4)
    trial.record.truthful = first if first is not None else trial.since()
    trial.record.again = trial.since()
    trial.record.recovered = all(trial.finish(job).status == "completed" for job in jobs) and answered == len(numbers)


def _worker(trial: Trial, queue: str) -> int:
    """The process of a slot's cluster that answers knocks: the one that did so last, else the oldest child."""
    last = trial.lab.rows(
        "SELECT a.supervisor_pid FROM jobs_attempt a JOIN jobs_slot s ON s.id = a.slot_id "
        "WHERE s.queue = %s ORDER BY a.started_at DESC LIMIT 1",
        queue,
    )
    name = f"q:{queue}"[:15]
    tree = [p for p in trial.lab.machine.processes() if p.name == name]
    if last and last[0][0] in {p.pid for p in tree}:
        return last[0][0]
    leader = next((p.pid for p in tree if p.stat.session == p.pid), 0)
    sentinel = children(leader)[:1]
    return (children(sentinel[0]) or [0])[0] if sentinel else 0


KINDS = [
    Kind("trainer-killed", "trainer killed (SIGKILL)", trainer_killed, 40, 2, True, target=2.0),
    Kind("trainer-segfault", "trainer crashes (SIGSEGV)", trainer_segfault, 5, 1, True, target=2.0),
    Kind("trainer-terminated", "trainer told to go (SIGTERM)", trainer_terminated, 5, 0, True, target=2.0),
    Kind("trainer-exits", "trainer exits without a word", trainer_exits, 5, 0, True, target=2.0),
    Kind("supervisor-killed", "supervisor killed", supervisor_killed, 35, 2, True, target=10.0),
    Kind("supervisor-frozen", "supervisor frozen 2.5 leases, then woken", supervisor_frozen, 32, 1, True, 5.0, 1.0),
    Kind("cluster-killed", "whole cluster killed", cluster_killed, 32, 2, True, target=10.0),
    Kind("cluster-parent-killed", "main process of a cluster killed", cluster_parent_killed, 6, 1, True, target=10.0),
    Kind("idle-worker-killed", "idle workers of all slots killed", idle_worker_killed, 6, 0, target=30.0),
    Kind("node-killed", "node manager killed", node_killed, 5, 1, target=10.0),
    Kind("node-stopped", "node told to go (SIGTERM)", node_stopped, 5, 0, target=30.0),
    Kind("warm-server-killed", "warm server killed", warm_server_killed, 5, 1, target=5.0),
    Kind("web-killed", "web process killed", web_killed, 5, 1, target=10.0),
    Kind("memory-exhausted", "memory limit hit", memory_exhausted, 4, 0),
]
