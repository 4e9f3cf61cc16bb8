"""Putting versions away, and deleting their files for good.

What is archived is out of sight and is used for nothing new. What is deleted gives its files back to the disk; that it
was, and what was made from it, stays. Both are refused while the version is in use, in the words of those who use it:
rooms above register what they use (`register_use`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from accounts import audit
from common.errors import ConflictError, NotFoundError
from common.files import store
from common.push import publish
from common.references import needed, remove_unreferenced
from registry import artifacts
from registry.models import Alias, Deployment, Merge, Model, ModelVersion, RouteArm
from registry.paths import laid_out

Use = Callable[[ModelVersion], list[str]]
DAY = 24 * 3600.0
MARKER = ".artifacts-collected"  # in the home: when folders of deleted versions were last looked for
SHOWN = 5  # names in a sentence

_uses: list[Use] = []


def register_use(use: Use) -> None:
    """`use` gives sentences that say what of its room uses a version's files now; [] when nothing does."""
    if use not in _uses:
        _uses.append(use)


def archive(version: ModelVersion, by: AbstractBaseUser) -> ModelVersion:
    """Put a version out of sight; it keeps its files. ConflictError while it is in use. Twice changes nothing."""
    with transaction.atomic():
        row = _locked(version)
        if row.archived_at:
            return row
        if row.status != ModelVersion.Status.READY:
            raise ConflictError(f"{row} is {row.standing}.", "Only a ready version can be archived.")
        _refuse(row, "archived", offices(row))
        ModelVersion.objects.filter(pk=row.pk).update(archived_at=Now())
        return _told(row, "archived", by)


def unarchive(version: ModelVersion, by: AbstractBaseUser) -> ModelVersion:
    """Bring an archived version back. Twice changes nothing."""
    with transaction.atomic():
        row = _locked(version)
        if not row.archived_at:
            return row
        if row.status == ModelVersion.Status.DELETED:
            raise ConflictError(f"{row} was deleted: its files are gone.", "Train it again, or use another version.")
        ModelVersion.objects.filter(pk=row.pk).update(archived_at=None)
        return _told(row, "unarchived", by)


def delete(version: ModelVersion, by: AbstractBaseUser) -> int:
    """Delete a version's files for good; returns how many bytes of the disk are free by that: those of files that
    nobody else needs. ConflictError, which names who, while it is in use. Deleted again it frees nothing."""
    with transaction.atomic():
        row = _locked(version)
        addresses = [entry["sha256"] for entry in [*row.artifact, *exported(row)]]
        if row.status != ModelVersion.Status.DELETED:
            _refuse(row, "deleted", [*offices(row), *uses(row)])
            ModelVersion.objects.filter(pk=row.pk).update(
                status=ModelVersion.Status.DELETED, artifact=[], byte_count=0, damaged_at=None, damage=""
            )
            row.exports.all().delete()
            _told(row, "deleted", by, bytes=row.byte_count, files=row.artifact)
    # Its links into the store go first: as long as there is one, the disk is not free.
    shutil.rmtree(laid_out(row.pk), ignore_errors=True)
    return remove_unreferenced(store(), sorted(set(addresses)))


def freed_by(version: ModelVersion) -> int:
    """How many bytes of the disk deleting a version would free, as things are now."""
    sizes = {entry["sha256"]: entry["bytes"] for entry in version.artifact}
    shared = artifacts.needed_by_others(version.pk, list(sizes)) | needed(list(sizes), but=artifacts.needed)
    own = sum(size for sha256, size in sizes.items() if sha256 not in shared)
    return own + sum(entry["bytes"] for entry in exported(version))


def exported(version: ModelVersion) -> list[dict[str, Any]]:
    """The files of a version in other formats."""
    return [entry for files in version.exports.values_list("files", flat=True) for entry in files]


def offices(version: ModelVersion) -> list[str]:
    """What a version answers for now, a sentence each: names, deployments, tests."""
    names = Alias.objects.filter(version=version)
    found = [f"It is the {alias.name} of its model." for alias in names]
    if Deployment.objects.filter(version=version, ended_at=None).exists():
        found.append("It is deployed.")
    if RouteArm.objects.filter(version=version, route__ended_at=None).exists():
        found.append("It takes part in a test that is running.")
    return found


def uses(version: ModelVersion) -> list[str]:
    """Who needs a version's files now, a sentence each: adapters on it, merges, and what rooms above say."""
    found = []
    if version.status == ModelVersion.Status.PROCESSING:
        found.append("It is still being made.")
    merging = Merge.objects.filter(adapter=version, status__in=Merge.OPEN).select_related("version__model")
    found += [f"It is being merged into its base as {merge.version}." for merge in merging]
    if above := adapters(version):
        names = ", ".join(map(str, above[:SHOWN])) + (f" and {len(above) - SHOWN} more" if len(above) > SHOWN else "")
        found.append(f"It is the base that {names} can't do without.")
    return [*found, *(sentence for use in _uses for sentence in use(version))]


def adapters(version: ModelVersion) -> list[ModelVersion]:
    """Versions that hold only what was added to this one, so that they are nothing without its files."""
    children = ModelVersion.objects.filter(base_version=version).exclude(artifact=[]).select_related("model")
    whole = artifacts.WEIGHTS
    return [one for one in children.order_by("pk") if all(entry["name"] != whole for entry in one.artifact)]


def sweep() -> bool:
    """Once a day remove folders of deleted versions: whoever deleted them may have died before. Cheap enough to be
    called every few seconds."""
    root = Path(settings.TRAINHUB_HOME) / "artifacts"
    marker = root.parent / MARKER
    with suppress(FileNotFoundError):
        if time.time() - marker.stat().st_mtime < DAY:
            return False
    marker.touch()
    with suppress(FileNotFoundError):
        found = {int(path.name) for path in root.iterdir() if path.name.isdecimal()}
        kept = ModelVersion.objects.filter(pk__in=found).exclude(status=ModelVersion.Status.DELETED)
        for pk in found - set(kept.values_list("pk", flat=True)):
            shutil.rmtree(laid_out(pk), ignore_errors=True)
    return True


def _locked(version: ModelVersion) -> ModelVersion:
    """The row, for which whoever gives it a name, or points at it in any way, waits now."""
    Model.objects.select_for_update(no_key=True).filter(pk=version.model_id).first()
    # Also against keys: a row that points here, and is not committed yet, is seen once this has the lock.
    row = ModelVersion.objects.select_for_update(of=("self",)).select_related("model__owner").filter(pk=version.pk)
    found = row.first()
    if found is None:
        raise NotFoundError(f"{version} is gone.", "Go back to the list of models.")
    return found


def _refuse(row: ModelVersion, what: str, reasons: list[str]) -> None:
    if reasons:
        hint = "End that first: undeploy it, give its name to another version, or wait until what uses it has ended."
        raise ConflictError(f"{row} can't be {what}. {' '.join(reasons)}", hint, reasons=reasons)


def _told(row: ModelVersion, verb: str, by: AbstractBaseUser, **details: object) -> ModelVersion:
    audit.write(by, verb, row, **details)
    publish(f"version.{row.pk}")
    row.refresh_from_db()
    return row
