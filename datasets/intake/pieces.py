"""Uploads that survive a lost connection: a file comes in piece by piece, and goes on where it stopped.

In the manner of tus 1.0: the sender makes an upload, asks how much the hub has, and sends the next piece from
there. The row's lock keeps two senders apart; a piece counts once it is on the disk and its row is committed.
Complete uploads become one import, by links and not by copies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError, transaction
from django.db.models import Count, Sum
from django.db.models.functions import Now
from psycopg.errors import LockNotAvailable

from common.background import enqueue
from common.errors import ConflictError, InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from common.files import disk_full_in_words, sync_folder
from common.wording import size as in_words
from datasets import limits
from datasets.intake import imports, spool
from datasets.models import Dataset, Import, Upload
from datasets.names import clean

PREFIX = "piece-"
CHUNK = 1 << 18
ORPHAN_SECONDS = 3600.0  # a file without a row: its transaction was rolled back, or its dataset deleted
MAX_FINISHED = 10_000


def begin(dataset: Dataset, by: AbstractBaseUser, *, name: str, size: int) -> Upload:
    """Make room for a file of `size` bytes. `name` is its relative path, which gives its label.

    TooLargeError above a limit, UnavailableError when the disk has no room for it.
    """
    if size > limits.MAX_UPLOADED_FILE_BYTES:
        raise TooLargeError(
            f"'{clean(name)}' is larger than {in_words(limits.MAX_UPLOADED_FILE_BYTES)}.", "Send it in several files."
        )
    _check_room(by, size)
    with transaction.atomic():
        if not Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).exists():
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        made = Upload.objects.create(dataset=dataset, owner=by, name=clean(name), bytes=size)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        with disk_full_in_words():
            os.close(os.open(path_of(made.pk), flags, 0o600))
    return made


def append(upload_id: uuid.UUID, offset: int, piece: BinaryIO, checksum: str = "") -> Upload:
    """Add the next piece. `checksum` is `sha256 <base64>` of it, or empty.

    ConflictError when the hub has more or fewer bytes than `offset`, or another request sends this file right now;
    InvalidInputError when the piece is not what its checksum says. Nothing is added then.
    """
    with transaction.atomic():
        upload = _locked(upload_id)
        if upload.source_id is not None:
            raise ConflictError("This file was imported already.", "Start a new upload.")
        if offset != upload.received:
            raise ConflictError(
                f"The hub has {upload.received:,} bytes of this file, and the piece begins at {offset:,}.",
                "Go on from where the hub is.", offset=upload.received,
            )  # fmt: skip
        upload.received += _write(upload, piece, checksum)
        upload.save(update_fields=["received", "updated_at"])
    return upload


def discard(upload: Upload) -> None:
    """Forget an upload that is not wanted any more, with what was sent of it."""
    with transaction.atomic():
        _locked(upload.pk).delete()
    path_of(upload.pk).unlink(missing_ok=True)


def finish(
    dataset: Dataset, by: AbstractBaseUser, ids: list[uuid.UUID], options: dict[str, Any] | None = None
) -> Import:
    """One import of all these uploads, in their order; asked again, the same import.

    NotFoundError when one is gone, ConflictError when one is not complete.
    """
    pack = spool.Pack()  # empty: its lock tells sweeps that this folder is being filled, until the row is committed
    try:
        with transaction.atomic():
            Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()  # locked before its uploads
            found = {upload.pk: upload for upload in _of(dataset, by, ids).select_for_update().order_by("pk")}
            uploads = [found[key] for key in dict.fromkeys(ids) if key in found]
            if before := _taken_before(uploads, ids):
                return before
            _check_complete(uploads)
            made = imports.begin(dataset, by, lambda pk: _hand_over(pack, pk, uploads), options=options)
            _of(dataset, by, ids).update(source=made, updated_at=Now())
            enqueue(imports.TASK, made.pk)
    finally:
        pack.close()
    _unlink(found)
    return made


def unfinished(dataset: Dataset, by: AbstractBaseUser) -> Any:
    """This person's uploads into the dataset that no import took yet, oldest first."""
    return Upload.objects.filter(dataset=dataset, owner=by, source=None)


def sweep_uploads() -> int:
    """Remove uploads to which nothing was added for a day, and files that no upload needs. Returns how many."""
    stale = Upload.objects.filter(updated_at__lt=Now() - timedelta(seconds=limits.MAX_UPLOAD_SECONDS))
    with transaction.atomic():  # one that gets a piece right now is locked, and is not stale after it
        old = list(stale.select_for_update(skip_locked=True).values_list("pk", flat=True)[:1000])
        Upload.objects.filter(pk__in=old).delete()
    _unlink(old)
    waiting = {path for path in spool.uploads().glob(f"{PREFIX}*") if _age(path) > ORPHAN_SECONDS}
    ids = [path.name.removeprefix(PREFIX) for path in waiting]
    needed = {pk.hex for pk in Upload.objects.filter(pk__in=ids, source=None).values_list("pk", flat=True)}
    orphans = [path for path in waiting if path.name.removeprefix(PREFIX) not in needed]
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(old) + len(orphans)


def path_of(upload_id: uuid.UUID) -> Path:
    return spool.uploads() / f"{PREFIX}{upload_id.hex}"


