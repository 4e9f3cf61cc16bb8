"""Keeps the hub's packages out of the engine's process.

The hub has a package called `datasets`, which machine-learning libraries would take for a library of the
same name. Started with `-m`, Python puts the current folder on the path, so the names are blocked instead.
"""

from __future__ import annotations

import os
import sys

HUB_PACKAGES = (
    "accounts",
    "common",
    "datasets",
    "history",
    "jobs",
    "performance",
    "registry",
    "trainhub",
)


def block_hub_packages() -> None:
    """Make `import datasets` and the like fail with ImportError in this process, also after a fork."""
    for name in HUB_PACKAGES:
        sys.modules[name] = None  # type: ignore[assignment]


def share_cores() -> None:
    """Let torch's threads spin only briefly while they wait for each other. Call before torch is imported.

    On a machine whose cores have other work too, spinning keeps the very thread that all wait for from running.
    Measured on two cores, a step of 40 ms: with the library's own 300,000 turns up to 680 ms beside three busy
    neighbours, with 10,000 turns 170 ms, and no difference on a quiet machine. No spinning at all costs 25 ms
    there. A user's own setting wins.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
