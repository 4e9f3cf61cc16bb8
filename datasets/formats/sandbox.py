"""A process apart that opens what strangers sent: decoders in C meet hostile bytes, and must not take the worker along.

It has a limit of memory, dies with the worker, and is killed when a file takes too long; the file is then refused
and the next one meets a new process. Requests and answers are JSON lines (see `datasets.formats.inside`).
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from common.paths import PROJECT
from datasets import limits
from datasets.refused import Refused

WAIT_SECONDS = 1.0  # between two signs of life of the worker


class Sandbox:
    """The process, started with the first question. A context manager: nothing outlives it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(self, what: str, path: Path, beat: Callable[[], None], **more: Any) -> dict[str, Any]:
        """Have a file looked at. Refused when it is found unusable, takes too long, or brings the process down."""
        request = json.dumps({"do": what, "path": str(path), **more}).encode() + b"\n"
        try:
            answer = self._answer(self._send(request), beat)
        except BaseException:
            self.close()
            raise
        if answer is None:
            self.close()
            raise Refused("unreadable", "It brought the decoder down or needs too much memory, so it is not taken.")
        if refused := answer.get("refused"):
            raise Refused(*refused)
        return answer["found"]

    def close(self) -> None:
        if process := self.process:
            self.process = None
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        pass

    def _send(self, request: bytes) -> subprocess.Popen[bytes]:
        """Put the question to the process that is there, or to a new one when it ended meanwhile."""
        for process in (self.process, None):
            process = process or self._start()
            assert process.stdin is not None
            try:
                process.stdin.write(request)
                process.stdin.flush()
                break
            except BrokenPipeError:
                self.close()
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(PROJECT), "LANG": "C.UTF-8",
            "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
            **{name: value for name, value in os.environ.items() if name.startswith("TRAINHUB_MAX_")},
        }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "datasets.formats.inside", str(os.getpid())], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=PROJECT,
        )  # fmt: skip
        return self.process

    def _answer(self, process: subprocess.Popen[bytes], beat: Callable[[], None]) -> dict[str, Any] | None:
        """The next line; None when the process ended. Refused when it says nothing for too long."""
        assert process.stdout is not None
        deadline = time.monotonic() + limits.MAX_DECODE_SECONDS
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                beat()
                if time.monotonic() > deadline:
                    minutes = limits.MAX_DECODE_SECONDS / 60
                    raise Refused("too_slow", f"It took more than {minutes:.3g} minutes to decode.")
                if selector.select(WAIT_SECONDS):
                    part = os.read(process.stdout.fileno(), 1 << 16)
                    if not part:
                        return None
                    line += part
        return json.loads(line)
