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
# Files that come in piece by piece: one file, one piece, all open ones of a person, and how long they wait.
MAX_UPLOADED_FILE_BYTES = _limit("MAX_UPLOADED_FILE_BYTES", 64 * GIB)
MAX_PIECE_BYTES = _limit("MAX_PIECE_BYTES", 8 * MIB)  # no more than `common.doorstep.SMALL`
MAX_OPEN_UPLOADS = _limit("MAX_OPEN_UPLOADS", 10_000)
MAX_OPEN_UPLOAD_BYTES = _limit("MAX_OPEN_UPLOAD_BYTES", 256 * GIB)
MAX_UPLOAD_SECONDS = _limit("MAX_UPLOAD_SECONDS", 24 * 3600)  # without a piece
# What is fetched from elsewhere by one import, and how long that may take.
MAX_SOURCE_BYTES = _limit("MAX_SOURCE_BYTES", 64 * GIB)
MAX_OPEN_SOURCES = _limit("MAX_OPEN_SOURCES", 20)  # such imports of one person that wait or run
MAX_SOURCE_SECONDS = _limit("MAX_SOURCE_SECONDS", 12 * 3600)
# One import, archives opened.
MAX_FILES = _limit("MAX_FILES", 120_000)  # a hundred thousand, and the folders they lie in
MAX_UNPACKED_BYTES = _limit("MAX_UNPACKED_BYTES", 20 * GIB)
# How much larger an archive may become; small archives of repetitive texts pass below RATIO_FREE_BYTES.
MAX_RATIO = _limit("MAX_RATIO", 100)
RATIO_FREE_BYTES = _limit("RATIO_FREE_BYTES", 16 * MIB)
MAX_DIRECTORY_BYTES = _limit("MAX_DIRECTORY_BYTES", 32 * MIB)  # the list of files inside a zip

MAX_IMAGE_BYTES = _limit("MAX_IMAGE_BYTES", 64 * MIB)
MAX_PIXELS = _limit("MAX_PIXELS", 40_000_000)
MAX_TEXT_BYTES = _limit("MAX_TEXT_BYTES", GIB)

MAX_MEDIA_BYTES = _limit("MAX_MEDIA_BYTES", 8 * GIB)  # one recording or video
MAX_MEDIA_SECONDS = _limit("MAX_MEDIA_SECONDS", 12 * 3600)  # that it plays
MAX_FRAME_PIXELS = _limit("MAX_FRAME_PIXELS", 9_500_000)  # of a video: 4096 x 2304 and a little
MAX_DECODE_SECONDS = _limit("MAX_DECODE_SECONDS", 1800)  # that looking at one file may take
MAX_DECODER_BYTES = _limit("MAX_DECODER_BYTES", 3 * GIB)  # address space of the process that opens files

MAX_ROWS_BYTES = _limit("MAX_ROWS_BYTES", 16 * GIB)  # one file of rows
MAX_ROWS = _limit("MAX_ROWS", 5_000_000)  # that one file may add as items
MAX_ROW_BYTES = _limit("MAX_ROW_BYTES", MIB)
MAX_TABLE_BYTES = _limit("MAX_TABLE_BYTES", 16 * GIB)
MAX_WORKBOOK_BYTES = _limit("MAX_WORKBOOK_BYTES", 256 * MIB)  # unpacked; read as a whole
MAX_COLUMNS = _limit("MAX_COLUMNS", 2_000)
MAX_LABELS_BYTES = _limit("MAX_LABELS_BYTES", 64 * MIB)  # all lists of labels and captions of one import
MAX_CAPTION_BYTES = _limit("MAX_CAPTION_BYTES", 64 * 1024)
MAX_REFUSALS = _limit("MAX_REFUSALS", 20_000)  # of one import, each with its reason; the others are counted

MAX_NAME = 500  # characters of a path, as the columns hold them
MAX_LABEL = 200
MAX_DEPTH = 32  # folders in a path inside an archive

PREVIEW_PIXELS = 256
PREVIEW_CHARACTERS = 2_000
