"""Where what belongs to versions lies on the disk."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings


def laid_out(version_id: int) -> Path:
    """Where a version's files are laid out as a folder, once they are."""
    return Path(settings.TRAINHUB_HOME) / "artifacts" / str(version_id)
