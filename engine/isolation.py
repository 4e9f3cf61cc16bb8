"""Keeps the hub's packages out of the engine's process.

The hub has a package called `datasets`, which machine-learning libraries would take for a library of the
same name. Started with `-m`, Python puts the current folder on the path, so the names are blocked instead.
"""

from __future__ import annotations

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
