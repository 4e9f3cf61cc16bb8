"""What starts a training again: a person, or what a policy sees. One at a time for a model, each thing seen once.

Whoever is first opens the retraining, while the model's row is held; whatever else asks meanwhile (a schedule, a drift,
a second click) is told which one runs, and that it asked stands in its story.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from accounts import audit
from common.background import enqueue
from common.errors import ConflictError, NotFoundError, ProblemError
from common.outages import a_turn, database_is_away
from jobs import conflicts
from jobs.models import Job
from jobs.rules import Rule, read_zone
from jobs.schedules import database_now
from jobs.states import ACTIVE
from performance.models import Retraining, RetrainingEvent, RetrainingPolicy
from performance.retraining import bounds, evidence, policies, requests, starting, story
from performance.retraining.evidence import Seen
from performance.retraining.lines import champion_of
from performance.rounds import Rounds
from registry.models import Model

log = logging.getLogger(__name__)

LOOK = "performance.tasks.look_at_retraining"
COUNTED = 50  # policies whose new items are counted in one round …
LONG = 0.5  # … and if that took more seconds, not again …
REST = 20.0  # … for so many times as long
_rounds, _turns = Rounds(), Rounds(COUNTED)
_rest = [0.0]  # monotonic: until when this process counts no new items
Kind, Status = Retraining.Kind, Retraining.Status


def trigger(
    model: Model,
    by: AbstractBaseUser | None,
    *,
    kind: str = Kind.MANUAL,
    reason: str = "",
    evidence: dict[str, Any] | None = None,
    key: str = "",
    idempotency_key: str = "",
) -> tuple[Retraining, bool]:
    """Train a model again, as its policy says, or as its champion was trained where it has none.

    Returns the retraining, and whether it was opened now (False: the same `idempotency_key` did before). `by` None: the
    hub, for what `key` names, which nothing is started for twice. Where the policy asks for approval it waits for that,
    else its job is made at once, or as soon as nothing is in its way. ConflictError names the retraining and the job
    that run already, or says when it is possible again (cooldown, budget); InvalidInputError when the model can't be
    trained again.
    """
    reason = reason.strip()[:1000]
    if by and idempotency_key and (earlier := _earlier(model, by, idempotency_key)):
        return earlier, False
    seen = Seen(kind, key, reason or "a person", evidence or {})
    row, known = _open(model, by, seen, reason, idempotency_key)
    if row is None:
        if by and idempotency_key and (earlier := _earlier(model, by, idempotency_key)):
            return earlier, False
        raise _runs(known)
    starting.take_up(row.pk)
    row.refresh_from_db()
    return row, True


def knock(model_id: int) -> None:
    """Have a worker look, after this transaction, whether something that was just found out starts a training."""
    enqueue(LOOK, model_id)


def knock_of_figures(model_ids: Iterable[int]) -> None:
    """The same, after new figures of these models: for those whose policies watch one. One query."""
    watched = RetrainingPolicy.objects.filter(model__in=set(model_ids), enabled=True).exclude(metric="")
    for model_id in watched.values_list("model", flat=True):
        knock(model_id)


def look(model_id: int) -> int:
    """Act on what the policy of this model sees; how many retrainings were opened."""
    policy = _policies().filter(model=model_id).first()
    return _act([policy], _seen([policy], [policy])) if policy else 0


def sweep() -> int:
    """Look for every policy that is on, some hundred in a round; how many retrainings were opened. New items are
    counted for some dozen in a round, and not for a while after that took long: where all of a dataset is new, all of
    it is counted."""
    policies, began = _rounds.next(_policies()), time.monotonic()
    counted = _turns.next(_policies().exclude(new_items=None)) if began >= _rest[0] else []
    seen = _seen(policies, counted)
    took = time.monotonic() - began
    if counted and took > LONG:
        _rest[0] = time.monotonic() + REST * took
    return _act(_every(policies, counted), seen)


def _policies() -> QuerySet[RetrainingPolicy]:
    rows = RetrainingPolicy.objects.filter(enabled=True).select_related("model__owner", "dataset", "template")
    return rows.defer("model__owner__password")


def _seen(policies: Sequence[RetrainingPolicy], counted: Sequence[RetrainingPolicy]) -> dict[int, list[Seen]]:
    """What these policies see, looked at together; where that fails each by itself, and one that fails sees nothing."""
    try:
        with transaction.atomic():
            return evidence.seen_all(policies, counted)
    except Exception as error:
        if database_is_away(error):
            raise
        every = _every(policies, counted)
        if len(every) == 1:
            log.exception("%s can't be looked at", every[0])
            return {}
    alone = [_seen([one] if one in policies else [], [one] if one in counted else []) for one in every]
    return {pk: found for one in alone for pk, found in one.items()}


def _every(policies: Sequence[RetrainingPolicy], counted: Sequence[RetrainingPolicy]) -> list[RetrainingPolicy]:
    return list({policy.pk: policy for policy in (*policies, *counted)}.values())


def _act(policies: Sequence[RetrainingPolicy], seen: dict[int, list[Seen]]) -> int:
    opened = 0
    for policy in policies:
        with a_turn(log, "%s failed", policy):
            for one in seen.get(policy.pk, []):
                opened += _fire(policy, one)
    return opened


def _fire(policy: RetrainingPolicy, one: Seen) -> int:
    """Open the retraining of what was seen, or write down why there is none. A time that has come is over either way,
    all else is seen again as long as it is so."""
    row: Retraining | None = None
    with transaction.atomic():
        if one.kind == Kind.SCHEDULE:
            # The model's row before the policy's, as whoever changes the policy holds them.
            Model.objects.select_for_update(no_key=True).filter(pk=policy.model_id).exists()
            if not _move_on(policy):
                return 0
        try:
            with transaction.atomic():
                row, _ = _open(policy.model, None, one, f"Started by {one.words}.")
            _forget_refusal(policy)
        except ProblemError as problem:
            _refuse(policy, one, f"{problem.message} {problem.hint}")
    if row is None:
        return 0
    starting.take_up(row.pk)
    return 1


def _move_on(policy: RetrainingPolicy) -> bool:
    """To the next time of the rule, which lies ahead however many were missed; False when someone else did."""
    now = database_now()
    assert policy.rule is not None
    following = Rule.read(policy.rule, now).next_after(now, read_zone(policy.zone))
    guard = RetrainingPolicy.objects.filter(pk=policy.pk, enabled=True, next_at=policy.next_at)
    return bool(guard.update(next_at=following))


@transaction.atomic
def _open(
    model: Model, by: AbstractBaseUser | None, one: Seen, reason: str, idempotency_key: str = ""
) -> tuple[Retraining | None, Retraining | None]:
    """(the new retraining, None), or (None, the one that is open already), while the model's row is held."""
    if not Model.objects.select_for_update(no_key=True).filter(pk=model.pk).exists():
        raise NotFoundError(f"{model} is gone.", "Go back to the list of models.")
    if by and idempotency_key and _earlier(model, by, idempotency_key):
        return None, None  # a second click, which waited for the first one
    if one.key and RetrainingEvent.objects.filter(model=model, key=one.key).exists():
        return None, None  # somebody else acted on it
    if known := model.retrainings.filter(status__in=Retraining.OPEN).select_related("job").first():
        _also(known, by, one)
        return None, known
    policy = policies.of(model)
    bounds.check(policy)
    if Job.objects.filter(model=model, status__in=ACTIVE).exists():
        raise conflicts.busy(model, None, model.recipe)
    requests.check(model, policy)
    return _opened(model, policy, by, one, reason, idempotency_key), None


