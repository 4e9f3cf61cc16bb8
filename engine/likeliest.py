"""What predictors that name classes answer, and how they refuse an input."""

from __future__ import annotations

from typing import Any

import torch

from engine.protocol import EngineError, FailureCode

SHOWN = 10  # classes that are named with their probability


def ranked(classes: list[str], probabilities: torch.Tensor) -> dict[str, Any]:
    """{"label", "confidence", "probabilities": {class: p}} of one input, from probabilities of shape (classes,) on the
    CPU: the ten likeliest classes, likeliest first."""
    values, places = probabilities.topk(min(SHOWN, len(classes)))
    named = {classes[i]: round(v, 6) for v, i in zip(values.tolist(), places.tolist(), strict=True)}
    label = classes[int(places[0])]
    return {"label": label, "confidence": named[label], "probabilities": named}


def file_of(data: Any, number: int, hint: str) -> bytes:
    """The bytes of an input; EngineError BAD_DATA when it is something else."""
    if not isinstance(data, bytes):
        raise unusable(number, "it is not a file", hint)
    return data


def unusable(number: int, reason: str, hint: str) -> EngineError:
    """The failure of an input, counted from 0."""
    return EngineError(FailureCode.BAD_DATA, f"Input {number + 1} can't be classified: {reason}.", hint)


def no_parameters(parameters: dict[str, Any] | None, what: str) -> None:
    """EngineError BAD_CONFIG when there are any."""
    if parameters:
        raise EngineError(FailureCode.BAD_CONFIG, f"{what} takes no parameters.", "Send none.")
