"""`make bench`: the figures that TrainHub promises, measured here and now, side by side. Nothing is asserted.

python -m bench [part] …   # the parts of PARTS; all of them when none is named
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

# Scripts are run, modules have a `main`.
SCRIPTS = {"engine": "Engine beside a bare torch loop", "gpu": "A GPU on a model of GPT-2's size"}
FILES = {"engine": "bench/engine_overhead.py", "gpu": "bench/gpu.py"}
MODULES = {
    "database": "database", "hub": "hub", "queue": "queueing", "push": "push", "browsing": "browsing",
    "history": "history", "comparing": "comparing", "imports": "imports", "serving": "serving",
    "predictions": "predictions", "experiments": "experiments", "drift": "drift",
}  # fmt: skip
PARTS = (*SCRIPTS, *MODULES)


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        print(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
        return 2
    if len(wanted) > 1:
        # Django is set up for the database of one part, so that each part is a process.
        for part in wanted:
            subprocess.run([sys.executable, "-m", "bench", part], check=True)
    elif (part := wanted[0]) in SCRIPTS:
        print(f"\n## {SCRIPTS[part]}", flush=True)
        subprocess.run([sys.executable, FILES[part]], check=True)
    else:
        import_module(f"bench.{MODULES[part]}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