def _opened(
    model: Model, policy: RetrainingPolicy, by: AbstractBaseUser | None, one: Seen, reason: str, idempotency_key: str
) -> Retraining:
    waits = policy.approvals_start > 0
    row = Retraining.objects.create(
        model=model,
        policy=policy if policy.pk else None,
        kind=one.kind,
        evidence=one.evidence,
        reason=reason,
        plan=policies.plan(policy),
        status=Status.AWAITING_APPROVAL if waits else Status.QUEUED,
        message="It waits for somebody's approval." if waits else "Its job is being made.",
        hint="An approver can approve or decline it." if waits else "",
        champion=champion_of(model),
        asked_by=by,
        idempotency_key=idempotency_key if by else "",
        waits_since=Now(),
    )
    row.refresh_from_db()
    who = f"By {by.get_username()}" if by else f"By {one.words}"
    details = {"kind": one.kind, "evidence": one.evidence, "reason": reason}
    message = f"{who}{f': {reason}' if reason and by else ''}."
    story.note(model, "triggered", message, retraining=row, actor=by, key=one.key, details=details)
    audit.write(by, "retraining triggered", row, model=model.pk, **details)
    if not waits:
        enqueue(starting.TASK, row.pk)  # should this process die before it has made the job
    return row


def _also(known: Retraining, by: AbstractBaseUser | None, one: Seen) -> None:
    """What else asks while one is open is told in its story."""
    who = f"{by.get_username()} asked for it" if by else f"It was asked for by {one.words}"
    runs = f" (job {known.job_id})" if known.job_id else ""
    message = f"{who} too, while retraining {known.pk}{runs} {known.state}."
    details = {"kind": one.kind, "evidence": one.evidence}
    story.note(known.model, "also_triggered", message, retraining=known, actor=by, key=one.key, details=details)


def _runs(known: Retraining | None) -> ConflictError:
    if known is None:
        return ConflictError("A training was started for this already.", "See /performance/retraining.")
    runs = f", job {known.job_id}" if known.job_id else ""
    return ConflictError(
        f"{known.model} is being trained again already: retraining {known.pk}{runs} {known.state}.",
        f"See /performance/retraining/{known.pk}. It ends by itself, or with a decision that it waits for.",
        retraining=known.pk,
        job=known.job_id,
        see=f"/performance/retraining/{known.pk}",
    )


def _earlier(model: Model, by: AbstractBaseUser, key: str) -> Retraining | None:
    row = Retraining.objects.filter(asked_by=by, idempotency_key=key).select_related("model", "job").first()
    if row and row.model_id != model.pk:
        raise ConflictError(
            f"The Idempotency-Key was used before, for retraining {row.pk} of {row.model}.",
            "Use a new key for a new request.",
            retraining=row.pk,
        )
    return row


def _refuse(policy: RetrainingPolicy, one: Seen, why: str) -> None:
    """What was seen started nothing; said once an hour at most: a count or figure changes all the time."""
    text = f"Seen: {one.words}. {why}".strip()[:500]
    changed = RetrainingPolicy.objects.filter(pk=policy.pk).exclude(refusal=text)
    if changed.update(refusal=text, refused_at=Now()) or one.kind == Kind.SCHEDULE:
        hour = f"not_started:{one.kind}:{database_now():%Y-%m-%dT%H}"
        key = one.key if one.kind == Kind.SCHEDULE else hour
        story.note(policy.model, "not_started", text, key=key, details=one.evidence)
        story.tell(None)


def _forget_refusal(policy: RetrainingPolicy) -> None:
    RetrainingPolicy.objects.filter(Q(pk=policy.pk) & ~Q(refusal="")).update(refusal="", refused_at=None)
