"""A first prediction that nobody asked for: libraries load parts of themselves at first use."""

from __future__ import annotations

import io
import wave
from contextlib import suppress
from typing import Any

from engine.recipe import Recipe


def warm_up(predictor: Any, kind: Recipe) -> None:
    """Let a predictor answer something small, where that can be made up; whatever comes of it is forgotten."""
    with suppress(Exception):
        given, parameters = _small(predictor, kind)
        if given is not None:
            predictor.predict([given], parameters)


def _small(predictor: Any, kind: Recipe) -> tuple[Any, dict[str, Any]]:
    """An input and parameters; None where there is nothing small."""
    match kind.takes, kind.modality:
        case "text", _:
            if kind.output == "image":
                return None, {}  # a picture takes many steps
            return "a", {"max_new_tokens": 1} if kind.output == "text" else {}
        case "rows", _:
            return _row(predictor), {}
        case "file", "image":
            return _picture(), {}
        case "file", "audio":
            return _sound(), {}
    return None, {}


def _row(predictor: Any) -> list[dict[str, Any]] | None:
    """A row without values of the columns that the model knows."""
    encoder = getattr(predictor, "encoder", None)
    columns = list(encoder.kinds) if encoder else getattr(predictor, "columns", None)
    return [dict.fromkeys(columns)] if isinstance(columns, list) and not getattr(predictor, "time", "") else None


def _picture() -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


def _sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(8000)
        made.writeframes(b"\0\0" * 8000)
    return file.getvalue()
