"""What a dialog says before something is done to a job: what it means, or why it is too late for it."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from jobs import presentation
from jobs.models import Job
from jobs.states import Request, Status

MEANS = {
    "pause": "It leaves the queue, or saves a checkpoint and frees its device. Resume lets it go on from there.",
    "resume": "It goes back to the queue, and goes on from its checkpoint.",
    "retry": "It is queued again. A failed job goes on from its last good checkpoint, a cancelled one begins anew.",
    "checkpoint": "It saves a checkpoint at the next step, and goes on.",
    "start_now": "It waits no longer for its time or for other jobs.",
    "up": "It takes the place before it, as far as you may move it.",
    "down": "It takes the place behind it, as far as you may move it.",
    "top": "It goes before the jobs of its priority, as far as you may move it.",
}
VERBS = {"cancel", "pause", "resume", "retry"}  # whose label takes an object
ACTIONS = {action.name: action for found in presentation.ACTIONS.values() for action in found}
DONE = {
    "cancel": "cancelled", "pause": "paused", "resume": "resumed", "retry": "retried",
    "checkpoint": "told to save a checkpoint", "start_now": "started now",
}  # fmt: skip


def about(job: Job, name: str) -> dict[str, Any]:
    """The dialog that asks before the verb `name` is carried out; without a button when it can't be any more."""
    action = ACTIONS[name]
    page = reverse("job", args=[job.pk])
    if name not in {allowed.name for allowed in presentation.actions(job)}:
        title, lines = f"{action.label}: too late", [_too_late(job, name)]
        return {"title": title, "lines": lines, "back": page, "keep": "To the job"}
    lines = presentation.losses_of_cancelling(job) if name == "cancel" else [MEANS[name]]
    return {
        "title": f"{action.label} '{job.name}'?" if name in VERBS else f"{action.label}: '{job.name}'?",
        "lines": lines,
        "action": reverse("job-action", args=[job.pk, name]),
        "back": page,
        "keep": "Let it go on" if job.status == Status.RUNNING else "Leave it",
        "button": f"{action.label} the job" if name in VERBS else action.label,
        "icon_name": action.icon,
    }


def _too_late(job: Job, name: str) -> str:
    state = Status(job.status).label.lower()
    if job.status == Status.RUNNING and job.request:
        return f"'{job.name}' {presentation.WISHES[Request(job.request)]}"
    if DONE.get(name) == state:
        return f"'{job.name}' is {state} already."
    return f"'{job.name}' is {state}, so it can't be {DONE.get(name, 'moved')}."
