"""Predictions as answering leaves them, without a model."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from common import identifiers
from registry.logged import rows, writing
from registry.models import Prediction
from registry.routing import Choice
from tests.world import make_version

CAT = {"label": "cat", "confidence": 0.9, "probabilities": {"cat": 0.9, "dog": 0.1}}


def classifier(owner, name="Sorter", **wanted):
    return make_version(owner, name, "text-classification", **wanted)


def regressor(owner, name="Pricer", **wanted):
    return make_version(owner, name, "table-baseline", **wanted)


def asked(user, *inputs, **wanted):
    return writing.Asked(user, list(inputs), **wanted)


def logged(version, user, output=CAT, given="a text", arm=None, latency_ms=12.5, shadow_of=None, error="", **wanted):
    """One prediction in the log."""
    ids = writing.write(
        asked(user, given, **wanted), Choice(version, arm), [] if error else [output], latency_ms,
        shadow_of=shadow_of, error=error,
    )  # fmt: skip
    return Prediction.objects.get(pk=ids[0])


def at(monkeypatch, moment: datetime) -> None:
    """Predictions that are made from here on were made then."""
    base = identifiers.least_at(moment).int

    def made() -> UUID:
        return UUID(int=base | identifiers.uuid7().int & ((1 << 80) - 1))

    monkeypatch.setattr(rows, "uuid7", made)
