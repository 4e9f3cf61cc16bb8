"""Loaded before Django reads its settings (`-p tests.environment`).

Every test run has a home and a PostgreSQL server of its own, so that two runs never meet."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# The path is short: Unix sockets allow 107 bytes.
TEST_HOME = Path(tempfile.mkdtemp(prefix="thtest-"))
TEST_HOME.chmod(0o755)
os.environ["TRAINHUB_HOME"] = str(TEST_HOME)
for name in ("DATABASE_URL", "TRAINHUB_URL", "TRAINHUB_SECRET_KEY", "TRAINHUB_ADMIN_PASSWORD"):
    os.environ.pop(name, None)

from common.embedded_postgres import EmbeddedPostgres  # noqa: E402
from common.paths import prepare_home  # noqa: E402
from tests.prepared import copy_database  # noqa: E402

prepare_home()
_server = EmbeddedPostgres(TEST_HOME, durable=False)


def _finish() -> None:
    _server.__exit__(None, None, None)
    shutil.rmtree(TEST_HOME, ignore_errors=True)
    shutil.rmtree(_server.data.parent if _server.data.parent != TEST_HOME else _server.run, ignore_errors=True)
    shutil.rmtree(_server.run, ignore_errors=True)


def pytest_configure(config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # runs no test itself: each of its workers has a server of its own
    copy_database(TEST_HOME)
    _server.__enter__()
    atexit.register(_finish)
