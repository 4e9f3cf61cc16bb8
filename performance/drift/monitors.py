"""Looking at a model again and again by itself.

Whoever looks often enough sees something move by chance. So the looks of a monitor share one level: of α the k-th look
gets α / (k (k + 1)), which adds up to α however many there will be, and each subject an equal part of that. The count
begins anew when the reference does: with another version in use, or with other settings.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from common.errors import InvalidInputError
from common.outages import a_turn
from performance.drift import counting, verbs
from performance.drift.columns import LEAST
from performance.drift.windows import SAMPLE
from performance.models import DriftCheck, DriftMonitor
from performance.rounds import Rounds
from registry.access import Action, require
from registry.models import Model, ModelVersion, Outcome, Prediction

log = logging.getLogger(__name__)

AT_ONCE = 30  # checks of one round
About = DriftCheck.Subject
_rounds = Rounds()
# What can be set, and the range of those that are numbers.
SETTINGS = ("enabled", "about", "reference", "window", "alpha", "every_hours", "every_predictions", "streams")
RANGES = {"window": (LEAST, SAMPLE), "every_hours": (1, 24 * 365), "every_predictions": (LEAST, 10_000_000)}
OF_REFERENCE = {"about", "reference", "window", "alpha"}


def monitor_of(model: Model) -> DriftMonitor:
    """The model's monitor; where it has none, one that is off and was not saved."""
    return DriftMonitor.objects.filter(model=model).first() or DriftMonitor(model=model, enabled=False)


def change(model: Model, by: AbstractBaseUser, **wanted: Any) -> DriftMonitor:
    """Set what is looked at by itself; what is not named stays. ForbiddenError for who may not deploy the model,
    InvalidInputError for settings that do not fit together."""
    require(by, Action.DEPLOY, model)
    with transaction.atomic():
        Model.objects.select_for_update(no_key=True).get(pk=model.pk)
        # Held too: what a look counts meanwhile must not be written over.
        held = DriftMonitor.objects.select_for_update().filter(model=model).first()
        monitor = held or monitor_of(model)
        before = {name: getattr(monitor, name) for name in SETTINGS} if monitor.pk else {}
        monitor.enabled = monitor.enabled or not before  # who sets up a new one wants it
        for name in SETTINGS:
            if name in wanted:
                setattr(monitor, name, wanted[name])
        _check(monitor)
        changed = {name: getattr(monitor, name) for name in SETTINGS if before.get(name) != getattr(monitor, name)}
        if before and not changed:
            return monitor
        if OF_REFERENCE & set(changed):
            monitor.since_look = 0
        if "every_predictions" in changed:
            monitor.fresh, monitor.counted = 0, monitor.seen
        monitor.next_at = timezone.now() if monitor.enabled and monitor.every_hours else None
        monitor.changed_by = by
        monitor.save()
        audit.write(by, "changed", monitor, settings=changed)
    return monitor


def sweep() -> int:
    """Make the checks that are due; returns how many were made. Two nodes at once make them once. More than some dozen
    are left to the next round, each in its turn: whatever else waits for a worker would wait for all of them."""
    due = Q(next_at__lte=Now()) | Q(pk__in=counting.enough())
    made = 0
    for monitor in _rounds.next(DriftMonitor.objects.filter(due, enabled=True).only("pk")):
        made += _looked(monitor.pk)
        if made >= AT_ONCE:
            _rounds.left_after(monitor)
            break
    return made


def _looked(monitor_id: int) -> int:
    with a_turn(log, "drift monitor %s can't look", monitor_id):
        return len(look(monitor_id))
    return 0


def look(monitor_id: int) -> list[DriftCheck]:
    """Make the checks of one monitor if they are due and something new was logged."""
    with transaction.atomic():
        rows = DriftMonitor.objects.select_for_update(skip_locked=True, of=("self",)).select_related("model")
        monitor = rows.filter(pk=monitor_id, enabled=True).first()
        if monitor is None or not _due(monitor):
            return []
        made = _made(monitor)
        if monitor.every_hours:
            monitor.next_at = timezone.now() + timedelta(hours=monitor.every_hours)
        monitor.save()
    return made


def level(alpha: float, count: int, number: int) -> float:
    """What the `number`-th look has of `alpha`, for each of `count` subjects; all of them together at most `alpha`."""
    return alpha / (count * number * (number + 1))


def _due(monitor: DriftMonitor) -> bool:
    """Whether it is due, of one that is held: another node may have looked meanwhile."""
    if monitor.next_at is not None and monitor.next_at <= timezone.now():
        return True
    return bool(counting.enough(monitor.pk))


def _made(monitor: DriftMonitor) -> list[DriftCheck]:
    """A check of each subject of which something new was logged; none of what was seen already."""
    model = monitor.model
    newest = _new_predictions(monitor).order_by("-pk").values_list("pk", flat=True).first()
    told = _last_outcome(model)
    new = {
        About.INPUTS: newest is not None, About.PREDICTIONS: newest is not None,
        About.ERRORS: told is not None and (monitor.seen_outcome_at is None or told > monitor.seen_outcome_at),
    }  # fmt: skip
    # Whatever comes of it, the next so many predictions are the next reason to look.
    monitor.fresh, monitor.counted = 0, newest or monitor.counted or monitor.seen
    wanted = [about for about in monitor.about if new[about]]
    if not wanted:
        return []
    version = verbs.in_use(model)
    _count(monitor, version)
    monitor.seen, monitor.seen_outcome_at = newest or monitor.seen, told
    alpha = level(monitor.alpha, len(monitor.about), monitor.since_look)
    reference = "earlier" if monitor.reference == DriftMonitor.Reference.EARLIER else None
    return [
        verbs.check(
            model, about, reference=reference, recent=monitor.window, alpha=alpha, monitor=monitor, look=monitor.looks
        )
        for about in wanted
    ]


def _count(monitor: DriftMonitor, version: ModelVersion | None) -> None:
    """Another version in use is another reference: the looks at it are counted anew."""
    if monitor.version != version:
        monitor.version, monitor.since_look = version, 0
    monitor.looks += 1
    monitor.since_look += 1


def _new_predictions(monitor: DriftMonitor) -> Any:
    rows = Prediction.objects.filter(model=monitor.model_id)
    return rows.filter(pk__gt=monitor.seen) if monitor.seen else rows


def _last_outcome(model: Model) -> datetime | None:
    return Outcome.objects.filter(model=model).order_by("-at").values_list("at", flat=True).first()


def _check(monitor: DriftMonitor) -> None:
    problems: dict[str, list[str]] = {}
    known = [about for about in About.values if about in monitor.about]
    if not known or len(known) != len(monitor.about):
        problems["about"] = [f"Choose one or more of {', '.join(About.values)}, each once."]
    monitor.about = known
    if monitor.reference not in DriftMonitor.Reference.values:
        problems["reference"] = [f"Choose one of {', '.join(DriftMonitor.Reference.values)}."]
    if not 0.0001 <= monitor.alpha <= 0.2:
        problems["alpha"] = ["Choose a share from 0.0001 to 0.2."]
    for name, (low, high) in RANGES.items():
        value = getattr(monitor, name)
        if value is not None and not low <= value <= high:
            problems[name] = [f"Choose {low:,} to {high:,}."]
    if monitor.enabled and not (monitor.every_hours or monitor.every_predictions or monitor.streams):
        problems["every_hours"] = ["Say when to look: every so many hours or predictions, or follow each outcome."]
    if problems:
        raise InvalidInputError("Drift can't be monitored like this.", "Correct the named settings.", fields=problems)
