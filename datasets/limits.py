"""What may come in, and how much. Each limit can be changed by an environment variable of its name.

For example TRAINHUB_MAX_UPLOAD_BYTES. Sizes are bytes. All are counted while streaming, never taken from headers alone.
"""

from __future__ import annotations

import os

MIB = 1 << 20
GIB = 1 << 30


def _limit(name: str, default: int) -> int:
    return int(os.environ.get(f"TRAINHUB_{name}", default))


# One request, all its files together.
MAX_UPLOAD_BYTES = _limit("MAX_UPLOAD_BYTES", 4 * GIB)
# One import, archives opened.
MAX_FILES = _limit("MAX_FILES", 100_000)
MAX_UNPACKED_BYTES = _limit("MAX_UNPACKED_BYTES", 20 * GIB)
# How much larger an archive may become; small archives of repetitive texts pass below RATIO_FREE_BYTES.
MAX_RATIO = _limit("MAX_RATIO", 100)
RATIO_FREE_BYTES = _limit("RATIO_FREE_BYTES", 16 * MIB)
MAX_DIRECTORY_BYTES = _limit("MAX_DIRECTORY_BYTES", 32 * MIB)  # the list of files inside a zip

MAX_IMAGE_BYTES = _limit("MAX_IMAGE_BYTES", 64 * MIB)
MAX_PIXELS = _limit("MAX_PIXELS", 40_000_000)
MAX_TEXT_BYTES = _limit("MAX_TEXT_BYTES", GIB)

MAX_NAME = 500  # characters of a path, as the columns hold them
MAX_LABEL = 200
MAX_DEPTH = 32  # folders in a path inside an archive

PREVIEW_PIXELS = 256
PREVIEW_CHARACTERS = 2_000
