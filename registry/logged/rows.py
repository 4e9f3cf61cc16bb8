"""From a request and its answers to rows of the log: of a table one for each row, else one for each output."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser

from common.identifiers import moment_of, uuid7
from common.wording import storable
from engine import catalogue, rowfiles
from engine.predict import Given
from engine.protocol import EngineError
from registry.logged import features
from registry.logged.bounded import bounded, digest_of
from registry.logged.policies import Keep, Policy
from registry.routing import Choice

MAX_ROWS = 1_000  # of the tables of one request
MAX_TABLE = 4 << 20  # bytes: a longer file is not looked into
BLOCK = 0xFFF  # the rows of a table have ids that follow the one of its output


@dataclass(frozen=True)
class Asked:
    """Who asked a model for what."""

    user: AbstractBaseUser
    inputs: Sequence[Given]
    parameters: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    group: str = ""
    subject: int | None = None


class Row(NamedTuple):
    """A prediction as it is written: plain values, in the order of the columns."""

    id: str
    at: str
    model_id: int
    version_id: int
    arm_id: int | None
    shadow_of: str | None
    user_id: int | None
    subject_id: int | None
    key: str
    group: str
    input_hash: str
    input: str | None  # as JSON, as the next two
    features: str
    output: str | None
    label: str
    score: float | None
    latency_ms: float
    error: str


def new_ids(count: int) -> list[UUID]:
    """An id for each output, with room behind it for the rows of a table."""
    return [UUID(int=uuid7().int & ~BLOCK) for _ in range(count)]


def row_ids(ids: Sequence[UUID], outputs: Sequence[Mapping[str, Any]]) -> tuple[list[list[UUID]], int]:
    """(the ids of the rows of each output that is a table, [] of others; how many rows have none).

    The first row has the id of its output. A request has ids for its first thousand rows.
    """
    left = MAX_ROWS
    found: list[list[UUID]] = []
    beyond = 0
    for made, output in zip(ids, outputs, strict=False):
        rows = len(table_of(output) or ())
        taken = min(rows, left)
        found.append([UUID(int=made.int + number) for number in range(taken)])
        left, beyond = left - taken, beyond + rows - taken
    return found, beyond


def table_of(output: Mapping[str, Any]) -> list[Any] | None:
    """The rows of an answer to a table; None for an answer that is one thing, as a forecast is."""
    rows = output.get("rows")
    return rows if isinstance(rows, list) else None


def rows_of(
    asked: Asked, choice: Choice, ids: Sequence[UUID], outputs: Sequence[Mapping[str, Any]], latency_ms: float,
    policy: Policy, shadow_of: Sequence[UUID] = (), error: str = "",
) -> list[Row]:  # fmt: skip
    """The rows that the policy takes. Without outputs, `error` says why, and there is a row for each input."""
    always = choice.arm is not None or bool(shadow_of)
    recipe = catalogue.RECIPES.get(choice.version.model.recipe)
    takes, modality = (recipe.takes, recipe.modality) if recipe else ("text", None)
    key = hashlib.sha256(asked.key.encode("utf-8", "replace")).hexdigest() if asked.key else ""
    made: list[Row] = []
    for entry in _entries(asked.inputs, ids, outputs, takes, shadow_of):
        if not always and not policy.takes(entry.id):
            continue
        told = features_of(entry.given, takes, modality, policy.keep)
        output = entry.output or {}
        if output.get("confidence") is not None:
            told["confidence"] = output["confidence"]
        label, score = said(output)
        made.append(Row(
            id=str(entry.id), at=moment_of(entry.id).isoformat(), model_id=choice.version.model_id,
            version_id=choice.version.pk, arm_id=choice.arm.pk if choice.arm else None,
            shadow_of=str(entry.shadow_of) if entry.shadow_of else None, user_id=asked.user.pk,
            subject_id=asked.subject, key=key, group=storable(asked.group)[:100],
            input_hash="" if policy.keep == Keep.NONE else _hash(entry.given),
            input=_json(_kept(entry.given, takes)) if policy.keep == Keep.FULL else None,
            features=_json(bounded(told)), output=_json(_output(output, policy.keep)) if output else None,
            label=storable(label)[:200], score=score, latency_ms=latency_ms, error=storable(error)[:300],
        ))  # fmt: skip
    return made


def said(output: Mapping[str, Any]) -> tuple[str, float | None]:
    """(the class that an answer names or '', how sure it is of it or the number that it gives)."""
    if "label" in output:
        return str(output["label"]), _number(output.get("confidence"))
    if "is_anomaly" in output:
        return "anomaly" if output["is_anomaly"] else "normal", _number(output.get("score"))
    if isinstance(steps := output.get("forecast"), list):
        first = steps[0] if steps else {}
        return "", _number(first.get("value")) if isinstance(first, dict) else None
    return "", _number(output.get("value"))


def features_of(given: Given | dict[str, Any] | None, takes: str, modality: str | None, keep: str) -> dict[str, Any]:
    """What tells drift of one input. `given` is a row of a table; None and others tell nothing there."""
    if takes == "rows":
        return features.of_row(given, keep) if isinstance(given, dict) else {}
    if takes == "file" and isinstance(given, str | bytes):
        return features.of_file(_bytes_of(given), modality)
    if isinstance(given, bytes):
        given = given.decode("utf-8", "replace")
    return features.of_text(given) if isinstance(given, str) else {}


class _Entry(NamedTuple):
    id: UUID
    given: Any
    output: Mapping[str, Any] | None
    shadow_of: UUID | None


def _entries(
    inputs: Sequence[Given], ids: Sequence[UUID], outputs: Sequence[Mapping[str, Any]], takes: str,
    shadow_of: Sequence[UUID],
) -> Iterator[_Entry]:  # fmt: skip
    rows, _ = row_ids(ids, outputs)
    for number, made in enumerate(ids):
        given = inputs[number] if number < len(inputs) else None
        output = outputs[number] if number < len(outputs) else None
        whose = shadow_of[number] if number < len(shadow_of) else None
        answers = table_of(output) if output is not None else None
        if answers is None:
            yield _Entry(made, given if takes != "rows" else None, output, whose)
            continue
        table = _rows_in(given) if rows[number] else []
        for place, row_id in enumerate(rows[number]):
            answer = answers[place] if isinstance(answers[place], dict) else {"value": answers[place]}
            of_shadow = UUID(int=whose.int + place) if whose else None
            yield _Entry(row_id, table[place] if place < len(table) else None, answer, of_shadow)


def _rows_in(given: Any) -> list[dict[str, Any]]:
    """The rows of a table that was sent; none of a file that only the model's own process reads."""
    if isinstance(given, list):
        return given
    data = given.encode("utf-8", "replace") if isinstance(given, str) else given
    if not isinstance(data, bytes) or data.startswith(b"PAR1") or len(data) > MAX_TABLE:
        return []
    try:
        return rowfiles.rows_of(data)
    except EngineError:
        return []


