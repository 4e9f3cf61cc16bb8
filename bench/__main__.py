"""`make bench`: the figures that TrainHub promises, measured here and now, side by side. Nothing is asserted.

python -m bench [engine] [gpu] [database] [hub] [queue] [push] [browsing] [history] [comparing] [imports]   # all
"""

from __future__ import annotations

import subprocess
import sys

from bench import browsing, comparing, database, history, hub, imports, push, queueing

PARTS = (
    "engine", "gpu", "database", "hub", "queue", "push", "browsing", "history", "comparing", "imports",
)  # fmt: skip


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        print(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
        return 2
    if len(wanted) > 1:
        # Django is set up for the database of one part, so that each part is a process.
        for part in wanted:
            subprocess.run([sys.executable, "-m", "bench", part], check=True)
        return 0
    if "engine" in wanted:
        print("\n## Engine beside a bare torch loop", flush=True)
        subprocess.run([sys.executable, "bench/engine_overhead.py"], check=True)
    if "gpu" in wanted:
        print("\n## A GPU on a model of GPT-2's size", flush=True)
        subprocess.run([sys.executable, "bench/gpu.py"], check=True)
    if "database" in wanted:
        database.main()
    if "hub" in wanted:
        hub.main()
    if "queue" in wanted:
        queueing.main()
    if "push" in wanted:
        push.main()
    if "browsing" in wanted:
        browsing.main()
    if "history" in wanted:
        history.main()
    if "comparing" in wanted:
        comparing.main()
    if "imports" in wanted:
        imports.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
