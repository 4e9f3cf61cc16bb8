"""A home as `manage.py prepare` leaves it, made once for all processes of all test runs with this very schema.

Hubs begin with copies of it, and the tests' own databases as copies of its blank one, which spares each the work that
the schema of an empty database is.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from common.embedded_postgres import USER, EmbeddedPostgres
from common.paths import PROJECT

PASSWORD = "correct horse battery"
BLANK = "blank"  # the database with the schema, before anything was put in
PREFIX = f"thprepared-{os.getuid()}-"
OLD_SECONDS = 2 * 86400


@functools.cache
def prepared_home() -> Path:
    """The folder; whoever comes first makes it, while the others wait."""
    home = Path(tempfile.gettempdir()) / f"{PREFIX}{_digest()}"
    with _alone(home.with_suffix(".lock")):
        if not home.exists():
            _remove_old()
            draft = Path(tempfile.mkdtemp(prefix=f"{PREFIX}draft-"))
            _prepare(draft)
            draft.rename(home)
    return home


def copy_database(home: Path) -> None:
    """Give a home that has none the prepared database."""
    subprocess.run(["cp", "-a", prepared_home() / "postgres", home / "postgres"], check=True)


def _prepare(home: Path) -> None:
    home.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRAINHUB", "DATABASE_URL"))}
    environment = {**kept, "TRAINHUB_HOME": str(home), "TRAINHUB_ADMIN_PASSWORD": PASSWORD}
    with EmbeddedPostgres(home, durable=False) as server:
        assert server.data.is_relative_to(home), "the database lies elsewhere: a copy would not have it"

        def manage(command: str) -> None:
            whole = [sys.executable, "manage.py", command]
            subprocess.run(whole, cwd=PROJECT, env=environment, check=True, stdout=subprocess.DEVNULL)

        manage("migrate")
        copied = server._command(
            "psql", "-h", server.socket_folder, "-U", USER, "-d", "postgres", "-c",
            f"CREATE DATABASE {BLANK} TEMPLATE trainhub",
        )  # fmt: skip
        assert copied.returncode == 0, copied.stderr
        manage("prepare")
    shutil.rmtree(server.run, ignore_errors=True)


def _digest() -> str:
    """Of what the schema comes from. What else code makes, each hub and each test run makes where it is missing."""
    found = hashlib.sha256(sys.version.encode())
    made_by = ("common/baseline.py", "common/embedded_postgres.py", "constraints.txt", "tests/prepared.py")
    for path in [*sorted(PROJECT.glob("*/migrations/*.py")), *(PROJECT / name for name in made_by)]:
        found.update(str(path.relative_to(PROJECT)).encode() + path.read_bytes())
    return found.hexdigest()[:12]


@contextmanager
def _alone(lock: Path):
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_old() -> None:
    """What runs of other code left long ago."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if time.time() - path.stat().st_mtime > OLD_SECONDS and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
