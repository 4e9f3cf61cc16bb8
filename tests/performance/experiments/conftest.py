"""A model with a champion and others, and what they answer."""

from __future__ import annotations

import secrets
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from performance.experiments import promoting, verbs
from performance.experiments.sums import first_id
from performance.models import Experiment
from registry.models import Alias, Outcome, Prediction
from tests.world import make_version


@pytest.fixture
def versions(owner):
    """Four of one model; the first is the champion."""
    first = make_version(owner, "Sorter", "text-classification")
    Alias.objects.create(model=first.model, name="champion", version=first, since=timezone.now())
    return [first, *(make_version(owner, "Sorter", "text-classification", model=first.model) for _ in range(3))]


@pytest.fixture
def promotion(monkeypatch):
    """What promotion was told: notes of evidence, and versions that were promoted."""
    told = SimpleNamespace(notes=[], promoted=[])

    note, promote = promoting.note_evidence, promoting.verbs.promote

    def noting(version, kind, passed, evidence, *, against):
        told.notes.append((version, kind, passed, evidence, against))
        return note(version, kind, passed, evidence, against=against)

    def promoting_it(version, by, *, reason="", evidence=None):
        told.promoted.append((version, by, reason, evidence))
        return promote(version, by, reason=reason, evidence=evidence)

    monkeypatch.setattr(promoting, "note_evidence", noting)
    monkeypatch.setattr(promoting.verbs, "promote", promoting_it)
    return told


@pytest.fixture
def begun(versions, owner, promotion):
    """Starts an experiment of the second version against the champion, an hour ago."""

    def start(others=(1,), **given):
        arms = [{"version": versions[number]} for number in others]
        made = verbs.start(versions[0].model, owner, arms=arms, **given)
        ago = timezone.now() - timedelta(hours=1)
        Experiment.objects.filter(pk=made.pk).update(started_at=ago, counted_until=ago)
        made.refresh_from_db()
        return made

    return start


def answer(arm, count: int, *, keys: int = 0, shadow_of=(), **values: Any) -> list[Prediction]:
    """So many answers of an arm some minutes ago; `keys`: by so many in turn, else each without one."""
    at = values.pop("since", None) or timezone.now() - timedelta(minutes=10)
    rows = [
        Prediction(
            id=UUID(int=first_id(at + timedelta(milliseconds=number)).int + secrets.randbits(60)),
            at=at + timedelta(milliseconds=number), model_id=arm.version.model_id, version=arm.version,
            arm=arm, key=f"key {number % keys}" if keys else "", input_hash="0" * 64,
            shadow_of=shadow_of[number] if shadow_of else None, **{"latency_ms": 5.0, **values},
        )
        for number in range(count)
    ]  # fmt: skip
    return Prediction.objects.bulk_create(rows)


def tell(predictions: list[Prediction], right: int = 0, **values: Any) -> None:
    """What became of them: the first `right` were, unless `values` say more."""
    Outcome.objects.bulk_create(
        Outcome(
            prediction=one, model_id=one.model_id, version_id=one.version_id, arm_id=one.arm_id, predicted_at=one.at,
            at=timezone.now(), **({"truth": "a", "correct": number < right} | values),
        )
        for number, one in enumerate(predictions)
    )  # fmt: skip


def judged(arm, count: int, right: int, **given: Any) -> list[Prediction]:
    """Answers of which so many were right."""
    made = answer(arm, count, **given)
    tell(made, right)
    return made
