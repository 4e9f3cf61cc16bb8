"""Whether a version's files are still what was trained: noted when they are found to be others, and checked again."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from common.errors import ConflictError
from common.files import store
from common.push import publish
from registry.models import ModelVersion
from registry.paths import laid_out


def note_damage(version: ModelVersion, reason: str) -> bool:
    """Mark a version whose bytes were found to be others; it is used for nothing until `recheck` finds them right.
    False when it was marked before: whoever finds it first tells it."""
    with transaction.atomic():
        ready = ModelVersion.objects.filter(pk=version.pk, status=ModelVersion.Status.READY, damaged_at=None)
        if not ready.update(damaged_at=Now(), damage=reason[:300]):
            return False
        audit.write(None, "found damaged", version, reason=reason[:300])
        publish(f"version.{version.pk}")
    version.refresh_from_db(fields=["damaged_at", "damage"])
    return True


def recheck(version: ModelVersion, by: AbstractBaseUser) -> list[str]:
    """Read all files of a version again: what is wrong with them, a sentence each; [] when they are right, which takes
    its mark away. A folder with other bytes is made anew from the store. ConflictError when it has no files."""
    if not version.artifact:
        raise ConflictError(f"{version} has no files.", "Choose a version that has some.")
    found = problems(version)
    if found or problems_laid_out(version):
        shutil.rmtree(laid_out(version.pk), ignore_errors=True)
    if found:
        note_damage(version, " ".join(found))
    else:
        _clear(version, by)
    version.refresh_from_db(fields=["damaged_at", "damage"])
    return found


def problems(version: ModelVersion) -> list[str]:
    """What is wrong with a version's files in the store. Reads them all."""
    wrong = [entry["name"] for entry in version.artifact if not store().verify(entry["sha256"])]
    return [f"{name} is not what was saved, or is missing." for name in wrong]


def problems_laid_out(version: ModelVersion) -> list[str]:
    """What is wrong with the files that lie in the folder of a version, if there is one. The store's very files, which
    `problems` reads, are not read again."""
    wrong = []
    for entry in version.artifact:
        source, copy = store().path(entry["sha256"]), laid_out(version.pk) / entry["name"]
        if copy.exists() and not (source.exists() and copy.samefile(source)) and _sha256(copy) != entry["sha256"]:
            wrong.append(f"{entry['name']} is not what was saved.")
    return wrong


def _clear(version: ModelVersion, by: AbstractBaseUser) -> None:
    with transaction.atomic():
        marked = ModelVersion.objects.filter(pk=version.pk, damaged_at__isnull=False)
        if marked.update(damaged_at=None, damage=""):
            audit.write(by, "found whole", version)
            publish(f"version.{version.pk}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
