"""Folders of the server that may be imported from: those below the roots that the administrator named, no others."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from common.errors import InvalidInputError


def allowed() -> list[Path]:
    """The roots that are there, without links."""
    return [Path(root).resolve() for root in settings.TRAINHUB_IMPORT_ROOTS if Path(root).is_dir()]


def find(path: Path) -> Path:
    """The path without links, when it lies below a root. One answer for all others, so that nothing is told of them."""
    if path.is_absolute() and "\x00" not in str(path):
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):
            real = None
        if real is not None and is_below(real):
            return real
    raise _refused()


def is_below(real: Path) -> bool:
    return any(real == root or root in real.parents for root in allowed())


def open_folder(path: Path) -> int:
    """A descriptor of the folder, which is checked again by what it turned out to be. InvalidInputError otherwise."""
    descriptor = os.open(find(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not is_below(Path(os.readlink(f"/proc/self/fd/{descriptor}"))):
        os.close(descriptor)
        raise _refused()
    return descriptor


def open_below(folder: int, relative: str) -> int:
    """A descriptor of a file below a folder, opened step by step, so that no link is followed anywhere. OSError."""
    *parents, name = relative.split("/")
    current = os.dup(folder)
    try:
        for part in parents:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=current)
            os.close(current)
            current = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=current)
    finally:
        os.close(current)


def _refused() -> InvalidInputError:
    return InvalidInputError(
        "There is no such folder that may be imported from.", _hint(), fields={"origin.path": ["Not found."]}
    )


def _hint() -> str:
    roots = settings.TRAINHUB_IMPORT_ROOTS
    if not roots:
        return "An administrator can allow folders by TRAINHUB_IMPORT_ROOTS."
    return f"Give the full path of a folder below {' or '.join(roots)}."
