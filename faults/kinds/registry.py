"""What a kind of fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from faults.trial import Trial


@dataclass(frozen=True)
class Kind:
    """A kind of fault and how often it is tried.

    `shared`: it strikes one job and leaves the rest of the hub alone, so several may be under way at once.
    `target`: seconds in which 95 of 100 struck jobs must be on their way again, besides `leases` of the lease.
    """

    name: str
    title: str
    inject: Callable[[Trial], None]
    long: int  # trials in the long campaign
    smoke: int = 0  # and in the short one
    shared: bool = False
    target: float | None = None
    leases: float = 0.0

    def limit(self, lease: float) -> float | None:
        """The time in which it must be over, p95, in seconds."""
        return None if self.target is None else self.target + self.leases * lease
