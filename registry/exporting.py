"""Versions for use elsewhere: their files with the model card as one zip, or an ONNX network that was checked against
the model's own answers, made in the background by the engine, in a process without Django."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection, transaction

from accounts import audit
from common.background import enqueue
from common.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from common.files import disk_full_in_words, store
from common.push import publish
from common.references import hold_store
from common.zips import Zip
from datasets import claims
from datasets.apart import Processes
from datasets.claims import Claim
from engine.catalogue import RECIPES
from engine.launch import engine_environment
from registry import versions
from registry.artifacts import with_bases
from registry.bases import roots
from registry.cards import facts, markdown
from registry.merging import merge_of
from registry.models import Export, ModelVersion

TASK = "registry.tasks.run_export"
PROCESSES = Processes("run_export", at_once=1)
MAX_SECONDS = int(os.environ.get("TRAINHUB_MAX_EXPORT_SECONDS", 1800))
CARD = "model-card.md"
SMALLER = "Export it where there is more memory: python -P -m engine.export ARTIFACT OUT."


def why_no_onnx(version: ModelVersion) -> str:
    """Why a version can't be exported as ONNX, in a sentence; '' when it can."""
    kind = RECIPES.get(version.model.recipe)
    if kind is None:
        return f"The recipe {version.model.recipe} is not there any more, and knows how it would be exported."
    return kind.why_no_onnx or versions.why_unusable(version)


def start(version: ModelVersion, by: AbstractBaseUser) -> Export:
    """Have a version exported as ONNX. Asked again it is the same export; one that failed is tried anew. ConflictError
    when its recipe can't be, or it may not be used."""
    if reason := why_no_onnx(version):
        raise ConflictError(reason, "Export it as a folder, or choose another version.")
    with transaction.atomic():
        versions.hold(version)  # two who ask at once wait here for each other
        known = Export.objects.filter(version=version, format=Export.Format.ONNX).first()
        if known is not None and known.status != Export.Status.FAILED:
            return known
        if known is not None:
            known.delete()
        made = Export.objects.create(version=version, format=Export.Format.ONNX, created_by=by)
        audit.write(by, "exported", version, format="onnx")
        enqueue(TASK, made.pk)
        publish(f"version.{version.pk}")
    return made


def take_up(export_id: int) -> None:
    """Have a process of its own do it: imports must not wait for it."""
    PROCESSES.start(export_id)


def run_export(export_id: int) -> Export | None:
    """Carry an export out, or begin it again where a dead worker left it; None when there is nothing to do."""
    claim = claims.take(Export, export_id, "version__model")
    if claim is None:
        return None

    def work() -> None:
        folder = _root() / f"{claim.row.pk}-{claim.attempt}"
        try:
            with disk_full_in_words():
                folder.mkdir(parents=True, exist_ok=True)
            with claim.computing():
                said = _engine(with_bases(claim.row.version), folder / "made")
            _finish(claim, folder / "made", said)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    kept = claims.carry_out(claim, "export", work, partial(_fail, claim), SMALLER)
    return claim.row if kept else None


def sweep_exports() -> int:
    """Have waiting exports taken that nobody took, and those whose worker died. Returns how many were offered."""
    return claims.offer(Export, TASK)


def needed(addresses: list[str]) -> set[str]:
    """Which of these files of the store belong to an export."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT file->>'sha256' FROM registry_export, jsonb_array_elements(files) AS file"
            " WHERE file->>'sha256' = ANY(%s)",
            [addresses],
        )
        return {row[0] for row in cursor.fetchall()}


def folder(version: ModelVersion, user: AbstractBaseUser | AnonymousUser) -> Iterator[bytes]:
    """A zip of all files of a version with its model card, in constant memory. ConflictError when it has no files, or
    they are not what was saved."""
    if not version.artifact:
        raise ConflictError(f"{version} has no files.", "Choose a ready version.")
    if version.standing == "damaged":
        raise ConflictError(versions.why_unusable(version), versions.USE_ANOTHER["damaged"])
    return _zip(version.artifact, facts.card(version, user))


def onnx(version: ModelVersion, user: AbstractBaseUser | AnonymousUser) -> Iterator[bytes]:
    """A zip of the ONNX network, what there is to know of its input and output, and the model card. NotFoundError
    until it was made."""
    made = Export.objects.filter(version=version, format=Export.Format.ONNX, status=Export.Status.COMPLETED).first()
    if made is None:
        raise NotFoundError(f"{version} was not exported as ONNX.", "Ask for it first: POST to this address.")
    return _zip(made.files, facts.card(version, user))


def merged(version: ModelVersion) -> ModelVersion:
    """The whole version that an adapter was merged into. ConflictError when there is none yet."""
    merge = merge_of(version)
    if merge is None or merge.adapter_id != version.pk or merge.version.status != ModelVersion.Status.READY:
        raise ConflictError(f"{version} was not merged into its base.", "Merge it first, then export what that makes.")
    return merge.version


def _zip(files: list[dict[str, Any]], card: dict[str, Any]) -> Iterator[bytes]:
    made = Zip(store().temporary_folder())
    beside = {CARD: markdown.text(card), "model-card.json": json.dumps(card, default=str, indent=2, ensure_ascii=False)}
    for entry in files:
        yield from made.add(entry["name"], partial(store().open, entry["sha256"]))
    for name, text in beside.items():
        yield from made.add(name, partial(_bytes, text))
    yield from made.end()


def _bytes(text: str) -> BinaryIO:
    return io.BytesIO(text.encode())


def _engine(artifact: Path, out: Path) -> dict[str, Any]:
    """What the engine's exporter says that it made. A ProblemError says what stopped it."""
    command = [sys.executable, "-P", "-m", "engine.export", str(artifact), str(out), "--parent", str(os.getpid())]
    environment = engine_environment({"TRAINHUB_MODEL_FOLDERS": ":".join(map(str, roots()))})
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment, timeout=MAX_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"The export was ended: it took longer than {MAX_SECONDS / 60:,.0f} minutes.",
            "Allow more by TRAINHUB_MAX_EXPORT_SECONDS.",
        ) from None
    if ended.returncode < 0:
        raise UnavailableError(f"The exporting process was ended by signal {-ended.returncode}.", SMALLER)
    try:
        said: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        raise UnavailableError("The export ended without a word.", "The log of the hub may say why.") from None
    if ended.returncode:
        raise InvalidInputError(said["message"], said["hint"])
    return said


def _finish(claim: Claim[Export], made: Path, said: dict[str, Any]) -> None:
    """Keep the files and name them in one transaction."""
    with transaction.atomic():
        hold_store()
        with disk_full_in_words():
            for file in said["files"]:
                if store().add(made / file["name"]).sha256 != file["sha256"]:
                    raise UnavailableError(f"{file['name']} changed on the disk.", "Have the disk checked.")
        claim.finish(files=said["files"], difference=said["difference"])
        publish(f"version.{claim.row.version_id}")


def _fail(claim: Claim[Export], problem: str, hint: str) -> None:
    with transaction.atomic():
        claim.finish(problem, hint)
        publish(f"version.{claim.row.version_id}")


def _root() -> Path:
    return Path(settings.TRAINHUB_HOME) / "exports"
