"""The truth beside what was predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from common.errors import InvalidInputError
from common.numbers import ABSURD
from registry.models import Outcome, Prediction

NUMBER = int | float


@dataclass(frozen=True)
class Judged:
    truth: Any = None
    correct: bool | None = None
    error: float | None = None


def outcome_of(prediction: Prediction, user_id: int | None, truth: Any, value: float | None = None) -> Outcome:
    """The outcome of a prediction, not saved; `truth` None: nothing is known of it. Raises what `judge` raises."""
    judged = judge(prediction, truth) if truth is not None else Judged()
    return Outcome(
        prediction=prediction, model_id=prediction.model_id, version_id=prediction.version_id,
        arm_id=prediction.arm_id, group=prediction.group, predicted_at=prediction.at, at=timezone.now(),
        user_id=user_id, truth=judged.truth, correct=judged.correct, error=judged.error, value=value,
    )  # fmt: skip


def judge(prediction: Prediction, truth: Any) -> Judged:
    """The truth beside what was predicted: right or wrong of classes, predicted less true of numbers, of a forecast
    (a list, null where it is not known) by how much it was off on average. InvalidInputError for another kind."""
    if prediction.error:
        raise wrong("This request failed, so nothing was predicted.", "Send no truth for it.")
    if isinstance(steps := (prediction.output or {}).get("forecast"), list):
        return _judged_forecast(steps, truth)
    if prediction.label:
        return _judged_class(prediction.label, truth)
    if prediction.score is None:
        raise wrong("What was predicted is no class and no number, so no truth can be compared with it.",
                    "Send `value` instead, such as 1 for good and 0 for bad.")  # fmt: skip
    if not is_number(truth):
        raise wrong(f"A number was predicted, {prediction.score:g}; the truth must be a number, too.",
                    "Send a number, such as 12.5, without quotes.")  # fmt: skip
    return Judged(truth, error=prediction.score - truth)


def _judged_class(label: str, truth: Any) -> Judged:
    if label in ("anomaly", "normal") and isinstance(truth, bool):
        truth = "anomaly" if truth else "normal"
    if isinstance(truth, bool) or not isinstance(truth, str | int) or not str(truth).strip():
        raise wrong(f"A class was predicted, '{label}'; the truth must be the name of one.",
                     'Send the name as text, such as "cat".')  # fmt: skip
    name = str(truth)[:200]
    return Judged(name, correct=name == label)


def _judged_forecast(steps: list[Any], truth: Any) -> Judged:
    values = [step.get("value") if isinstance(step, dict) else step for step in steps]
    given = truth if isinstance(truth, list) else [truth]
    if not 1 <= len(given) <= len(values) or not all(one is None or is_number(one) for one in given):
        raise wrong(f"A forecast of {len(values)} steps was made; the truth is a list of as many numbers at most.",
                    "Send them in order, null for what is not known.")  # fmt: skip
    off = [abs(said - true) for said, true in zip(values, given, strict=False) if is_number(said) and true is not None]
    if not off:
        raise wrong("Of no step of the forecast the truth is given.", "Send at least one number.")
    return Judged(given, error=sum(off) / len(off))


def wrong(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={"truth": [message]})


def is_number(value: Any) -> bool:
    """Whether it can be reckoned with: neither infinite nor so large that differences and means of it would be."""
    return isinstance(value, NUMBER) and not isinstance(value, bool) and abs(value) < ABSURD
