"""Checking for drift: recent data of a model beside a reference, in the background, and what is to be thought of it.

A check is a row from the moment it is asked for. A background worker claims it as it claims an import
(`datasets.claims`); one that was killed is taken up again, and what it finds depends on the logged rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from common.background import enqueue
from common.errors import InvalidInputError
from common.numbers import finite
from common.push import publish
from datasets import claims
from datasets.claims import Claim
from performance.alerts import evaluating
from performance.drift import judging, reading
from performance.drift.windows import Window, first_after, newest_before
from performance.models import DriftCheck
from performance.retraining import triggers
from registry.models import Model, ModelVersion, Outcome, Prediction
from registry.models.aliases import Name

TASK = "performance.tasks.run_drift_check"
TWICE = timedelta(seconds=10)  # within which two clicks of one person mean one check
RECENT = 1000  # the newest so many are looked at, unless told otherwise
EARLIER = 2000  # the first so many of a version, where no other reference is given
SMALLER = "Check a shorter time, or fewer columns."
About = DriftCheck.Subject


@dataclass(frozen=True)
class Stretch:
    """A stretch of time; the end is not part of it."""

    since: datetime
    until: datetime


def check(
    model: Model,
    about: str,
    by: AbstractBaseUser | None = None,
    *,
    version: ModelVersion | None = None,
    reference: str | Stretch | None = None,
    recent: int | timedelta | Stretch = RECENT,
    alpha: float | None = None,
    **more: Any,
) -> DriftCheck:
    """Have recent data of a model laid beside a reference; returns the check, which waits for a worker.

    `about` is one of inputs, predictions, errors. `version` None: inputs of all versions, answers and errors of the one
    that is in use (`in_use`). `reference` is "training", "earlier" (the first predictions of the version) or a stretch
    of time; None: training data where they can be read, else earlier. `recent` is how many of the newest are looked at,
    or for how long back. `alpha` None: of a single look. `by` None: the hub itself. InvalidInputError for what does not
    fit together.
    """
    if about not in About.values:
        raise _wrong("about", f"'{about}' can't be checked.", f"Choose one of {', '.join(About.values)}.")
    if version is not None and version.model_id != model.pk:
        raise _wrong("version", f"{version} is no version of {model}.", "Name one of its own versions.")
    used = version or in_use(model)
    if about != About.INPUTS:
        version = used
    data = _reference_data(model, about, used, reference)
    stretch = _recent(model, version, about, recent)
    before = reference if isinstance(reference, Stretch) else None
    if data is None and before is None:
        before = _earlier(model, version, about, stretch.since)
    asked: dict[str, Any] = {
        "model": model, "version": version, "about": about, "reference_data": data, "asked_by": by,
        "reference_from": before and before.since, "reference_until": before and before.until,
        "recent_from": stretch.since, **({} if alpha is None else {"alpha": alpha}), **more,
    }  # fmt: skip
    with transaction.atomic():
        if by and (same := _just_asked(asked)):
            return same
        made = DriftCheck.objects.create(**asked, recent_until=stretch.until)
        enqueue(TASK, made.pk)
        _tell(made)
    return made


def _just_asked(asked: Mapping[str, Any]) -> DriftCheck | None:
    """The check that the same person asked for a moment ago, by a second click: since then some predictions more may
    have come, which makes it no other question."""
    wanted = {name: value for name, value in asked.items() if name != "recent_from"}
    own = DriftCheck.objects.filter(status__in=(DriftCheck.Status.QUEUED, DriftCheck.Status.RUNNING), **wanted)
    Model.objects.select_for_update(no_key=True).get(pk=asked["model"].pk)  # the two clicks take turns
    return own.filter(created_at__gt=Now() - TWICE).first()


def in_use(model: Model) -> ModelVersion | None:
    """The champion where it has answered, else the version that answered last; None where none ever did."""
    champion = ModelVersion.objects.filter(aliases__model=model, aliases__name=Name.CHAMPION).first()
    if champion is not None and Prediction.objects.filter(version=champion).exists():
        return champion
    newest = Prediction.objects.filter(model=model, shadow_of=None).select_related("version").order_by("-pk").first()
    return newest.version if newest else None


def run(check_id: int) -> DriftCheck | None:
    """Carry a check out, or begin it again where a dead worker left it; None when there is nothing to do."""
    related = ("model", "version", "reference_data__dataset")
    claim = claims.take(DriftCheck, check_id, *related)
    if claim is None:
        return None

    def work() -> None:
        _tell(claim.row)
        with claim.computing():
            sides = _sides(claim)
            said = judging.judge(claim.row, *sides)
        _finish(claim, said)

    kept = claims.carry_out(claim, "check", work, partial(_fail, claim), SMALLER)
    return claim.row if kept else None


def sweep() -> int:
    """Have waiting checks taken that nobody took, and those whose worker died. Returns how many were offered."""
    return claims.offer(DriftCheck, TASK)


def _reference_data(model: Model, about: str, version: ModelVersion | None, reference: str | Stretch | None) -> Any:
    """The training data to compare with; None for logged predictions."""
    if isinstance(reference, Stretch) or reference == "earlier":
        return None
    if reference not in (None, "training"):
        raise _wrong("reference", f"'{reference}' is no reference.", "Choose training or earlier.")
    data = version.dataset_version if version else None
    if about == About.INPUTS and reading.learned_from(model, data):
        return data
    if reference == "training" and about != About.INPUTS:
        raise _wrong(
            "reference", f"Training data hold no {about} of the model.", "Compare with an earlier time: earlier."
        )
    if reference == "training":
        which = f"The training data of {version}" if version else f"{model} has not answered yet: its training data"
        raise _wrong("reference", f"{which} can't be laid beside inputs.", "Compare with an earlier time: earlier.")
    return None


def _recent(model: Model, version: ModelVersion | None, about: str, recent: int | timedelta | Stretch) -> Stretch:
    if isinstance(recent, Stretch):
        return recent
    now = timezone.now()
    if isinstance(recent, timedelta):
        return Stretch(now - recent, now)
    return Stretch(newest_before(_logged(model, version, about), recent) or now, now)


def _earlier(model: Model, version: ModelVersion | None, about: str, before: datetime) -> Stretch:
    """The first ones that were logged, all of them before the recent ones."""
    rows = _logged(model, version, about)
    first = first_after(rows, 1)
    if first is None or first >= before:
        return Stretch(before, before)
    last = first_after(rows, EARLIER) or first
    return Stretch(first, min(before, last + timedelta(microseconds=1)))


def _logged(model: Model, version: ModelVersion | None, about: str) -> Any:
    rows: Any = Outcome.objects.all() if about == About.ERRORS else Prediction.objects.all()
    return rows.filter(model=model) if version is None else rows.filter(version=version)


def _sides(claim: Claim[DriftCheck]) -> tuple[reading.Columns, reading.Columns]:
    """The reference, and what is recent."""
    row = claim.row
    read = {About.INPUTS: reading.inputs, About.PREDICTIONS: reading.predictions, About.ERRORS: reading.errors}
    recent = read[row.about](Window(row.model_id, row.version_id, row.recent_from, row.recent_until))
    if row.reference_data is not None:
        return reading.training(row.model, row.reference_data, recent, claim.beat), recent
    earlier = Window(row.model_id, row.version_id, row.reference_from, row.reference_until)
    return read[row.about](earlier), recent


def _finish(claim: Claim[DriftCheck], said: judging.Said) -> None:
    with transaction.atomic():
        claim.update(hint=said.hint)
        claim.finish(
            moved=said.moved, findings=finite(said.findings), message=said.message,
            reference_count=said.reference_count, recent_count=said.recent_count,
        )  # fmt: skip
        _tell(claim.row)
        evaluating.soon()
        if said.moved:
            triggers.knock(claim.row.model_id)


def _fail(claim: Claim[DriftCheck], problem: str, hint: str) -> None:
    with transaction.atomic():
        claim.finish(problem, hint)
        _tell(claim.row)


def _tell(row: DriftCheck) -> None:
    publish(f"drift.{row.pk}")


def _wrong(field: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={field: [f"{message} {hint}"]})
