"""Where things lie under TRAINHUB_HOME. Needs neither Django nor the database."""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """The folder that holds everything TrainHub keeps; `./var` unless TRAINHUB_HOME says otherwise."""
    return Path(os.environ.get("TRAINHUB_HOME") or PROJECT / "var").resolve()


def prepare_home() -> Path:
    """Make the home and the folders that everything expects in it."""
    base = home()
    for name in ("uploads", "store", "jobs", "artifacts"):
        (base / name).mkdir(parents=True, exist_ok=True)
    return base


def known_home() -> str:
    """The identity of this home, empty when no hub was ever started in it. Looks, and writes nothing."""
    path = home() / "home_id"
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def home_identity() -> str:
    """What tells this home from every other, wherever it is mounted: made once, kept in it."""
    path = home() / "home_id"
    if not path.exists():
        # Written whole under another name, then linked: of two processes that begin at once the first one's stays.
        draft = home() / f".home_id.{os.getpid()}"
        draft.write_text(str(uuid.uuid4()), encoding="ascii")
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii").strip()


def run_folder(of: Path | None = None) -> Path:
    """A private folder for sockets and locks, with a path short enough for a Unix socket (107 bytes).

    It lies outside TRAINHUB_HOME because a deep home would make socket paths too long; its name is
    derived from the home, so two hubs of one user never meet. Refuses a folder that someone else made.
    """
    base = (of or home()).resolve()
    digest = hashlib.sha256(str(base).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"trainhub-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or folder.is_symlink():
        raise PermissionError(f"{folder} belongs to someone else. Remove it, or set TMPDIR to a private folder.")
    # Root's database server runs as another user, who must pass through to its own folder inside.
    folder.chmod(0o711 if os.getuid() == 0 else 0o700)
    return folder


def warm_socket() -> Path:
    """Where this machine's warm server listens (see engine.warm)."""
    return run_folder() / "warm.sock"


def model_socket() -> Path:
    """Where this machine's model server listens (see engine.serving)."""
    return _socket_folder(os.environ.get("TRAINHUB_HOME") or "") / "models.sock"


@cache
def _socket_folder(home: str) -> Path:
    """As `run_folder`, made and checked once: each prediction asks for it. `home` as the environment says it."""
    return run_folder()
