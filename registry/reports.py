"""The report that lies with a version's files: what its last evaluation showed, checked before anyone draws it."""

from __future__ import annotations

from dataclasses import dataclass, field

from common.errors import NotFoundError, ProblemError
from engine import report
from engine.report import AnyBlock
from registry.artifacts import open_file
from registry.models import ModelVersion

MAX_BYTES = 16 * 1024 * 1024
MAX_PICTURE = 8 * 1024 * 1024
# What a picture file begins with, by its type: browsers are told what is in it, not what it is called.
SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@dataclass(frozen=True)
class Report:
    """Typed blocks in their order; `problem` says in a sentence why there are none although there is a file."""

    blocks: list[AnyBlock] = field(default_factory=list)
    problem: str = ""

    def __bool__(self) -> bool:
        return bool(self.blocks or self.problem)


def report_of(version: ModelVersion) -> Report:
    """The version's report; an empty one where its recipe made none. Never raises for what is in the file."""
    size = next((entry["bytes"] for entry in version.artifact if entry["name"] == report.REPORT), None)
    if size is None:
        return Report()
    if size > MAX_BYTES:
        return Report(problem="The report is too large to be shown. It is among the files.")
    try:
        file, _ = open_file(version, report.REPORT)
        with file:
            return Report(report.read(file.read(MAX_BYTES + 1)))
    except ProblemError as error:
        return Report(problem=f"The report can't be shown. {error.message}")
    except (OSError, ValueError):
        return Report(problem="The report can't be shown: its file is damaged. It is among the files.")


def picture(version: ModelVersion, name: str) -> tuple[bytes, str]:
    """A picture of the version's files and its content type. NotFoundError when there is none of that name, or what it
    holds is no picture."""
    file, _ = open_file(version, name)
    with file:
        data = file.read(MAX_PICTURE + 1)
    kind = picture_type(data) if len(data) <= MAX_PICTURE else None
    if kind is None:
        raise NotFoundError(f"{name} is no picture that can be shown.", "Download it from the list of files.")
    return data, kind


def picture_type(data: bytes) -> str | None:
    """image/png or image/jpeg, by how the bytes begin; None for anything else."""
    return next((kind for kind, start in SIGNATURES.items() if data.startswith(start)), None)
