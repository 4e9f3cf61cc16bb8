"""What a model process needs: a checked and loaded artifact, inputs as its predictor takes them."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from engine.catalogue import load, recipe
from engine.protocol import EngineError, FailureCode
from engine.rowfiles import rows_of


class Predictor(Protocol):
    """What a recipe's predictor can do once it is loaded."""

    def predict(self, inputs: list[Any], parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]: ...


def load_predictor(artifact: Path, name: str, checksums: Mapping[str, str]) -> Predictor:
    """Check an artifact's files against their SHA-256 and load it; EngineError says what is wrong."""
    kind = recipe(name)
    if kind.predictor is None:
        raise EngineError(
            FailureCode.BAD_CONFIG, f"Results of '{name}' can't be tried.", "Choose a model of another recipe."
        )
    for file, expected in checksums.items():
        _check(artifact / file, expected)
    return load(kind.predictor).load(artifact, "cpu")


def _check(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(f"{file.name} can't be read ({error.strerror}).") from error
    if actual != expected:
        raise _damaged(f"{file.name} is not what was saved.")


def _damaged(reason: str) -> EngineError:
    return EngineError(
        FailureCode.DAMAGED,
        f"The model's files are damaged: {reason}",
        "Restore them from a backup, or train the model again.",
    )


def inputs_of(header: dict[str, Any], parts: list[bytes], takes_rows: bool) -> list[Any]:
    """The inputs in their order: texts stand in the header, each null stands for the next binary part; tables come as
    files of rows."""
    rest = iter(parts)
    try:
        inputs = [next(rest) if given is None else str(given) for given in header["inputs"]]
    except (KeyError, TypeError, StopIteration):
        raise EngineError(FailureCode.BAD_DATA, "The request's inputs are not complete.", "Send it again.") from None
    if not takes_rows:
        return inputs
    files = [given if isinstance(given, bytes) else given.encode() for given in inputs]
    return [rows_of(file, number) for number, file in enumerate(files)]


def explain(error: Exception) -> dict[str, str]:
    """An error as the client gets it."""
    if isinstance(error, EngineError):
        return {"code": error.code, "message": error.message, "hint": error.hint}
    traceback.print_exception(error)
    return {
        "code": FailureCode.CODE_ERROR,
        "message": f"The model failed: {type(error).__name__}: {error}",
        "hint": "The traceback stands in the log of the node.",
    }
