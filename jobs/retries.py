"""What trying again can help, and when it is tried again."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from engine.protocol import FailureCode

# The cause may be gone the next time; everything else (bad data, an error in the code, a loss that is not
# finite, too little memory, a limit that was set) would only end the same way once more.
WORTH_IT = frozenset(
    {
        FailureCode.KILLED,
        FailureCode.CRASHED,
        FailureCode.WORKER_LOST,
        FailureCode.DISK_FULL,
        FailureCode.UNAVAILABLE,
    }
)

# These say what is wrong even when attempts are given up for them.
TELLING = frozenset({FailureCode.DISK_FULL, FailureCode.UNAVAILABLE})

HINTS = {
    FailureCode.OUT_OF_MEMORY: "Choose a smaller batch size or model, or a device with more memory, then retry.",
    FailureCode.DISK_FULL: "Free some space, or check the disk, then retry: it goes on from the last checkpoint.",
    FailureCode.UNAVAILABLE: "See that the endpoints run, then retry: it goes on where it was.",
    FailureCode.TOO_MANY_ATTEMPTS: "See the log for what the attempts have in common; change the settings, then retry.",
}


def can_help(code: str) -> bool:
    """Whether another attempt may end better."""
    return code in WORTH_IT


def delay(wasted: int, code: str) -> timedelta:
    """How long to wait after the `wasted`-th attempt in a row that got nowhere: at once, then longer and longer.

    A full disk is not freed within a moment, nor does an endpoint come back within one, so that wait begins with the
    second one.
    """
    steps = settings.RETRY_DELAYS
    place = max(0, wasted - 1) + (1 if code in (FailureCode.DISK_FULL, FailureCode.UNAVAILABLE) else 0)
    return timedelta(seconds=steps[min(place, len(steps) - 1)])
