"""What pages, API and admin do with a version: the verbs, each behind the question whether this person may."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser

from common.background import enqueue
from registry import exporting, integrity, removal
from registry.access import require_owner
from registry.models import Export, ModelVersion

AT_ONCE = 2 << 30  # bytes that are read while somebody waits: a few seconds


def archive(version: ModelVersion, by: AbstractBaseUser) -> ModelVersion:
    require_owner(by, version.model, "archive versions")
    return removal.archive(version, by)


def unarchive(version: ModelVersion, by: AbstractBaseUser) -> ModelVersion:
    require_owner(by, version.model, "archive versions")
    return removal.unarchive(version, by)


def delete(version: ModelVersion, by: AbstractBaseUser) -> int:
    """The bytes of the disk that are free by that."""
    require_owner(by, version.model, "delete versions")
    return removal.delete(version, by)


def export(version: ModelVersion, by: AbstractBaseUser) -> Export:
    """Have it exported as ONNX; whoever sees a version may have it."""
    return exporting.start(version, by)


def verify(version: ModelVersion, by: AbstractBaseUser) -> list[str] | None:
    """What is wrong with a version's files; None when they are many, and are read in the background."""
    require_owner(by, version.model, "check the files")
    if version.byte_count > AT_ONCE:
        enqueue("registry.tasks.recheck", version.pk, by.pk)
        return None
    return integrity.recheck(version, by)
