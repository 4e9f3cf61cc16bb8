"""`python -P -m engine.merge <artifact> <out>`: an adapter and its base become one model that needs neither."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from engine.catalogue import load, recipe
from engine.files import write_folder
from engine.protocol import EngineError, FailureCode

REPORT = "report.json"


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
    for name in ("metrics.json", REPORT):
        if (folder / name).exists():
            files[name] = (folder / name).read_bytes()
    return files


def main() -> int:
    """Merge and write; 1 and a sentence on stderr when it can't be done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        write_folder(arguments.out, merged(arguments.artifact))
    except EngineError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    from engine.isolation import block_hub_packages

    block_hub_packages()
    sys.exit(main())
