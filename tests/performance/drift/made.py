"""Logged predictions and what became of them, made without a model."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from django.utils import timezone

from common.identifiers import uuid7
from registry.models import Outcome, Prediction


def log(version, rows, ago=timedelta(0), step=timedelta(seconds=1), user=None, **more):
    """A prediction for each row of features, `step` apart, the last one `ago`; returns them, oldest first."""
    last = timezone.now() - ago - timedelta(seconds=1)
    made = []
    for place, row in enumerate(rows):
        at = last - step * (len(rows) - 1 - place)
        given = {key: value[place] if isinstance(value, list) else value for key, value in more.items()}
        made.append(
            Prediction(
                id=uuid7(at),
                at=at,
                model_id=version.model_id,
                version=version,
                user=user,
                input_hash="0" * 64,
                features=row,
                latency_ms=1.0,
                **given,
            )
        )
    return Prediction.objects.bulk_create(made)


def tell(predictions, wrong=None, errors=None, lag=timedelta(0)):
    """What became of each: whether it was wrong, or by how much."""
    made = []
    for place, one in enumerate(predictions):
        what = {"correct": not wrong[place]} if wrong is not None else {"error": float(errors[place])}
        made.append(
            Outcome(
                prediction=one,
                model_id=one.model_id,
                version_id=one.version_id,
                predicted_at=one.at,
                at=one.at + lag,
                truth="x",
                **what,
            )
        )
    return Outcome.objects.bulk_create(made)


def sensor(seed, count, shift=0.0, spread=1.0):
    """Rows of a machine: two numbers and a type; the temperature can be shifted."""
    dice = np.random.default_rng(seed)
    hot, speed = dice.normal(300 + shift, 2 * spread, count), dice.normal(1500, 150, count)
    kinds = dice.choice(["L", "M", "H"], count, p=[0.6, 0.3, 0.1])
    return [
        {"temperature": round(float(t), 2), "speed": round(float(s), 1), "Type": str(k)}
        for t, s, k in zip(hot, speed, kinds, strict=True)
    ]


def wrongs(seed, *stretches):
    """Whether each answer was wrong; a stretch is (how many, how often)."""
    dice = np.random.default_rng(seed)
    return [bool(one) for count, rate in stretches for one in dice.random(count) < rate]
