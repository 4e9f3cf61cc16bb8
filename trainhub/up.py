"""Everything of one machine under one process manager: database, web, node. `make run` starts it.

Kept free of Django, so that it costs next to nothing: it prepares by running `manage.py prepare`, then watches
its children, starts again what has died, and stops all of them in order on Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from common.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from common.paths import PROJECT, prepare_home

MANAGE = [sys.executable, str(PROJECT / "manage.py")]
PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 35.0


@dataclass
class Child:
    """A process that is kept running."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    environment: dict[str, str] = field(default_factory=dict)

    def watch(self) -> None:
        """Start it if it isn't running; after quick deaths wait longer each time, ten seconds at most."""
        if self.process is not None and self.process.poll() is None:
            if time.monotonic() - self.started > 30:
                self.failures = 0
            return
        now = time.monotonic()
        if self.process is not None:
            if now - self.started < min(10.0, 0.25 * 2 ** min(self.failures, 6)):
                return
            say(f"{self.name} ended with {self.process.returncode} and is started again.")
            self.failures += 1
        self.started = now
        # A session of its own: Ctrl-C in the terminal comes to us alone, and we stop things in order.
        self.process = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        if not self.process:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not stop in time and was ended.")
            self.process.kill()
            self.process.wait()


def main() -> int:
    try:
        return _main()
    except KeyboardInterrupt:
        say("Stopped before it was ready. Start it again at any time.")
        return 130


def _main() -> int:
    home = prepare_home()
    _many_files()
    port = int(os.environ.get("TRAINHUB_PORT", "8000"))
    host = os.environ.get("TRAINHUB_HOST", "127.0.0.1")
    if _taken(host, port):
        say(f"Port {port} is in use. Stop what uses it, or choose another: TRAINHUB_PORT={port + 1} make run")
        return 1
    if os.environ.get("DATABASE_URL"):
        return _serve(host, port)
    try:
        with EmbeddedPostgres(home) as database:
            return _serve(host, port, database)
    except EmbeddedPostgresError as error:
        say(str(error))
        return 1


def _many_files() -> None:
    """An open page is an open socket: allow as many as the system lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(host: str, port: int, database: EmbeddedPostgres | None = None) -> int:
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    if done := _prepare(stopping):
        return 0 if stopping else done
    web = Child("The web process", _web_command(host, port), environment={"TRAINHUB_ROLE": "web"})
    node = Child("The node", [*MANAGE, "node"])
    first_run: subprocess.Popen[bytes] | None = None
    announced = False
    while not stopping:
        if database and not database.running():
            say("PostgreSQL ended and is started again.")
            _start(database)
        web.watch()
        node.watch()
        if not announced and _answers(host, port):
            announced = True
            say(f"TrainHub is running: http://{host}:{port}   (stop with Ctrl-C)")
            first_run = subprocess.Popen([*MANAGE, "first_run"], cwd=PROJECT, preexec_fn=_die_with_parent)
        if first_run and first_run.poll() is not None:
            first_run = None
        time.sleep(0.2 if not announced else 1.0)
    say("Stopping: running jobs save a checkpoint and go on at the next start.")
    if first_run and first_run.poll() is None:
        first_run.terminate()
        first_run.wait(10)
    for child in (node, web):
        child.stop()
    for child in (node, web):
        child.wait(GRACE_SECONDS)
    return 0


def _prepare(stopping: list[int]) -> int:
    """Bring database and files up to date, or stop on the way; the exit code."""
    say("Preparing the database and the pages. The first time this may take half a minute.")
    preparing = subprocess.Popen([*MANAGE, "prepare"], cwd=PROJECT, start_new_session=True, preexec_fn=_die_with_parent)
    while preparing.poll() is None:
        if stopping:
            preparing.terminate()
        time.sleep(0.05)
    return preparing.returncode


def _web_command(host: str, port: int) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "trainhub.asgi:application", "--host", host, "--port", str(port)]
    options = ["--no-access-log", "--log-level", "warning", "--timeout-graceful-shutdown", "3", "--lifespan", "off"]
    return [*command, *options, "--backlog", "4096", "--no-server-header"]


def _start(database: EmbeddedPostgres) -> None:
    try:
        database.start()
    except EmbeddedPostgresError as error:
        say(str(error))


def _answers(host: str, port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def _taken(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    os.chdir(Path(PROJECT))
    sys.exit(main())
