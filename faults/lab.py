"""The hub under test: web, node and workers as `make run` starts them, behind a proxy, on small disks.

As root the home and the database lie on disks (tmpfs) of their own, which can be filled; otherwise the trials that
need that are skipped, and the table says so.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from common.embedded_postgres import EmbeddedPostgres
from common.paths import PROJECT
from faults.machine import Machine, kill
from faults.proxy import Proxy
from tests.hub.harness import Hub, manual_text

HOME_MIB, DATABASE_MIB = 512, 1024
TEXT = {
    "layers": 1, "heads": 2, "width": 32, "block_size": 32, "batch_size": 4, "steps": 240,
    "evaluate_every": 80, "evaluation_batches": 2, "sample_every": 0,
}  # fmt: skip
SIMULATE = {"steps": 100, "step_seconds": 0.02, "evaluate_every": 25}
AWAY = (urllib.error.URLError, ConnectionError, http.client.HTTPException, TimeoutError)
TERMINAL = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class Look:
    """A job and its newest attempt, as the database has them at one moment."""

    status: str
    step: int
    number: int = 0
    host: str = ""
    supervisor: int = 0
    trainer: int = 0
    first_step: int | None = None
    flushes: int = 0
    lease: float = 0.0  # Unix time
    ended: bool = False
    failure: str = ""
    slot: int = 0

    @property
    def runs(self) -> bool:
        return self.status == "running" and not self.ended and bool(self.trainer)


class Lab(Hub):
    """A hub whose surroundings can be broken."""

    def __init__(self, *, lease: float, slots: int, checkpoint_seconds: float = 0.4) -> None:
        self.proxy_port = 0
        super().__init__(
            TRAINHUB_LEASE_SECONDS=str(lease),
            TRAINHUB_SLOTS=str(slots),
            TRAINHUB_CHECKPOINT_SECONDS=str(checkpoint_seconds),
        )
        self.lease, self.slots = lease, slots
        self.machine = Machine(self.home)
        self.mounted = [folder for folder, size in self._disks() if mount(folder, size)]
        self.database = EmbeddedPostgres(self.home)
        self.proxy = Proxy(str(self.database.socket_folder / ".s.PGSQL.5432"))
        self.hosts: list[Host] = []
        self.texts: dict[str, Any] = {}
        self.accepted: set[int] = set()  # every job that the hub said it has
        self._local = threading.local()
        self.memory = memory_group()

    def _disks(self) -> Iterator[tuple[Path, int]]:
        yield self.home, HOME_MIB
        folder = self.home / "postgres"
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder, DATABASE_MIB

    def open(self) -> None:
        """Start database, proxy and hub, and import the texts that the small models learn from."""
        self.database.start()
        self.proxy.start()
        self.environment["DATABASE_URL"] = f"postgresql://trainhub@127.0.0.1:{self.proxy.port}/trainhub"
        with within(self.memory):
            self.start()
        self.texts = self.dataset("fault texts", "text", manual_text(12))

    def close(self) -> None:
        """Stop everything; AssertionError when a process outlives the hub's own orderly stop."""
        for host in list(self.hosts):
            host.kill()
        self.proxy.silence(False)
        try:
            self.stop()
        finally:
            self.proxy.stop()
            for folder in reversed(self.mounted):
                subprocess.run(["umount", "--lazy", str(folder)], check=False)
            with suppress(OSError):
                self.home.rmdir()
            if self.memory:
                with suppress(OSError):
                    self.memory.rmdir()

    def processes(self, fields: list[str] | None = None) -> list[psutil.Process]:
        """Those of the hub; the database is the lab's own."""
        return [process for process in super().processes(fields) if not _is_database(process)]

    def up(self) -> int:
        assert self.process is not None
        return self.process.pid

    def child(self, *words: str) -> int:
        """The process that the manager started with all of these words in its command; 0 when there is none."""
        for process in self.machine.processes():
            if process.stat.parent == self.up() and all(word in process.command for word in words):
                return process.pid
        return 0

    def roots(self) -> list[int]:
        """The processes from which everything of the hub descends."""
        return [self.up(), *(host.process.pid for host in self.hosts)]

    # Jobs

    def submit(self, kind: str, seed: int, name: str, priority: int = 0, **config: Any) -> int:
        """Submit a job and be sure that it is there once, whatever the line does meanwhile; its number."""
        body: dict[str, Any] = {"name": name, "seed": seed, "priority": priority}
        if kind == "text":
            body |= {"recipe": "text-generation", "dataset": self.texts["id"], "config": TEXT | config}
        else:
            body |= {"recipe": "simulate", "config": SIMULATE | config}
        job = self.insist("POST", "/training/jobs", body, {"Idempotency-Key": uuid.uuid4().hex})["id"]
        self.accepted.add(job)
        return job

    def insist(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Call the API until it answers: while the hub or its database is away, a client tries again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.call(method, path, {} if body is None else body, headers)
            except urllib.error.HTTPError as error:
                if error.code < 500 or time.monotonic() > deadline:
                    raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None
            except AWAY:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Ask the database directly, past the proxy; raises psycopg.OperationalError while it is away."""
        connection = getattr(self._local, "connection", None)
        if connection is None or connection.closed:
            connection = psycopg.connect(self.database.url, autocommit=True, connect_timeout=5)
            self._local.connection = connection
        try:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []
        except psycopg.OperationalError:
            connection.close()
            raise

    def look(self, job: int) -> Look:
        """Where a job stands. Waits while the database is away."""
        while True:
            try:
                rows = self.rows(_LOOK, job)
            except psycopg.OperationalError:
                time.sleep(0.05)
                continue
            return Look(*rows[0])

    def slot_rows(self) -> list[tuple[int, str]]:
        """Number and queue of each slot of the hub's own node."""
        return self.rows(
            "SELECT s.id, s.queue FROM jobs_slot s JOIN jobs_node n ON n.id = s.node_id "
            "WHERE n.name = 'test' AND s.enabled ORDER BY s.index"
        )

    @contextmanager
    def only_elsewhere(self) -> Iterator[None]:
        """Within, the hub's own node takes no job, so that another node must."""
        query = "UPDATE jobs_slot SET enabled = %s WHERE node_id IN (SELECT id FROM jobs_node WHERE name = 'test')"
        self.rows(query, False)
        try:
            yield
        finally:
            self.rows(query, True)

    # Disks

    def fill(self, folder: Path) -> Path:
        """Take all room that is left on a disk; remove the returned file to give it back."""
        ballast = folder / "ballast"
        with ballast.open("wb") as file:
            block = 1 << 20
            while block >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), block)
                except OSError:
                    block //= 2
        return ballast


