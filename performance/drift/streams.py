"""Following each outcome and each score as it comes. Where the mean changes, a check is made of both sides of it.

A number is taken once, in the order of its time: the stream's row is locked meanwhile, and what was made of the numbers
is written in the transaction that says how far they were taken. Rows are taken when they are half a minute old, so that
one whose transaction ends late is not left out.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from common import wording
from common.identifiers import MILLISECOND, least_at
from common.outages import a_turn
from performance.drift import verbs
from performance.drift.detectors import KEEP, Change, Watcher
from performance.drift.verbs import Stretch
from performance.models import DriftCheck, DriftMonitor, DriftStream
from performance.rounds import Rounds
from registry.models import Model, ModelVersion, Outcome, Prediction

log = logging.getLogger(__name__)

SETTLED = timedelta(seconds=30)
AT_ONCE = 2000
MOST = 10  # times AT_ONCE in one go: then it is the next one's turn
BUDGET = 5.0  # seconds of one round
MOMENT = timedelta(microseconds=1)
About = DriftCheck.Subject
Row = tuple[UUID, datetime, float | None]
_rounds = Rounds()


# The monitors for which there is something to take. It costs some places in indexes of each, however much there is.
NEW = """
WITH used AS (
    SELECT monitor.id, monitor.about, coalesce(
        (SELECT version_id FROM registry_alias champion
            WHERE model_id = monitor.model_id AND name = 'champion' AND EXISTS (
                SELECT FROM registry_prediction WHERE version_id = champion.version_id)),
        (SELECT version_id FROM registry_prediction
            WHERE model_id = monitor.model_id AND shadow_of IS NULL ORDER BY id DESC LIMIT 1)
    ) AS version_id
    FROM performance_driftmonitor monitor WHERE monitor.enabled AND monitor.streams
)
SELECT used.id FROM used
LEFT JOIN performance_driftstream errors ON errors.version_id = used.version_id AND errors.about = 'errors'
LEFT JOIN performance_driftstream scores ON scores.version_id = used.version_id AND scores.about = 'predictions'
WHERE used.about ? 'errors' AND EXISTS (
    SELECT FROM registry_outcome WHERE version_id = used.version_id
        AND at < statement_timestamp() - %(settled)s AND at >= coalesce(errors.taken_at, '-infinity')
        AND (at > coalesce(errors.taken_at, '-infinity') OR prediction_id > errors.taken_id)
) OR used.about ? 'predictions' AND EXISTS (
    SELECT FROM registry_prediction WHERE version_id = used.version_id
        AND at < statement_timestamp() - %(settled)s AND id > coalesce(scores.taken_id, %(nothing)s)
)
"""


def of_model(model: Model) -> QuerySet[DriftStream]:
    """How far each version was followed, the newest version first, without the numbers themselves."""
    rows = DriftStream.objects.filter(version__model=model, count__gt=0).select_related("version__model")
    return rows.defer("values", "times").order_by("-version_id", "about")


def sweep() -> int:
    """Take what is new of the models that are followed, some hundred in a round, each in its turn; returns how many
    numbers were taken. After some seconds the rest is left to the next round, so that nothing else waits for long."""
    until = time.monotonic() + BUDGET
    taken = 0
    for monitor in _rounds.next(DriftMonitor.objects.filter(pk__in=_with_new()).select_related("model")):
        taken += _follow_all(monitor)
        if time.monotonic() >= until:
            _rounds.left_after(monitor)
            break
    return taken


def _with_new() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(NEW, {"settled": SETTLED, "nothing": UUID(int=0)})
        return [pk for (pk,) in cursor.fetchall()]


def _follow_all(monitor: DriftMonitor) -> int:
    taken = 0
    with a_turn(log, "%s can't be followed", monitor):
        version = verbs.in_use(monitor.model)
        for about in (About.ERRORS, About.PREDICTIONS):
            if version is not None and about in monitor.about:
                taken += follow(version, about)
    return taken


def follow(version: ModelVersion, about: str) -> int:
    """Take what is new of one version, as far as it has settled; returns how many numbers were taken."""
    DriftStream.objects.get_or_create(version=version, about=about)
    taken = 0
    for _ in range(MOST):
        now = _step(version, about)
        taken += now
        if now < AT_ONCE:
            break
    return taken


def _step(version: ModelVersion, about: str) -> int:
    with transaction.atomic():
        found = DriftStream.objects.select_for_update(skip_locked=True).filter(version=version, about=about)
        stream = found.select_related("version__model").first()
        if stream is None:  # another node is at it
            return 0
        rows = list(_new(stream))
        if rows:
            _take(stream, rows)
        return len(rows)


def _take(stream: DriftStream, rows: list[Row]) -> None:
    watcher = Watcher(_numbers(stream.values))
    times = _numbers(stream.times)
    for _, at, value in rows:
        if value is None:
            continue
        stream.count += 1
        times.append(at.timestamp())
        change = watcher.take(value)
        if change is not None:
            _note(stream, change, times)
        del times[: len(times) - len(watcher.values)]
    stream.taken_id, stream.taken_at = rows[-1][:2]
    stream.values, stream.times = watcher.values.tobytes(), times.tobytes()
    stream.save()


def _note(stream: DriftStream, change: Change, times: array[float]) -> None:
    """A change that matters makes a check of what lies before and behind it. Fewer errors are no matter."""
    at = _moment(times[change.place])
    stream.changes, stream.changed_at = stream.changes + 1, at
    if not change.matters or (stream.about == About.ERRORS and not change.rose):
        return
    verbs.check(
        stream.version.model, stream.about, version=stream.version,
        reference=Stretch(_moment(times[0]), at), recent=Stretch(at, _moment(times[-1]) + MOMENT),
        evidence=_evidence(stream, change, at),
    )  # fmt: skip


def _evidence(stream: DriftStream, change: Change, at: datetime) -> dict[str, Any]:
    number = stream.count - change.after_count
    if stream.about == About.PREDICTIONS:
        what, values = "mean score", (f"{change.before:.3g}", f"{change.after:.3g}")
    elif change.of_shares:
        what, values = "share of wrong answers", (wording.percent(change.before), wording.percent(change.after))
    else:
        what, values = "mean size of the errors", (f"{change.before:.3g}", f"{change.after:.3g}")
    said = f"{change.detector} saw the {what} go from {values[0]} to {values[1]}"
    return {
        "detector": change.detector, "at": at.isoformat(), "number": number, "before": change.before,
        "after": change.after, "before_count": change.before_count, "after_count": change.after_count,
        "words": f"{said} after number {number:,}, and was sure {change.after_count:,} later.",
    }  # fmt: skip


def _new(stream: DriftStream) -> Iterator[Row]:
    """What has settled and was not taken, the oldest first."""
    if stream.about == About.PREDICTIONS:
        rows = _since(stream, Prediction.objects.filter(version=stream.version))
        for pk, at, score, error in rows.order_by("pk").values_list("pk", "at", "score", "error")[:AT_ONCE]:
            yield pk, at, None if error else score
    else:
        rows = _since(stream, Outcome.objects.filter(version=stream.version))
        for pk, at, correct, error in rows.order_by("at", "pk").values_list("pk", "at", "correct", "error")[:AT_ONCE]:
            yield pk, at, (abs(error) if error is not None else None) if correct is None else float(not correct)


def _since(stream: DriftStream, rows: Any) -> Any:
    by_id = stream.about == About.PREDICTIONS
    settled = rows.filter(at__lt=Now() - SETTLED)
    if stream.taken_id is None:  # a stream that is new begins with what its detectors would remember
        begin = verbs.newest_before(rows, KEEP)
        if begin is None:
            return rows.none()
        # An id knows its time to the millisecond alone, so that of the first may lie just before it.
        return settled.filter(pk__gte=least_at(begin - MILLISECOND)) if by_id else settled.filter(at__gte=begin)
    if by_id:
        return settled.filter(pk__gt=stream.taken_id)
    return settled.filter(Q(at__gt=stream.taken_at) | Q(pk__gt=stream.taken_id), at__gte=stream.taken_at)


def _numbers(kept: bytes) -> array[float]:
    return array("d", bytes(kept))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