def _check_room(by: AbstractBaseUser, size: int) -> None:
    """TooLargeError or UnavailableError when so many more bytes can't be taken."""
    mine = Upload.objects.filter(owner=by, source=None).aggregate(count=Count("pk"), bytes=Sum("bytes"))
    if mine["count"] >= limits.MAX_OPEN_UPLOADS or (mine["bytes"] or 0) + size > limits.MAX_OPEN_UPLOAD_BYTES:
        raise TooLargeError(
            f"You have {mine['count']:,} unfinished uploads of {in_words(mine['bytes'] or 0)} together, "
            "and no more fit beside them.",
            "Finish or discard some of them first.",
        )
    folder = spool.uploads()
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise UnavailableError(
            f"The disk that holds TrainHub's files has {in_words(free)} free; the file has {in_words(size)}.",
            "Free some space or delete datasets that are no longer needed, then try again.",
        )


def _locked(upload_id: uuid.UUID) -> Upload:
    try:
        found = Upload.objects.select_for_update(nowait=True).filter(pk=upload_id).first()
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise ConflictError(
                "Another request sends this file right now.", "Wait a moment, then ask how much the hub has."
            ) from error
        raise
    if found is None:
        raise NotFoundError("This upload is gone.", "Start it again.")
    return found


def _write(upload: Upload, piece: BinaryIO, checksum: str) -> int:
    """Write the piece behind what is there and bring it to the disk; returns its length."""
    expected = _digest(checksum)
    seen = hashlib.sha256()
    position = upload.received
    try:
        descriptor = os.open(path_of(upload.pk), os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFoundError("What was sent of this file is gone from the disk.", "Start it again.") from error
    try:
        while chunk := piece.read(CHUNK):
            if position + len(chunk) > upload.bytes:
                raise InvalidInputError(
                    f"With this piece the file is longer than the {upload.bytes:,} bytes that were announced.",
                    "Choose the file again: it may have changed.",
                )
            seen.update(chunk)
            with disk_full_in_words():
                position += _pwrite(descriptor, chunk, position)
        if expected and expected != seen.digest():
            raise InvalidInputError("The piece was damaged on its way: its checksum differs.", "Send it again.")
        with disk_full_in_words():
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    return position - upload.received


def _pwrite(descriptor: int, chunk: bytes, position: int) -> int:
    rest = memoryview(chunk)
    while rest:
        written = os.pwrite(descriptor, rest, position)
        position, rest = position + written, rest[written:]
    return len(chunk)


def _digest(checksum: str) -> bytes | None:
    if not checksum:
        return None
    algorithm, _, value = checksum.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if algorithm != "sha256" or len(digest) != hashlib.sha256().digest_size:
        raise InvalidInputError("The checksum can't be read.", "Send 'sha256 ' and its bytes in base64, or leave it.")
    return digest


def _of(dataset: Dataset, by: AbstractBaseUser, ids: Iterable[uuid.UUID]) -> Any:
    return Upload.objects.filter(dataset=dataset, owner=by, pk__in=list(ids))


def _taken_before(uploads: list[Upload], ids: list[uuid.UUID]) -> Import | None:
    """The import that took exactly these already; None when they are all still open."""
    if not ids or len(uploads) < len(set(ids)):
        raise NotFoundError("Some of these uploads are gone, or none was named.", "Send their files again.")
    sources = {upload.source_id for upload in uploads}
    if sources == {None}:
        return None
    if len(sources) > 1:
        raise ConflictError("Some of these files were imported already.", "Send only the others.")
    return Import.objects.get(pk=sources.pop())


def _check_complete(uploads: list[Upload]) -> None:
    short = [upload for upload in uploads if upload.received < upload.bytes]
    if short:
        raise ConflictError(
            f"'{short[0].name}' has {short[0].received:,} of {short[0].bytes:,} bytes.", "Send the rest first.",
            upload=str(short[0].pk), offset=short[0].received,
        )  # fmt: skip


def _hand_over(pack: spool.Pack, import_id: int, uploads: list[Upload]) -> list[dict[str, Any]]:
    """Give the files their second name in the import's folder; the first goes after the commit."""
    pack.hand_over(import_id)
    folder = spool.folder_of(import_id)
    sources, before = [], 0
    for upload in uploads:
        target = folder / upload.pk.hex
        with disk_full_in_words():
            _link(path_of(upload.pk), target)
        relative = str(target.relative_to(settings.TRAINHUB_HOME))
        sources.append(
            {"name": upload.name, "path": relative, "offset": 0, "bytes": upload.bytes, "before": before}
        )  # fmt: skip
        before += upload.bytes
    sync_folder(folder)
    return sources


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError as error:
        raise NotFoundError("What was sent of a file is gone from the disk.", "Send its files again.") from error
    except OSError:  # a filesystem without links
        shutil.copyfile(source, target, follow_symlinks=False)


def _unlink(ids: Iterable[uuid.UUID]) -> None:
    for key in ids:
        path_of(key).unlink(missing_ok=True)


def _age(path: Path) -> float:
    with suppress(FileNotFoundError):
        return time.time() - path.lstat().st_mtime
    return 0.0