class Host:
    """A second machine, as far as the hub can tell: its own host name, process numbers and temporary folder.

    It shares the home, as machines with a network disk do, and has nothing else in common with the first.
    """

    def __init__(self, lab: Lab, name: str, *, node: str = "", slots: int = 1, **environment: str) -> None:
        self.lab, self.name = lab, name
        self.temporary = Path("/tmp") / f"{name}-{lab.home.name}"
        self.temporary.mkdir(exist_ok=True)
        own = {"TMPDIR": str(self.temporary), "TRAINHUB_NODE": node or name, "TRAINHUB_SLOTS": str(slots)}
        command = f"hostname {name} && exec {sys.executable} manage.py node"
        namespaces = ["unshare", "--pid", "--uts", "--mount", "--mount-proc", "--fork", "--kill-child"]
        with lab.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*namespaces, "sh", "-c", command],
                cwd=PROJECT, env=lab.environment | own | environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        lab.hosts.append(self)

    def ready(self, seconds: float = 40) -> None:
        """Wait until its node beats."""
        query = """SELECT count(*) FROM jobs_node
            WHERE host = %s AND state = 'active' AND heartbeat_at > now() - interval '4s'"""
        self.lab.until(lambda: self.lab.rows(query, self.name)[0][0] > 0, seconds, f"host {self.name}")

    def kill(self) -> None:
        """As if its plug were pulled: everything on it is gone at once, and nothing is said."""
        if self in self.lab.hosts:
            self.lab.hosts.remove(self)
        kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def stop(self) -> None:
        """In order, as by its administrator."""
        for process in self.lab.machine.processes():
            if process.stat.parent == self.process.pid:
                kill(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(40)
        self.kill()


def _is_database(process: psutil.Process) -> bool:
    return Path((process.info["cmdline"] or [""])[0]).name == "postgres"


def mount(folder: Path, mib: int) -> bool:
    """Put a small disk at a folder; False where this machine does not let us."""
    mode = f"{folder.stat().st_mode & 0o777:o}"
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode={mode}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def memory_group() -> Path | None:
    """A memory control group (version 1) for the hub; None where this machine does not let us make one."""
    group = Path(f"/sys/fs/cgroup/memory/trainhub-faults-{os.getpid()}-{uuid.uuid4().hex[:6]}")
    try:
        group.mkdir()
        (group / "memory.use_hierarchy").write_text("1")
    except OSError:
        return group if group.is_dir() else None
    return group


@contextmanager
def within(group: Path | None) -> Iterator[None]:
    """What is started here belongs to a memory group; the caller is back in its own afterwards."""
    if group is None:
        yield
        return
    own = next(line.split(":")[2] for line in Path("/proc/self/cgroup").read_text().splitlines() if ":memory:" in line)
    (group / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
    finally:
        home = Path(f"/sys/fs/cgroup/memory{own}")
        ((home if home.is_dir() else home.parent) / "cgroup.procs").write_text(str(os.getpid()))


_LOOK = """
SELECT j.status, j.current_step, coalesce(a.number, 0), coalesce(a.host, ''), coalesce(a.supervisor_pid, 0),
       coalesce(a.trainer_pid, 0), a.first_step, coalesce(a.flushes, 0),
       coalesce(extract(epoch FROM a.lease_until), 0)::float8, a.ended_at IS NOT NULL, lower(j.failure_code),
       coalesce(a.slot_id, 0)
FROM jobs_job j LEFT JOIN LATERAL
     (SELECT * FROM jobs_attempt WHERE job_id = j.id ORDER BY number DESC LIMIT 1) a ON true
WHERE j.id = %s
"""
