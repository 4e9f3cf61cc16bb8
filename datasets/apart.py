"""Processes of their own for background work that may take long: it keeps no other background work waiting.

They belong to the background worker that started them and die with it; the sweep has their work taken up again.
"""

from __future__ import annotations

import subprocess
import sys

from common.paths import PROJECT


class Processes:
    """Those of one background worker that carry out the same command of `manage.py`, each for one row."""

    def __init__(self, command: str, at_once: int) -> None:
        self.command, self.at_once = command, at_once
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, key: int) -> bool:
        """Start one, unless as many as may be run already: then the sweep offers the work again."""
        self._children[:] = [child for child in self._children if child.poll() is None]
        if len(self._children) >= self.at_once:
            return False
        command = [sys.executable, str(PROJECT / "manage.py"), self.command, str(int(key))]
        self._children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
        return True
