"""`python -P -m engine.merge <artifact> <out>`: an adapter and its base become one model that needs neither.

Prints one JSON object: `files` (name, sha256, bytes) and `environment`, or `code`, `message` and `hint` of what stopped
it, which then also stand on stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import traceback
from pathlib import Path
from typing import Any

from engine.catalogue import load, recipe
from engine.files import sha256, write_folder
from engine.processes import die_with_parent, set_name
from engine.protocol import EngineError, FailureCode

COPIED = ("metrics.json", "report.json")
# What stops a merge is told in words of its own where those of a training would mislead.
WORDS = {
    FailureCode.OUT_OF_MEMORY: (
        "Memory ran out while adapter and base were merged.",
        "It takes about three times the size of the whole model; merge where there is more memory.",
    ),
    FailureCode.DISK_FULL: (
        "The disk is full: the merged model has no room.",
        "Free as much space as the base model takes, or twice that, then merge again.",
    ),
}


def merged(folder: Path) -> dict[str, bytes]:
    """The files of the merged model. EngineError BAD_CONFIG when there is no adapter, or its base is not there."""
    try:
        facts = json.loads((folder / "config.json").read_bytes())
        kind = recipe(facts["recipe"])
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"'{folder}' holds no result: {error}.", "Name the folder of an artifact."
        ) from error
    if kind.merger is None or "adapter" not in facts:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"This result of {kind.name} is no adapter: there is nothing to merge.",
            "Use it as it is.",
        )
    files: dict[str, bytes] = load(kind.merger)(folder, facts)
    for name in COPIED:
        if (folder / name).exists():
            files[name] = (folder / name).read_bytes()
    return files


def write_merged(folder: Path, out: Path) -> dict[str, Any]:
    """Merge and write; what was made, as `main` prints it. Raises what `merged` and the disk raise."""
    files = merged(folder)
    write_folder(out, files)
    described = [{"name": name, "sha256": sha256(data), "bytes": len(data)} for name, data in files.items()]
    return {
        "files": described,
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "torch": str(sys.modules["torch"].__version__) if "torch" in sys.modules else None,
            "device": "cpu",
        },
    }


def main() -> int:
    """Merge and write; 1 when it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m engine.merge", description=__doc__)
    parser.add_argument("artifact", type=Path, help="folder of the adapter; its base is found as config.json says")
    parser.add_argument("out", type=Path, help="folder that is made, or replaced as a whole")
    parser.add_argument("--parent", type=int, help="process id of who started it; it ends when that one does")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with_parent()
        if os.getppid() != arguments.parent:  # it died before the kernel was asked to tell us
            return 1
        set_name("merge-model")
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes where errors go
    from engine.run import explain  # now: when memory has run out nothing can be imported

    try:
        said, code = write_merged(arguments.artifact, arguments.out), 0
    except Exception as error:
        # A library's lack of memory may come in the words of whoever asked it for a model.
        reasons = [explain(error), *([explain(error.__cause__)] if error.__cause__ else [])]
        said, code = _told(next((one for one in reasons if one.code in WORDS), reasons[0]), error), 1
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(json.dumps(said) + "\n")
    return code


def _told(failure: EngineError, error: Exception) -> dict[str, Any]:
    """What stopped it, for a person."""
    message, hint = WORDS.get(failure.code, (failure.message, failure.hint))
    if failure.code == FailureCode.CODE_ERROR:
        traceback.print_exception(error)
        hint = "This is an error in the code that merges; the log of the hub shows where."
    print(f"{message} {hint}", file=sys.stderr)
    return {"code": failure.code, "message": message, "hint": hint}


if __name__ == "__main__":
    from engine.isolation import block_hub_packages

    block_hub_packages()
    sys.exit(main())
