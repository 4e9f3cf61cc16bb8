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
    """Let torch's threads sleep, not spin, while they wait for each other. Call before torch is imported.

    On a machine whose cores have other work too, spinning keeps the thread that all wait for from running:
    measured on two cores with three busy neighbours, a step took 17 times as long. A user's own setting wins.
    """
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
