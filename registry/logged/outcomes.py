"""What became of predictions: the truth, or what somebody thought of them, sent by the prediction's id.

The truth is judged against what was predicted when it comes. Sent again it changes nothing; another truth is refused
unless it is said to replace the first one.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from accounts import audit
from common.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from common.identifiers import moment_of
from common.numbers import ABSURD
from registry.access import Action, may, require, sees_all
from registry.logged import shadow_truths, writing
from registry.logged.judging import is_number, outcome_of, wrong
from registry.logged.storing import touch
from registry.logged.unknown import classes_said
from registry.models import Outcome, Prediction

MAX_ENTRIES = 1_000
# A prediction that is younger than this may still be on its way, in this process or another one.
FRESH_SECONDS = 10.0
WAITS = (0.1, 0.2, 0.4)
SHADOWS = 20  # of one prediction
MANY = "Send them in several requests."


@dataclass(frozen=True)
class Entry:
    """What is sent of one prediction; None: nothing. `value` is feedback: 1 or 0, a rating, an amount."""

    prediction: UUID
    truth: Any = None
    value: float | None = None
    replace: bool = False


@dataclass(frozen=True)
class Told:
    """What came of one entry: `status` is recorded, unchanged, replaced or refused, with the problem. A `note` says
    what is odd about one that was taken."""

    prediction: UUID
    status: str
    outcome: Outcome | None = None
    problem: ProblemError | None = None
    note: str = ""


def send(
    user: AbstractBaseUser, prediction: UUID, *, truth: Any = None, value: float | None = None, replace: bool = False
) -> Told:
    """The outcome of one prediction. NotFoundError when there is none for this person, InvalidInputError for a truth
    of another kind than what was predicted, ConflictError when another truth was sent before and is not replaced."""
    told = send_many(user, [Entry(prediction, truth, value, replace)])[0]
    if told.problem:
        raise told.problem
    return told


def send_many(user: AbstractBaseUser, entries: Sequence[Entry]) -> list[Told]:
    """Outcomes of up to a thousand predictions, each on its own: what is refused keeps no other out."""
    if not 1 <= len(entries) <= MAX_ENTRIES:
        raise InvalidInputError(f"There must be 1 to {MAX_ENTRIES:,} outcomes, not {len(entries):,}.", MANY)
    known = _predictions({entry.prediction for entry in entries})
    allowed = _Allowed(user)
    told: dict[int, Told] = {}
    wanted: dict[int, Outcome] = {}
    for number, entry in enumerate(entries):
        try:
            wanted[number] = _wanted(user, entry, allowed.one(known.get(entry.prediction), entry.prediction))
        except ProblemError as problem:
            told[number] = Told(entry.prediction, "refused", problem=problem)
    if wanted:
        with transaction.atomic():
            shadow_truths.hold({row.model_id for row in wanted.values()})
            told |= _kept(user, entries, wanted)
            _tell_shadows(user, {o.prediction_id: o for n, o in wanted.items() if told[n].problem is None}, entries)
    return _noted([told[number] for number in range(len(entries))])


def _noted(told: Sequence[Told]) -> list[Told]:
    notes = classes_said(one.outcome for one in told if one.outcome)
    return [dataclasses.replace(one, note=notes.get(one.prediction, "")) if one.outcome else one for one in told]


def find(user: AbstractBaseUser, prediction: UUID) -> Prediction:
    """A prediction whose outcome this person may send; else NotFoundError, or ForbiddenError where it is seen."""
    return _Allowed(user).one(_predictions({prediction}).get(prediction), prediction)


class _Allowed:
    """Whose outcomes somebody may send: of models whose predictions they may see, and of their own questions."""

    def __init__(self, user: AbstractBaseUser) -> None:
        self.user = user
        self.models: dict[int, bool] = {}

    def one(self, prediction: Prediction | None, pk: UUID) -> Prediction:
        if prediction is not None:
            model = prediction.model
            if model.pk not in self.models:
                self.models[model.pk] = may(self.user, Action.SEE_PREDICTIONS, model)
            if self.models[model.pk] or prediction.user_id == self.user.pk:
                return prediction
            if sees_all(self.user):
                require(self.user, Action.SEE_PREDICTIONS, model)
        raise not_there(pk)


def not_there(pk: UUID) -> NotFoundError:
    return NotFoundError(
        f"There is no logged prediction {pk} for you.",
        "Check the id. It may be older than predictions are kept, or not belong to the share that is logged.",
    )


def _predictions(ids: set[UUID]) -> dict[UUID, Prediction]:
    """Those that there are; the youngest may need a moment to arrive."""
    found = _found(ids)
    now = time.time()
    fresh = {pk for pk in ids if abs(now - moment_of(pk).timestamp()) < FRESH_SECONDS}
    if fresh - found.keys():
        writing.flush()
        found |= _found(fresh - found.keys())
    for wait in WAITS:
        if not (missing := fresh - found.keys()):
            break
        time.sleep(wait)
        found |= _found(missing)
    return found


def _found(ids: Iterable[UUID]) -> dict[UUID, Prediction]:
    rows = Prediction.objects.select_related("model__owner").filter(pk__in=list(ids))
    return {row.pk: row for row in rows.defer("input", "features", "model__owner__password")}


def _wanted(user: AbstractBaseUser, entry: Entry, prediction: Prediction) -> Outcome:
    """The outcome as it would be, were it the first one."""
    if entry.truth is None and entry.value is None:
        raise wrong("An outcome says what was true, or what it was worth.", "Send `truth`, `value` or both.")
    if entry.value is not None and not is_number(entry.value):
        raise InvalidInputError(
            f"Feedback is a number, of less than {ABSURD:.0e} either way.",
            "Send 1 or 0, a rating or an amount.",
            fields={"value": ["Must be such a number."]},
        )
    return outcome_of(prediction, user.pk, entry.truth, entry.value)


def _kept(user: AbstractBaseUser, entries: Sequence[Entry], wanted: Mapping[int, Outcome]) -> dict[int, Told]:
    """Write the outcomes beside those that are there, which are locked in one order by everybody."""
    ids = sorted({row.prediction_id for row in wanted.values()})
    before = set(Outcome.objects.filter(pk__in=ids).values_list("pk", flat=True))
    first = {row.prediction_id: row for row in reversed(wanted.values())}
    Outcome.objects.bulk_create([first[pk] for pk in ids], ignore_conflicts=True)
    rows = {row.pk: row for row in Outcome.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
    told: dict[int, Told] = {}
    for number, row in wanted.items():
        kept = rows[row.prediction_id]
        # Somebody else may have told one in the moment between the look and the writing: then theirs stands there.
        own = (kept.at, kept.user_id) == (row.at, row.user_id)
        new = row.prediction_id not in before and first[row.prediction_id] is row and own
        told[number] = _merged(user, entries[number], kept, row, new)
    changed = {row.prediction_id for number, row in wanted.items() if told[number].status in ("recorded", "replaced")}
    touch({(rows[pk].version_id, rows[pk].predicted_at) for pk in changed})
    return told


def _merged(user: AbstractBaseUser, entry: Entry, kept: Outcome, sent: Outcome, new: bool) -> Told:
    """Put what was sent into the row that is kept: fill what is empty, replace where that is wanted."""
    if new:
        return Told(kept.pk, "recorded", kept)
    fields = [name for name in ("truth", "value") if getattr(sent, name) is not None]
    other = [name for name in fields if getattr(kept, name) not in (None, getattr(sent, name))]
    empty = [name for name in fields if getattr(kept, name) is None]
    if other and not entry.replace:
        return Told(entry.prediction, "refused", problem=_another(kept, sent, other[0]))
    if not other and not empty:
        return Told(kept.pk, "unchanged", kept)
    if other:
        was, now = ({name: getattr(row, name) for name in other} for row in (kept, sent))
        audit.write(user, "replaced an outcome", kept, before=was, after=now)
    for name in [*other, *empty]:
        setattr(kept, name, getattr(sent, name))
        if name == "truth":
            kept.correct, kept.error = sent.correct, sent.error
    kept.at, kept.user_id = sent.at, sent.user_id
    kept.save(update_fields=["truth", "value", "correct", "error", "at", "user"])
    return Told(kept.pk, "replaced" if other else "recorded", kept)


def _tell_shadows(user: AbstractBaseUser, sent: Mapping[UUID, Outcome], entries: Sequence[Entry]) -> None:
    """The same truth is that of the answers which were made beside this one and given to nobody."""
    truths = {pk: row.truth for pk, row in sent.items() if row.truth is not None}
    shadows = Prediction.objects.filter(shadow_of__in=list(truths)).select_related("model")
    wanted: dict[int, Outcome] = {}
    replaced = {entry.prediction for entry in entries if entry.replace}
    own: list[Entry] = []
    for shadow in shadows.defer("input", "features")[: SHADOWS * MAX_ENTRIES]:
        entry = Entry(shadow.pk, truths[shadow.shadow_of], replace=shadow.shadow_of in replaced)
        try:
            wanted[len(own)] = _wanted(user, entry, shadow)
        except InvalidInputError:  # a shadow that failed has no outcome
            continue
        own.append(entry)
    if wanted:
        _kept(user, own, wanted)


def _another(kept: Outcome, sent: Outcome, name: str) -> ConflictError:
    what = "truth" if name == "truth" else "feedback"
    return ConflictError(
        f"Another {what} was sent before: {str(getattr(kept, name))[:100]}, now {str(getattr(sent, name))[:100]}.",
        "Send it with `replace: true` to correct it; that is noted.",
    )
