"""Asking a model in earnest: somebody answers, and what was answered is put down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from common.errors import UnavailableError
from registry import prediction, routing, shadows
from registry.logged import writing
from registry.logged.writing import Asked
from registry.models import Model, ModelVersion
from registry.models.aliases import Name
from registry.routing import Choice


@dataclass(frozen=True)
class Answer:
    outputs: list[dict[str, Any]]  # one for each input, in order
    version: ModelVersion
    latency_ms: float
    predictions: list[UUID]  # by which feedback and the truth can be sent later


def ask_model(model: Model, asked: Asked, alias: str = Name.CHAMPION) -> Answer:
    """The answer of whichever version's turn it is. Raises what `routing.choose` and `prediction.predict` raise."""
    return _answer(routing.choose(model, asked.key, alias), asked)


def ask_version(version: ModelVersion, asked: Asked) -> Answer:
    """The answer of one version, whatever names it has."""
    return _answer(Choice(version), asked)


def _answer(choice: Choice, asked: Asked) -> Answer:
    started = time.monotonic()
    try:
        made = prediction.predict(choice.version, list(asked.inputs), asked.parameters)
    except UnavailableError as problem:
        took = round((time.monotonic() - started) * 1000, 1)
        writing.write(asked, choice, [], took, error=problem.message)
        raise
    ids = writing.write(asked, choice, made.outputs, made.latency_ms)
    shadows.send(choice, asked, ids)
    return Answer(made.outputs, choice.version, made.latency_ms, ids)
