"""One django-q2 cluster as a process tree that can be started, watched and ended as a whole.

The tree is forked from the node manager, which has Django loaded: its pages are shared, not copied. Each process
of the tree dies when its parent dies (django-q2 would leave orphans that go on consuming).
"""

from __future__ import annotations

import gc
import os
import signal
import time
import traceback

from django.conf import settings
from django.db import connections

from common.background import QUEUE
from engine.processes import die_with_parent, kill_group, process_alive, set_name, start_time_of


class Cluster:
    """The cluster of one queue, with one worker."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.pid = 0
        self.start_time = 0
        self.started = 0.0  # monotonic

    def start(self) -> None:
        """Fork the cluster. The caller must have no threads."""
        connections.close_all()
        # Without this the collector of each child would write to, and so copy, every page it shares.
        gc.collect()
        gc.freeze()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_cluster(self.queue, parent)
        gc.unfreeze()
        self.pid, self.start_time, self.started = pid, start_time_of(pid) or 0, time.monotonic()

    def alive(self) -> bool:
        """Whether its main process runs; reaps it when it has ended."""
        if not self.pid:
            return False
        try:
            os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pass
        return process_alive(self.pid, self.start_time)

    def ask_to_stop(self) -> None:
        """Let it finish its running task, then end. SIGTERM to the main process only: the group would deadlock."""
        if self.alive():
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End the whole tree now."""
        if self.pid:
            kill_group(self.pid, self.start_time)
            self.alive()
            self.pid = 0


def _become_cluster(queue: str, parent: int) -> None:
    """The child: become the main process of a cluster, and never return."""
    code = 1
    try:
        os.setsid()  # Ctrl-C in a terminal is the manager's business
        die_with_parent()
        os.register_at_fork(after_in_child=die_with_parent)
        if os.getppid() != parent:
            os._exit(1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        set_name(f"q:{queue}")
        _run(queue)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _run(queue: str) -> None:
    from django_q.cluster import Cluster as QCluster
    from django_q.conf import Conf

    # Set here, since each queue has a cluster of its own and all are forked from one process.
    Conf.CLUSTER_NAME = queue
    Conf.WORKERS = 1
    Conf.QUEUE_LIMIT = 1
    if queue != QUEUE:
        _let_go_when_frozen()
    cluster = QCluster()
    cluster.start()
    while cluster.sentinel.is_alive():
        cluster.sentinel.join(1)


def _let_go_when_frozen() -> None:
    """A supervisor that is frozen while it holds a job's row must lose it before its lease has run out."""
    milliseconds = int(1000 * max(4.0, min(60.0, settings.LEASE_SECONDS / 2)))
    connections["default"].settings_dict["OPTIONS"]["options"] += (
        f" -c idle_in_transaction_session_timeout={milliseconds}"
    )
