"""Writing checkpoints beside the training: their bytes are there, so the next steps need not wait for the disk."""

from __future__ import annotations

import threading
from typing import Any

from engine.checkpoint import Checkpoints


class Later:
    """Writes one checkpoint at a time in a thread. What went wrong there is raised by whoever looks next."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints
        self._writer: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, step: int, progress: dict[str, Any], files: dict[str, bytes]) -> None:
        """Begin to write, once the one before is written."""
        self.wait()
        self._writer = threading.Thread(target=self._write, args=(step, progress, files), name="checkpoint")
        self._writer.start()

    def look(self) -> None:
        """Raise what went wrong so far; never waits."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """Until the disk has what was begun; raises what went wrong."""
        self.close()
        self.look()

    def close(self) -> None:
        """The same when it matters no more whether it went well."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _write(self, step: int, progress: dict[str, Any], files: dict[str, bytes]) -> None:
        try:
            self._checkpoints.save(step, progress, files)
        except BaseException as error:  # it belongs to the run, which looks between two steps
            self._error = error
