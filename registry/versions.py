"""Versions of models: how a trained result becomes one."""

from __future__ import annotations

import re
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Max, Q, QuerySet

from common.errors import ConflictError, InvalidInputError
from common.numbers import finite
from common.references import hold_store
from datasets.models import DatasetVersion, Subject
from registry.models import Model, ModelVersion

NAME_LENGTH = 200
# A file of an artifact is known by its name in the list alone; no name can lead out of a folder.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
SHA256 = re.compile(r"[0-9a-f]{64}")
# What to do about a version that may not be used, by its standing.
USE_ANOTHER = {
    "damaged": "Restore its files from a backup and have them checked again, or use another version.",
    "archived": "Take it out of the archive first, or use another version.",
    "processing": "Wait until it is ready.",
    "failed": "Use another version.",
    "deleted": "Use another version, or train it again.",
}


@transaction.atomic
def register(
    *,
    owner: AbstractBaseUser,
    model: Model | None,
    name: str,
    recipe: str,
    subject: Subject | None,
    config: dict[str, Any],
    metrics: dict[str, Any],
    artifact: list[dict[str, Any]],
    dataset_version: DatasetVersion | None,
    base_version: ModelVersion | None,
    source_job_id: int | None,
    seed: int,
    code: dict[str, Any],
    environment: dict[str, Any],
    status: ModelVersion.Status = ModelVersion.Status.READY,
) -> ModelVersion:
    """The next version of a model, in the caller's transaction.

    `model` None: the owner's line called `name` is taken or made; when another recipe or subject has that
    name, a number is put behind it. A job has one version: a second call returns the first one's.
    `artifact` lists {"name", "sha256", "bytes"} of files that lie in the store already; of a version that is still
    processing it comes later, by `fill`.
    InvalidInputError when that list is malformed.
    """
    if source_job_id is not None and (known := ModelVersion.objects.filter(source_job_id=source_job_id).first()):
        return known
    files = _checked(artifact)
    hold_store()
    line = model or _line(owner, name, recipe, subject)
    # The lock makes numbers gapless; `no_key` leaves rows that point at the model free to be written.
    line = Model.objects.select_for_update(no_key=True).get(pk=line.pk)
    return ModelVersion.objects.create(
        model=line,
        number=(line.versions.aggregate(last=Max("number"))["last"] or 0) + 1,
        status=status,
        config=finite(config),
        metrics=finite(metrics),
        artifact=files,
        byte_count=sum(entry["bytes"] for entry in files),
        dataset_version=dataset_version,
        base_version=base_version,
        source_job_id=source_job_id,
        seed=seed,
        code=finite(code),
        environment=finite(environment),
        created_by=owner,
    )


def fill(
    version_id: int,
    *,
    artifact: list[dict[str, Any]],
    metrics: dict[str, Any],
    code: dict[str, Any],
    environment: dict[str, Any],
) -> bool:
    """Make a processing version ready, in a transaction of the caller that holds the store. False when it is gone."""
    files = _checked(artifact)
    processing = ModelVersion.objects.filter(pk=version_id, status=ModelVersion.Status.PROCESSING)
    filled = processing.update(
        status=ModelVersion.Status.READY,
        artifact=files,
        byte_count=sum(entry["bytes"] for entry in files),
        metrics=finite(metrics),
        code=finite(code),
        environment=finite(environment),
    )
    return filled == 1


def usable() -> QuerySet[ModelVersion]:
    """The versions that may be used for something new: ready, with good files, and not archived."""
    ready = ModelVersion.Status.READY
    return ModelVersion.objects.filter(status=ready, archived_at=None, damaged_at=None).select_related("model")


def in_sight(rows: QuerySet[ModelVersion], but: int = 0) -> QuerySet[ModelVersion]:
    """Those that lists show unasked: neither archived nor deleted. `but` is one that stays, whatever it is."""
    return rows.filter(Q(archived_at=None) & ~Q(status=ModelVersion.Status.DELETED) | Q(pk=but))


def why_unusable(version: ModelVersion) -> str:
    """Why a version may not be used for something new, in a sentence; '' when it may."""
    match version.standing:
        case "ready":
            return ""
        case "damaged":
            return f"{version} is damaged: {version.damage}"
        case "processing":
            return f"{version} is processing: its files are not there yet."
        case standing:
            return f"{version} is {standing}."


def hold(version: ModelVersion) -> None:
    """Until the end of the present transaction the version is neither deleted nor archived. ConflictError when it may
    not be used: whoever makes a row that uses a version calls this before."""
    row = ModelVersion.objects.select_for_update(no_key=True, of=("self",)).select_related("model").get(pk=version.pk)
    if reason := why_unusable(row):
        raise ConflictError(reason, USE_ANOTHER[row.standing])


def listed() -> QuerySet[ModelVersion]:
    """Versions with everything that a list shows, in one query."""
    related = ("model__owner", "model__subject", "dataset_version__dataset", "base_version__model")
    merges = (
        "merge__created_by",
        "merge__version__model",
        "merged_by__created_by",
        "merged_by__adapter__base_version__model",
    )
    hidden = (f"{path}__password" for path in ("model__owner", "merge__created_by", "merged_by__created_by"))
    return ModelVersion.objects.select_related(*related, *merges).defer(*hidden)


def _line(owner: AbstractBaseUser, name: str, recipe: str, subject: Subject | None) -> Model:
    base = " ".join(name.split()) or recipe
    for attempt in range(1, 10_000):
        suffix = f" {attempt}" if attempt > 1 else ""
        candidate = base[: NAME_LENGTH - len(suffix)] + suffix
        line, _ = Model.objects.get_or_create(
            owner=owner, name=candidate, defaults={"recipe": recipe, "subject": subject}
        )
        if line.recipe == recipe and line.subject_id == (subject.pk if subject else None):
            return line
    raise InvalidInputError(f"All names like {base} are taken.", "Choose another name for the model.")


def _checked(artifact: list[dict[str, Any]]) -> list[dict[str, Any]]:
    files = [_checked_file(entry) for entry in artifact]
    if len({entry["name"] for entry in files}) != len(files):
        raise InvalidInputError("The artifact names a file twice.", "Give each file of the artifact its own name.")
    return files


def _checked_file(entry: dict[str, Any]) -> dict[str, Any]:
    name, digest, size = str(entry.get("name", "")), str(entry.get("sha256", "")), entry.get("bytes")
    if not FILE_NAME.fullmatch(name) or not SHA256.fullmatch(digest) or type(size) is not int or size < 0:
        raise InvalidInputError(
            f"The artifact's file {name[:100]!r} is not described as it must be.",
            "Each file has a plain name, its SHA-256 in hex and its size in bytes.",
        )
    return {"name": name, "sha256": digest, "bytes": size}
