"""The files of a version: downloaded one by one, or laid out as a folder that a model process can load."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.db import connection

from common.errors import ConflictError, NotFoundError, UnavailableError
from common.files import disk_full_in_words, store
from registry import paths
from registry.integrity import note_damage
from registry.models import ModelVersion

WEIGHTS = "model.safetensors"  # a result that has these needs no other


def with_bases(version: ModelVersion) -> Path:
    """The version's folder, with those of the versions that it needs beside it: an adapter holds only what was added to
    its base. Raises what `materialise` raises, and ConflictError when one of them is damaged."""
    if base := damaged_base(version):
        hint = f"Restore the files of {base} from a backup and have them checked again, or use another version."
        raise ConflictError(f"{version} can't do without {base}, which is damaged: {base.damage}", hint)
    for base in below(version):
        materialise(base)
    return materialise(version)


def damaged_base(version: ModelVersion) -> ModelVersion | None:
    """The version below that this one needs to be loaded, and whose bytes were found to be others; None as a rule."""
    return next((base for base in below(version) if base.damaged_at), None)


def laid_out(version: ModelVersion) -> Path | None:
    """The folder of `with_bases` where everything is there already; None when that is still to be done, which may take
    long."""
    if version.artifact and all(_complete(folder_of(one), one.artifact) for one in (version, *below(version))):
        return folder_of(version)
    return None


def folder_of(version: ModelVersion) -> Path:
    """Where the files of a version are laid out."""
    return paths.laid_out(version.pk)


def below(version: ModelVersion) -> Iterator[ModelVersion]:
    """The versions with files that this one needs to be loaded, the nearest one first."""
    last = version
    while last.base_version is not None and not any(entry["name"] == WEIGHTS for entry in last.artifact):
        last = last.base_version
        if last.artifact:
            yield last


def materialise(version: ModelVersion) -> Path:
    """The folder with the version's files under TRAINHUB_HOME/artifacts; made, and its bytes verified, at first use.

    The files are hard links into the store: read them, never write them. ConflictError when the version has no
    files, UnavailableError when one is missing or its bytes are no longer what was trained.
    """
    if not version.artifact:
        raise ConflictError(f"{version} has no files.", "Train it again with a recipe that makes a model.")
    folder = folder_of(version)
    if _complete(folder, version.artifact):
        return folder
    scratch = folder.with_name(f".{version.pk}.{uuid.uuid4().hex}")
    with disk_full_in_words():
        scratch.mkdir(parents=True)
        try:
            for entry in version.artifact:
                _lay_out(entry, scratch / entry["name"], version)
            _put_in_place(scratch, folder, version.artifact)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if not ModelVersion.objects.filter(pk=version.pk).exclude(status=ModelVersion.Status.DELETED).exists():
        shutil.rmtree(folder, ignore_errors=True)  # it was deleted meanwhile, and its folder would stay for ever
        raise ConflictError(f"{version} was deleted.", "Use another version, or train it again.")
    return folder


def open_file(version: ModelVersion, name: str) -> tuple[BinaryIO, int]:
    """A file of the version and its size. `name` is looked up in the version's list and never used as a path."""
    for entry in version.artifact:
        if entry["name"] == name:
            return store().open(entry["sha256"]), entry["bytes"]
    known = ", ".join(entry["name"] for entry in version.artifact) or "none"
    raise NotFoundError(f"{version} has no such file.", f"Its files: {known}.")


def needed(addresses: list[str]) -> set[str]:
    """Which of these files of the store belong to a version; the store asks before it deletes one."""
    return needed_by_others(0, addresses)


def needed_by_others(version_id: int, addresses: list[str]) -> set[str]:
    """Which of these files belong to a version other than this one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT file->>'sha256' FROM registry_modelversion, jsonb_array_elements(artifact) AS file"
            " WHERE file->>'sha256' = ANY(%s) AND id <> %s",
            [addresses, version_id],
        )
        return {row[0] for row in cursor.fetchall()}


def _complete(folder: Path, artifact: list[dict[str, Any]]) -> bool:
    try:
        return all((folder / entry["name"]).lstat().st_size == entry["bytes"] for entry in artifact)
    except FileNotFoundError:
        return False


def _lay_out(entry: dict[str, Any], target: Path, version: ModelVersion) -> None:
    source = store().path(entry["sha256"])
    try:
        with store().open(entry["sha256"]) as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == entry["sha256"]
    except NotFoundError:
        note_damage(version, f"{entry['name']} is missing from the store.")
        raise
    if not right:
        note_damage(version, f"{entry['name']} is not what was saved.")
        raise UnavailableError(
            f"The file {entry['name']} of {version} is damaged on disk.",
            "Restore the file store from a backup, or train the version again.",
        )
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another filesystem, or one without links
        shutil.copyfile(source, target, follow_symlinks=False)


def _put_in_place(scratch: Path, folder: Path, artifact: list[dict[str, Any]]) -> None:
    try:
        scratch.rename(folder)
    except OSError:  # there is a folder: another process was faster, or a file of it was lost
        if not _complete(folder, artifact):
            shutil.rmtree(folder, ignore_errors=True)
            scratch.rename(folder)
