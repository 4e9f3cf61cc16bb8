"""What people decide: whether a training starts, and whether its result is promoted."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from common.errors import ConflictError, ForbiddenError, InvalidInputError
from performance.models import Retraining
from performance.retraining import next_steps, outcomes, starting, story
from registry import access
from registry.access import Action

Status = Retraining.Status
WAITING = (Status.AWAITING_APPROVAL, Status.CHALLENGER)


def approve(row: Retraining, by: AbstractBaseUser, reason: str = "") -> Retraining:
    """Let a training start, or promote what came of it, whichever it waits for.

    ForbiddenError for who may not, and for who asked for it by hand; ConflictError when it waits for nothing.
    """
    access.require(by, Action.APPROVE, row.model)
    if row.asked_by_id == by.pk:
        raise ForbiddenError(
            "You asked for this training yourself, so somebody else must approve it.",
            "Ask another person of the role Approvers.",
        )
    _check_waiting(row)
    said = f"Approved by {by.get_username()}{f': {reason.strip()}' if reason.strip() else '.'}"[:900]
    if row.status == Status.AWAITING_APPROVAL:
        story.move(
            row, Status.QUEUED, "approved", said, expected=[Status.AWAITING_APPROVAL], actor=by,
            hint="Its job is being made.", approved_by=by, approved_at=Now(),
        )  # fmt: skip
        starting.take_up(row.pk)
    else:
        _promote(row, by, said)
    row.refresh_from_db()
    return row


def decline(row: Retraining, by: AbstractBaseUser, reason: str) -> Retraining:
    """Let a training not start, or the champion stay. Whoever asked by hand may withdraw what they asked for.

    InvalidInputError without a reason; ForbiddenError for who may not; ConflictError when it waits for nothing.
    """
    if row.asked_by_id != by.pk:
        access.require(by, Action.APPROVE, row.model)
    reason = reason.strip()
    if not reason:
        raise InvalidInputError(
            "Say why it is declined.", "The reason stands in its story.", fields={"reason": ["Say why."]}
        )
    _check_waiting(row)
    before = row.status == Status.AWAITING_APPROVAL
    what = "Withdrawn" if row.asked_by_id == by.pk else "Declined"
    tail = "" if before else " The champion stays."
    to = Status.REFUSED if before else Status.KEPT
    message = f"{what} by {by.get_username()}: {reason[:700]}.{tail}".replace("..", ".")
    with transaction.atomic():
        next_steps.hold(row.model)
        story.move(row, to, "declined", message, expected=[row.status], actor=by, decided_by=by)
        if row.challenger is not None:
            next_steps.call_off(row.challenger, f"Retraining {row.pk}: {message}")
    return row


def _promote(row: Retraining, by: AbstractBaseUser, said: str) -> None:
    """The approval is the policy's, so the promotion is the hub's; who gave it stands beside it."""
    assert row.challenger is not None
    evidence = outcomes.evidence_of(row) | {"approved_by": by.get_username()}
    with transaction.atomic():
        reason = f"Retraining {row.pk}. {said}"[:1000]
        promoted = next_steps.promote(row.challenger, None, reason, evidence)
        if not promoted and not next_steps.agree(row.challenger, by, said):
            message = f"{said} Its model asks for more approvals: its promotion was asked for."
            story.say(row, message, f"Approve it at {next_steps.where(row.challenger)}.")
            return
        story.move(
            row, Status.PROMOTED, "promoted", f"{said} {row.challenger} is the champion now.", actor=by, decided_by=by,
            details=evidence, hint="It can be rolled back on its model's page.", expected=[Status.CHALLENGER],
        )  # fmt: skip


def _check_waiting(row: Retraining) -> None:
    if row.status not in WAITING:
        raise ConflictError(
            f"Retraining {row.pk} waits for no decision: it {row.state}.",
            f"See /performance/retraining/{row.pk}.",
            retraining=row.pk,
            retraining_status=row.status,
        )
