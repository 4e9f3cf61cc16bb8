"""Cancelling an import that waits or runs."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from common.errors import ConflictError, NotFoundError
from datasets.intake import imports
from datasets.models import Dataset, Import
from datasets.sources import origins


def cancel_import(source: Import, by: AbstractBaseUser) -> Import:
    """End an import where it stands: what it took in stays, the rest is not read. Returns the ended import.

    Its worker can write nothing from this moment on, and notices that with its next batch or heartbeat.
    ConflictError when the import has ended.
    """
    with transaction.atomic():
        # The dataset first, then the import: everyone locks in this order.
        dataset = Dataset.objects.select_for_update(no_key=True).filter(pk=source.dataset_id).first()
        row = Import.objects.select_for_update(of=("self",)).filter(pk=source.pk).first()
        if dataset is None or row is None:
            raise NotFoundError("The import is gone.", "Go back to the list of datasets.")
        cancelled = Import.objects.filter(pk=row.pk, status__in=imports.OPEN).update(
            status=Import.Status.CANCELLED, message=in_words(row), hint="", finished_at=Now(), sources=[],
            position={}, origin=origins.without_secrets(row.origin),
        )  # fmt: skip
        if not cancelled:
            raise ConflictError(f"The import has ended already: {row.message}", "What it took in stays.")
        imports.settle(dataset, row, Dataset.Status.EMPTY)
    row.refresh_from_db()
    return row


def in_words(row: Import) -> str:
    """How an import ends that is cancelled now."""
    if row.status == Import.Status.QUEUED and not row.done:
        return "Cancelled before it began: no file was read."
    if row.total is None:
        return "Cancelled while its files were fetched or opened: none was read."
    left = row.total - row.done
    unread = (
        f"{left:,} of {row.total:,} file{'s' * (row.total != 1)} {'was' if left == 1 else 'were'} not read to the end"
    )
    return f"Cancelled: {unread}. {row.accepted:,} item{'s' * (row.accepted != 1)} had been taken in and stay."