def _kept(given: Any, takes: str) -> Any:
    """The input as the log keeps it in full: files by their hash and size, since no log holds files."""
    if takes == "file" and isinstance(given, str | bytes):
        data = _bytes_of(given)
        return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return bounded(given.decode("utf-8", "replace") if isinstance(given, bytes) else given)


def _output(output: Mapping[str, Any], keep: str) -> Any:
    """The answer as it is kept: one in words may repeat what was asked, so it stays only where that may."""
    if keep != Keep.FULL:
        output = {name: digest_of(value) if name in TEXTS and isinstance(value, str) else value
                  for name, value in output.items()}  # fmt: skip
    return bounded(output)


TEXTS = ("text", "completion", "prompt")


def _hash(given: Any) -> str:
    if given is None:
        return ""
    data = given if isinstance(given, bytes) else given.encode("utf-8", "replace") if isinstance(given, str) else None
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode() if data is None else data).hexdigest()


def _bytes_of(given: str | bytes) -> bytes:
    """A file that came as its bytes, or as base64 with or without a data-URL in front."""
    if isinstance(given, bytes):
        return given
    try:
        return base64.b64decode(given.partition(",")[2] if given.startswith("data:") else given)
    except (binascii.Error, ValueError):
        return b""


def _number(value: Any) -> float | None:
    sure = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if sure else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
