"""A process of its own for an import from elsewhere: a slow server keeps no other background work waiting.

The processes belong to the background worker that started them and die with it; the sweep has their imports taken
up again, and they go on where they were.
"""

from __future__ import annotations

import subprocess
import sys

from common.paths import PROJECT
from datasets.models import Import

AT_ONCE = 2  # of one background worker; more wait, and the sweep offers them again
_children: list[subprocess.Popen[bytes]] = []


def is_for(import_id: int) -> bool:
    """Whether this import is one that has yet to be fetched."""
    found = Import.objects.only("origin", "status").filter(pk=import_id).first()
    return found is not None and found.is_to_be_fetched


def start(import_id: int) -> bool:
    """Start the process, unless as many as may be run already."""
    _children[:] = [child for child in _children if child.poll() is None]
    if len(_children) >= AT_ONCE:
        return False
    command = [sys.executable, str(PROJECT / "manage.py"), "run_import", str(int(import_id))]
    _children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    return True
