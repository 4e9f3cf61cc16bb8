"""The inside of the sandbox: reads requests, opens files, answers. Run as `python -m datasets.formats.inside <parent>`.

Knows neither the database nor the network; what it finds goes back as JSON, and into files that it was given.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import limits
from datasets.refused import Refused
from engine.processes import die_with_parent, set_name

WORK = {
    "heif": "heif.look", "audio": "avreader.look_at_sound", "video": "avreader.look_at_video",
    "table": "conversion.convert", "picture": "glimpses.picture", "poster": "glimpses.poster",
    "waveform": "glimpses.waveform",
}  # fmt: skip


def main() -> None:
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        return  # the parent died before it could be watched
    set_name("trainhub-open")
    resource.setrlimit(resource.RLIMIT_AS, (limits.MAX_DECODER_BYTES, limits.MAX_DECODER_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(json.loads(line)), allow_nan=False).encode() + b"\n")
        answers.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    module, name = WORK[request.pop("do")].split(".")
    look: Callable[..., dict[str, Any]] = getattr(import_module(f"datasets.formats.{module}"), name)
    try:
        return {"found": look(Path(request.pop("path")), **request)}
    except Refused as refused:
        return {"refused": [refused.code, refused.reason]}
    except MemoryError:
        return {"refused": ["unreadable", "It needs too much memory to be opened."]}


if __name__ == "__main__":
    main()
