"""HEIC pictures, inside the sandbox."""

from __future__ import annotations

from pathlib import Path

from datasets.formats.facts import HEAD
from datasets.formats.images import heif_formats, inspect_image
from datasets.refused import Refused


def look(path: Path) -> dict[str, int | None]:
    """Width and height of a HEIC picture that decodes to its end."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        try:
            facts = inspect_image(file, head, heif_formats())
        except Refused as refused:
            if refused.code != "not_an_image":
                raise
            raise Refused("broken_image", "The HEIC picture is damaged or cut off.") from refused
    return {"width": facts.width, "height": facts.height}
