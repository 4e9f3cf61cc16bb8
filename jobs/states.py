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
    Status.PENDING: frozenset({Status.QUEUED, Status.PAUSED, Status.CANCELLED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.RUNNING, Status.PAUSED, Status.PENDING, Status.CANCELLED, Status.FAILED}),
    # To pending: it waits before it is tried again.
    Status.RUNNING: frozenset(
        {Status.QUEUED, Status.PENDING, Status.PAUSED, Status.COMPLETED, Status.FAILED, Status.CANCELLED}
    ),
    Status.PAUSED: frozenset({Status.QUEUED, Status.PENDING, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED, Status.PENDING}),
    Status.CANCELLED: frozenset({Status.QUEUED, Status.PENDING}),
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
    CHECKPOINT = "checkpoint", "Saving a checkpoint"
    PREEMPT = "preempt", "Giving way"
    PAUSE = "pause", "Pausing"
    CANCEL = "cancel", "Cancelling"


# A request replaces one that stands before it here, never one that stands after it.
REQUEST_RANK = {request: rank for rank, request in enumerate(Request)}


MAX_PRIORITY = 1000  # and down to minus as much


class Priority(models.IntegerChoices):
    """Named levels; any number from -1000 to 1000 may stand between them."""

    LOW = -100, "Low"
    NORMAL = 0, "Normal"
    HIGH = 100, "High"
    URGENT = 500, "Urgent"


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
