"""Life of an experiment: it begins, is looked at again and again, and ends by a verdict, a person, or its time."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from common.background import enqueue
from common.errors import ConflictError
from common.push import publish
from performance.experiments import planning, promoting
from performance.experiments.planning import Part, Planned
from performance.models import ArmSum, Experiment
from registry.access import Action, require
from registry.models import Model, ModelVersion, Route, RouteArm
from registry.versions import hold

TASK = "performance.tasks.look_at_experiments"


def start(
    model: Model,
    by: AbstractBaseUser | None,
    *,
    kind: str = Experiment.Kind.AB,
    arms: Sequence[Mapping[str, Any]],
    control: ModelVersion | None = None,
    metric: str = "correct",
    idempotency_key: str = "",
    **given: Any,
) -> Experiment:
    """Divide a model's traffic between its champion and other versions (`ab`), or let these answer beside it, unseen
    (`shadow`). `by` None: a policy of the hub.

    `arms` are {"version": ModelVersion, "weight": share of the keys, "name": …}; `control` None: the champion. `given`
    may hold name, higher_is_better, expected and minimum (outcomes), max_days, alpha and margin. With an
    `idempotency_key` the same request gives the same experiment. InvalidInputError names what is wrong;
    ConflictError when another one of this model is running.
    """
    if by is not None:
        require(by, Action.DEPLOY, model)
    planned = planning.plan(model, kind, arms, control, metric, given)
    if idempotency_key and (earlier := _earlier(by, idempotency_key, planned.digest)):
        return earlier
    try:
        return _begin(model, by, planned, idempotency_key)
    except IntegrityError:
        if idempotency_key and (earlier := _earlier(by, idempotency_key, planned.digest)):
            return earlier
        raise _other_runs(model) from None


@transaction.atomic
def stop(experiment: Experiment, by: AbstractBaseUser | None, reason: str = "") -> Experiment:
    """End it without a verdict: from now on the champion answers all. ConflictError when it has ended."""
    if by is not None:
        require(by, Action.DEPLOY, experiment.model)
    row = locked(experiment.pk)
    said = reason.strip()[:300].rstrip(".")
    why = f"Stopped: {said}." if said else "Stopped."
    end(row, Experiment.Status.STOPPED, by, words=f"{why} {row.words}".strip())
    return row


def ask_for_look(experiment: Experiment, by: AbstractBaseUser) -> Experiment:
    """Have it looked at now, in the background. As often as anybody likes: verdicts hold at every look, and what is
    asked for before it has begun is one look."""
    require(by, Action.DEPLOY, experiment.model)
    if not Experiment.objects.filter(pk=experiment.pk, status=Experiment.Status.RUNNING).update(due_at=Now()):
        raise _has_ended(experiment)
    enqueue(TASK)
    return experiment


def promote(experiment: Experiment, by: AbstractBaseUser, reason: str = "") -> Any:
    """Promote the version that won: an AliasChange, or a request where a policy wants approval. ConflictError when
    nobody has won."""
    require(by, Action.PROMOTE, experiment.model)
    winner = experiment.winner
    if experiment.status != Experiment.Status.DECIDED or winner is None:
        raise ConflictError(f"'{experiment}' has no winner.", "Wait for its verdict, or promote a version by its page.")
    return promoting.promote(experiment, winner, by, reason.strip() or f"It won '{experiment}'.")


def end(row: Experiment, status: str, by: AbstractBaseUser | None, **values: Any) -> None:
    """Close a running experiment and its route, in the transaction of a caller that holds it."""
    changed = Experiment.objects.filter(pk=row.pk, status=Experiment.Status.RUNNING).update(
        status=status, ended_at=Now(), **values
    )
    if not changed:
        raise _has_ended(row)
    Route.objects.filter(pk=row.route_id, ended_at=None).update(ended_at=Now())
    row.refresh_from_db()
    audit.write(by, f"experiment {status}", row, model=row.model_id, verdict=row.verdict, words=row.words)
    tell(row)


def locked(pk: int) -> Experiment:
    """The experiment, held until the transaction ends; whoever changes it holds it."""
    return Experiment.objects.select_for_update(of=("self",), no_key=True).select_related("model", "winner").get(pk=pk)


def tell(row: Experiment) -> None:
    """Let open pages know."""
    publish(f"experiment.{row.pk}", f"experiments.{row.model_id}")


@transaction.atomic
def _begin(model: Model, by: AbstractBaseUser | None, planned: Planned, key: str) -> Experiment:
    now = timezone.now()
    route = Route.objects.create(model=model, salt=secrets.token_hex(16), started_at=now)
    for part in sorted(planned.parts, key=lambda part: part.version.pk):
        hold(part.version)  # it is neither deleted nor archived from here on
    made = [_arm(route, part) for part in planned.parts]
    ArmSum.objects.bulk_create(ArmSum(arm=arm, updated_at=now) for arm in made)
    row = Experiment.objects.create(
        route=route, model=model, started_by=by, started_at=now, counted_until=now, due_at=now + timedelta(seconds=30),
        idempotency_key=key, request_digest=planned.digest if key else "", **planned.fields,
    )  # fmt: skip
    arms = [{"version": arm.version_id, "weight": arm.weight, "shadow": arm.shadow} for arm in made]
    audit.write(by, "experiment started", row, model=model.pk, arms=arms, metric=row.metric)
    tell(row)
    return row


def _arm(route: Route, part: Part) -> RouteArm:
    return RouteArm.objects.create(
        route=route, version=part.version, name=part.name, control=part.control, shadow=part.shadow, weight=part.weight
    )


def _earlier(by: AbstractBaseUser | None, key: str, digest: str) -> Experiment | None:
    row = Experiment.objects.filter(started_by=by, idempotency_key=key).select_related("model").first()
    if row and row.request_digest != digest:
        raise ConflictError(
            f"The Idempotency-Key was used before, for experiment {row.pk}, with another request.",
            "Use a new key for a new request.", experiment=row.pk,
        )  # fmt: skip
    return row


def _other_runs(model: Model) -> ConflictError:
    other = Experiment.objects.filter(model=model, status=Experiment.Status.RUNNING).first()
    what = f"'{other}' is running" if other else "Another comparison is running"
    return ConflictError(
        f"{what} on {model}: a model has one at a time.", "Wait for its verdict or stop it first.",
        experiment=other.pk if other else None,
    )  # fmt: skip


def _has_ended(row: Experiment) -> ConflictError:
    row.refresh_from_db()
    return ConflictError(f"'{row}' has ended: {row.get_status_display().lower()}.", "Begin another one.")
