"""An item's bytes, as they were when it was imported; damage on the disk is told apart from what can't be decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from common.files import CHUNK, store
from datasets.models import Item


class DamagedError(Exception):
    """The file's bytes are not those that its address names."""


def opened(item: Item, beat: Callable[[], None]) -> BinaryIO:
    """The item's file, open at its start, after its bytes were compared with its address.

    NotFoundError when it is missing, DamagedError when it was changed.
    """
    file = store().open(item.sha256)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        beat()
    if digest.hexdigest() != item.sha256:
        file.close()
        raise DamagedError
    file.seek(0)
    return file
