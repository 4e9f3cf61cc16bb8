"""A real hub for tests: database, web, node and workers as `make run` starts them, in a home of its own."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg

from common.embedded_postgres import EmbeddedPostgres
from common.paths import PROJECT, run_folder
from tests.prepared import PASSWORD, prepared_home

PATIENCE = 3  # times what a wait takes at most on a quiet machine: it ends what hangs, not what is slow
START_SECONDS = 120  # an empty hub makes its schema first, on processors that others use too


class Hub:
    """Started by `start`, ended by `stop`. Everything it started is gone afterwards, or `stop` raises."""

    def __init__(self, *, prepared: bool = True, **environment: str) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="thhub-"))
        self.home.chmod(0o755)
        if prepared:
            subprocess.run(["cp", "-a", f"{prepared_home()}/.", self.home], check=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINHUB", "DATABASE_URL"))}
        kept.pop("DJANGO_SETTINGS_MODULE", None)
        self.environment = kept | {
            "TRAINHUB_HOME": str(self.home),
            "TRAINHUB_PORT": str(self.port),
            "TRAINHUB_ADMIN_PASSWORD": PASSWORD,
            "TRAINHUB_SAMPLES": "0",
            "TRAINHUB_NODE": "test",
            "TRAINHUB_LOOK_SECONDS": "3",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.token = ""
        self.log = self.home / "hub.log"

    def start(self, wait: float = START_SECONDS) -> Hub:
        """Start it as a user does, and sign in."""
        started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trainhub.up"],
                cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.until(self.healthy, wait, "the hub to answer")
        self.start_seconds = time.monotonic() - started
        if not self.token:
            self.token = self.post("/auth/token", {"username": "admin", "password": PASSWORD})["token"]
        self.until(self.ready, wait, "a slot and the warm server")
        return self

    def healthy(self) -> bool:
        if self.process and self.process.poll() is not None:
            raise AssertionError(f"the hub ended with {self.process.returncode}:\n{self.tail()}")
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ready(self) -> bool:
        """Whether workers wait for jobs: each slot's cluster has a worker, and the warm server listens."""
        names = [" ".join(process.info["cmdline"] or []) for process in self.processes(["cmdline"])]
        nodes = self.sql("SELECT count(*) FROM jobs_node WHERE state = 'active'")[0][0]
        return (
            nodes > 0
            and any("engine.warm" in name for name in names)
            and (run_folder(self.home) / "warm.sock").exists()
        )

    def stop(self) -> None:
        """Ctrl-C; fails when a process is left."""
        tree = self.processes()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
        psutil.wait_procs(tree, timeout=5)
        left = [f"{process.pid} {process.name()}" for process in tree if alive(process)]
        for process in tree:
            if alive(process):
                process.kill()
        self.clean()
        assert not left, f"left running: {left}"

    def clean(self) -> None:
        server = EmbeddedPostgres(self.home)
        if server.running():
            server.stop("immediate")
        for folder in (self.home, server.run, server.data.parent):
            shutil.rmtree(folder, ignore_errors=True)

    def processes(self, fields: list[str] | None = None) -> list[psutil.Process]:
        """Every process that has this hub's home in its environment, database included."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", *(fields or [])]):
            try:
                mine = process.environ().get("TRAINHUB_HOME") == str(self.home) and process.pid != os.getpid()
                if mine or str(self.home) in " ".join(process.info["cmdline"] or []):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    # The API, as a program uses it.

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refusal:
            refusal.add_note(refusal.read(2000).decode(errors="replace"))  # what was wrong, in the report of the test
            raise
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        return self.call("POST", path, {} if body is None else body)

    def upload(self, dataset: int, files: dict[str, bytes]) -> Any:
        """Send files with their relative paths as one zip archive."""
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as out:
            for name, content in files.items():
                out.writestr(name, content)
        boundary = "----trainhub-test"
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="data.zip"\r\n'
        body = head.encode() + b"Content-Type: application/zip\r\n\r\n" + archive.getvalue()
        body += f"\r\n--{boundary}--\r\n".encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Authorization": f"Bearer {self.token}",
        }
        connection.request("POST", f"/api/v1/datasets/{dataset}/files", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 202, text
        return json.loads(text)

    def dataset(self, name: str, modality: str, files: dict[str, bytes]) -> dict[str, Any]:
        """A dataset with its files imported."""
        made = self.post("/datasets", {"name": name, "modality": modality})
        self.upload(made["id"], files)
        self.until(lambda: self.get(f"/datasets/{made['id']}")["status"] == "active", 60, "the import")
        return self.get(f"/datasets/{made['id']}")

    def job(self, job: int) -> dict[str, Any]:
        return self.get(f"/training/jobs/{job}")

    def wait_job(self, job: int, *statuses: str, seconds: float = 120) -> dict[str, Any]:
        wanted = statuses or ("completed",)

        def look() -> bool:
            now = self.job(job)
            bad = now["status"] in {"failed", "cancelled", "completed"} and now["status"] not in wanted
            assert not bad, f"{now['status']}: {now['failure']}\n{self.tail()}"
            return now["status"] in wanted

        self.until(look, seconds, f"job {job} to be {' or '.join(wanted)}")
        return self.job(job)

    def wait_step(self, job: int, step: int, seconds: float = 60) -> dict[str, Any]:
        self.until(lambda: self.job(job)["current_step"] >= step, seconds, f"job {job} to reach step {step}")
        return self.job(job)

    # Behind the API.

    def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        server = EmbeddedPostgres(self.home)
        with psycopg.connect(server.url, autocommit=True) as connection:
            cursor = connection.execute(query, arguments)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *arguments: str) -> str:
        """Run a `manage.py` command against this hub; its output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def attempt(self, job: int) -> dict[str, Any]:
        """The open attempt of a job: process ids of supervisor and trainer."""
        rows = self.sql(
            "SELECT number, supervisor_pid, trainer_pid FROM jobs_attempt WHERE job_id = %s AND ended_at IS NULL", job
        )
        return dict(zip(("number", "supervisor_pid", "trainer_pid"), rows[0], strict=True)) if rows else {}

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def until(self, holds: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition, not for a time; transport errors count as 'not yet'."""
        deadline = time.monotonic() + PATIENCE * seconds
        while True:
            try:
                if holds():
                    return
            except (urllib.error.URLError, ConnectionError, http.client.HTTPException, psycopg.OperationalError):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {PATIENCE * seconds} s for {what}\n{self.tail()}")
            time.sleep(0.05)


def alive(process: psutil.Process) -> bool:
    """Whether it runs; one that only waits to be reaped by the system does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def running(*, prepared: bool = True, **environment: str) -> Iterator[Hub]:
    """For fixtures: a hub from here to the end of the scope."""
    hub = Hub(prepared=prepared, **environment)
    try:
        yield hub.start()
    finally:
        hub.stop()


def manual_text(pages: int = 40) -> dict[str, bytes]:
    """Texts of Python's own language reference."""
    from pydoc_data.topics import topics

    return {f"{name}.txt": text.encode() for name, text in sorted(topics.items())[:pages]}


def digits(each: int = 30) -> dict[str, bytes]:
    """Handwritten digits of scikit-learn as PNG files in a folder per class."""
    from PIL import Image
    from sklearn.datasets import load_digits

    data = load_digits()
    counts: dict[int, int] = {}
    files = {}
    for number, (pixels, label) in enumerate(zip(data.images, data.target, strict=True)):
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= each:
            out = io.BytesIO()
            Image.fromarray((pixels * 15.9375).astype("uint8")).save(out, "PNG")
            files[f"digits/{label}/{number}.png"] = out.getvalue()
    return files
