"""Folders of files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path

from engine.protocol import EngineError, FailureCode

TEMPORARY = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that no more can be written: disk, quota or file size limit."""
    return isinstance(error, OSError) and error.errno in _FULL


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_folder(target: Path, files: dict[str, bytes]) -> None:
    """Write a folder of files so that a crash at any moment leaves the old state or the new one.

    Temporary name, sync of each file and of the folder, rename, sync of the parent. EngineError DISK_FULL
    when there is no room; then nothing is left of the attempt and nothing else has changed.
    """
    temporary = target.parent / f"{TEMPORARY}{target.name}-{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        for name, data in files.items():
            _write_file(temporary / name, data)
        _sync_folder(temporary)
        remove_folder(target)
        os.rename(temporary, target)
        _sync_folder(target.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if is_disk_full(error):
            raise disk_full(error) from error
        raise


def disk_full(error: BaseException) -> EngineError:
    """The failure to report when a write found no room."""
    return EngineError(
        FailureCode.DISK_FULL,
        f"The disk is full: {error}.",
        "Free some space and retry the job: it goes on from its last checkpoint.",
    )


def remove_folder(folder: Path) -> None:
    """Remove a folder so that no half of it can be taken for a whole one; absent is fine."""
    if not folder.exists():
        return
    trash = folder.parent / f"{TEMPORARY}old-{folder.name}-{os.getpid()}"
    os.rename(folder, trash)
    shutil.rmtree(trash, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Remove what an interrupted write or removal left in a folder; absent is fine."""
    for leftover in parent.glob(f"{TEMPORARY}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_file(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
