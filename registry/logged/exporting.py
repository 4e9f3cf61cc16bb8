"""Logged predictions as a file: CSV or a JSON object a line, sent piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, StreamingHttpResponse

from common.downloads import download
from common.pages import csv_response
from registry.logged.browsing import Wanted, every
from registry.models import Outcome, Prediction

FORMATS = ("csv", "jsonl")
COLUMNS = (
    "id", "at", "model", "version", "arm", "shadow_of", "group", "subject", "user", "label", "score", "latency_ms",
    "error", "truth", "correct", "off_by", "value", "told_at", "input_hash",
)  # fmt: skip


def response(request: HttpRequest, asked: Wanted, form: str) -> StreamingHttpResponse:
    """All predictions that fit, newest first. JSON lines hold features, input and output too."""
    name = f"predictions-of-model-{asked.model.pk}"
    if form == "csv":
        return csv_response(request, name, COLUMNS, (_cells(row) for row in every(asked)))
    return download(request, _lines(asked), "application/x-ndjson; charset=utf-8", f"{name}.jsonl")


def flat(row: Prediction) -> dict[str, Any]:
    """A prediction and its outcome by the names of the columns."""
    told = outcome_of(row)
    return {
        "id": str(row.pk), "at": row.at.isoformat(), "model": row.model_id, "version": row.version.number,
        "arm": row.arm.name if row.arm else None, "shadow_of": str(row.shadow_of) if row.shadow_of else None,
        "group": row.group, "subject": row.subject_id, "user": row.user.get_username() if row.user else None,
        "label": row.label, "score": row.score, "latency_ms": row.latency_ms, "error": row.error,
        "truth": told.truth if told else None, "correct": told.correct if told else None,
        "off_by": told.error if told else None, "value": told.value if told else None,
        "told_at": told.at.isoformat() if told else None, "input_hash": row.input_hash,
    }  # fmt: skip


def outcome_of(row: Prediction) -> Outcome | None:
    return getattr(row, "outcome", None)


def _cells(row: Prediction) -> list[Any]:
    values = flat(row)
    values["truth"] = json.dumps(values["truth"]) if isinstance(values["truth"], list) else values["truth"]
    return [values[name] for name in COLUMNS]


def _lines(asked: Wanted) -> Iterator[str]:
    for row in every(asked, whole=True):
        whole = flat(row) | {"features": row.features, "input": row.input, "output": row.output}
        yield json.dumps(whole, ensure_ascii=False) + "\n"
