"""What may be asked of a node, and when a node that fails job after job is set aside."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from common.errors import ConflictError, ForbiddenError, NotFoundError
from common.push import publish
from common.wording import duration
from engine.protocol import FailureCode
from jobs.models import Attempt, Job, Node, NodeEvent, Slot
from jobs.queue import knock_on_commit

# Ends that may be the machine's fault: a broken disk, a device that is gone, a system that kills.
SUSPICIOUS = frozenset({FailureCode.KILLED, FailureCode.CRASHED, FailureCode.DISK_FULL})


def find(name: str) -> Node:
    """The node of this name; NotFoundError when there is none."""
    found = None if "\x00" in name else Node.objects.filter(name=name).first()
    if found is None:
        raise NotFoundError(
            f"There is no node called '{name[:100]}'.", "Check the name. It may have been forgotten, or never joined."
        )
    return found


@transaction.atomic
def drain(node: Node, by: AbstractBaseUser | None) -> Node:
    """Let a node finish what it runs and take nothing more. Asking twice changes nothing."""
    _administrators_only(by)
    row = _locked(node)
    if not row.draining:
        Node.objects.filter(pk=row.pk).update(draining=True)
        running = Slot.objects.filter(node=row).exclude(held_by=None).values("held_by").distinct().count()
        note(row, "drained", by, f"{running} running; it takes nothing more." if running else "It takes nothing more.")
    row.refresh_from_db()
    return row


@transaction.atomic
def resume(node: Node, by: AbstractBaseUser | None) -> Node:
    """Let a node that was drained or set aside take jobs again."""
    _administrators_only(by)
    row = _locked(node)
    if row.draining or row.set_aside_until:
        Node.objects.filter(pk=row.pk).update(
            draining=False, set_aside_until=None, set_aside_reason="", failures_in_a_row=[]
        )
        note(row, "resumed", by, "It takes jobs again.")
        knock_on_commit()
    row.refresh_from_db()
    return row


@transaction.atomic
def forget(node: Node, by: AbstractBaseUser | None) -> None:
    """Remove a node that is gone for good. ConflictError while it is up or still holds a job."""
    _administrators_only(by)
    row = _locked(node)
    if Node.heard_of().filter(pk=row.pk).exists():
        raise ConflictError(
            f"Node '{row.name}' is up.", "Drain it and stop it on its machine first; then it can be forgotten."
        )
    if Slot.objects.filter(node=row).exclude(held_by=None).exists():
        raise ConflictError(
            f"Node '{row.name}' still holds a job.",
            f"Its jobs are taken up elsewhere within {duration(settings.LEASE_SECONDS + 5)}; try again then.",
        )
    row.delete()
    publish("nodes", "jobs.all")


def note_end(job: Job, number: int, code: str) -> None:
    """Note an attempt's end on its node, in the transaction that ends it: set aside a node that fails job after job.

    Attempts count that died for want of something a machine should give, before they took a step, each of another
    job. Any that got further, or ended in good order, clears the count.
    """
    attempt = Attempt.objects.select_related("slot").filter(job=job, number=number).first()
    if attempt is None or attempt.slot is None:
        return
    if not code or _got_further(job, attempt):
        held = Node.objects.filter(pk=attempt.slot.node_id)
        held.exclude(failures_in_a_row=[]).update(failures_in_a_row=[])
    elif code in SUSPICIOUS:
        row = Node.objects.select_for_update().get(pk=attempt.slot.node_id)
        failures = [*(pk for pk in row.failures_in_a_row if pk != job.pk), job.pk]
        Node.objects.filter(pk=row.pk).update(failures_in_a_row=failures)
        if 0 < settings.NODE_FAILURES <= len(failures):
            _set_aside(row, failures, code)


def _got_further(job: Job, attempt: Attempt) -> bool:
    """Whether it took a step. One that goes on from another notes its first step when its trainer has started."""
    if attempt.first_step is None and attempt.number > 1:
        return False
    return job.current_step > (attempt.first_step or 0)


def _set_aside(row: Node, failures: list[int], code: str) -> None:
    seconds = settings.SET_ASIDE_SECONDS
    reason = f"{len(failures)} different jobs in a row died here before their first step, the last with {code}"
    Node.objects.filter(pk=row.pk).update(
        set_aside_until=Now() + timedelta(seconds=seconds), set_aside_reason=reason, failures_in_a_row=[]
    )
    note(row, "set_aside", None, f"{reason}. It is tried again in {duration(seconds)}.")


def note(row: Node, kind: str, by: AbstractBaseUser | None, message: str = "") -> None:
    """Write down what happened to a node, and tell the pages."""
    NodeEvent.objects.create(node=row, at=Now(), kind=kind, actor=by, message=message[:500])
    publish("nodes", "jobs.all")


def _locked(node: Node) -> Node:
    row = Node.objects.select_for_update().filter(pk=node.pk).first()
    if row is None:
        raise NotFoundError("There is no such node.", "It may have been forgotten.")
    return row


def _administrators_only(by: AbstractBaseUser | None) -> None:
    """None stands for the operator at the command line."""
    if by is not None and not getattr(by, "is_staff", False):
        raise ForbiddenError("Only administrators may change nodes.", "Ask one of them.")
