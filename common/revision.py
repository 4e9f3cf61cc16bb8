"""Which code this is, for the record of every run."""

from __future__ import annotations

import subprocess
from functools import lru_cache

from django.conf import settings


@lru_cache
def revision() -> dict[str, str | bool | None]:
    """TrainHub's version, and the commit and whether files differ from it where there is a git checkout."""
    commit = _git("rev-parse", "HEAD")
    changed = bool(_git("status", "--porcelain", "--untracked-files=no")) if commit else None
    return {"trainhub": settings.TRAINHUB_VERSION, "commit": commit or None, "modified": changed}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(settings.BASE_DIR), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
