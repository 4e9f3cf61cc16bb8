"""The states of a job, declared once: what each means, who moves it next, and which moves are allowed."""

from __future__ import annotations

from django.db import models


class Status(models.TextChoices):
    PENDING = "pending", "Pending"  # waits for something named; the scheduler or a person moves it
    QUEUED = "queued", "Queued"  # ready; the next fitting slot takes it
    RUNNING = "running", "Running"  # an attempt holds a lease; its supervisor moves it
    PAUSED = "paused", "Paused"  # stopped at a checkpoint by request; a person moves it
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"  # can be retried
    CANCELLED = "cancelled", "Cancelled"  # can be retried


ACTIVE = frozenset({Status.PENDING, Status.QUEUED, Status.RUNNING, Status.PAUSED})
TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.QUEUED, Status.CANCELLED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.PAUSED, Status.PENDING, Status.CANCELLED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.QUEUED, Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.PAUSED: frozenset({Status.QUEUED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}


class Phase(models.TextChoices):
    """What a running attempt is doing."""

    NONE = "", "—"
    PREPARING = "preparing", "Preparing"
    TRAINING = "training", "Training"
    EVALUATING = "evaluating", "Evaluating"
    SAVING = "saving", "Saving"


class Request(models.TextChoices):
    """What a person asked of a running job; its supervisor carries it out at a safe point."""

    NONE = "", "—"
    PAUSE = "pause", "Pausing"
    CANCEL = "cancel", "Cancelling"


# Word, colour (Tabler's names) and icon of each state, for badges everywhere.
LOOKS: dict[Status, tuple[str, str]] = {
    Status.PENDING: ("secondary", "hourglass"),
    Status.QUEUED: ("azure", "list"),
    Status.RUNNING: ("blue", "player-play"),
    Status.PAUSED: ("yellow", "player-pause"),
    Status.COMPLETED: ("green", "check"),
    Status.FAILED: ("red", "alert-triangle"),
    Status.CANCELLED: ("secondary", "x"),
}
