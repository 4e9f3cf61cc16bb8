"""Switching a dataset's gates, and what is known of all its items: licence, consent, source …"""

from __future__ import annotations

import math
import re
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction

from accounts import audit
from common.errors import InvalidInputError, NotFoundError
from common.push import publish
from datasets.gating import governance
from datasets.models import Dataset

MAX_APPROVALS = 2
MAX_ENTRIES = 50
KEY = re.compile(r"[a-z][a-z0-9_]{0,49}")


def set_gates(
    dataset: Dataset, by: AbstractBaseUser, *, approvals: int | None = None, governed: bool | None = None,
    metadata: dict[str, Any] | None = None,
) -> Dataset:  # fmt: skip
    """What an item must pass to be trained on, and the metadata of all items; None leaves a thing as it is.

    With another number of approvals the votes that were given are counted again.
    """
    if approvals is not None and (isinstance(approvals, bool) or not 0 <= approvals <= MAX_APPROVALS):
        hint = f"Choose 0 (no review), 1 or {MAX_APPROVALS} persons."
        raise InvalidInputError("The number of approvals is out of range.", hint, fields={"approvals": [hint]})
    if metadata is not None:
        check_metadata(metadata)
    with transaction.atomic():
        governance.hold_rules()
        row = Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).first()
        if row is None:
            raise NotFoundError("The dataset is gone.", "Go back to the list of datasets.")
        recount = approvals is not None and approvals != row.approvals
        look = (governed and not row.governed) or (metadata is not None and metadata != row.metadata)
        row.approvals = row.approvals if approvals is None else approvals
        row.governed = row.governed if governed is None else governed
        row.metadata = row.metadata if metadata is None else metadata
        audit.write(by, "changed gates", row, approvals=row.approvals, governed=row.governed, metadata=row.metadata)
        row.save(update_fields=["approvals", "governed", "metadata", "updated_at"])
        if recount:
            _count_votes_again(row)
        if look:
            governance.recheck(row)
        publish(f"dataset.{row.pk}")
    dataset.refresh_from_db()
    return dataset


def check_metadata(metadata: Any) -> None:
    """InvalidInputError unless it is a flat object of texts, numbers, true and false."""
    if not isinstance(metadata, dict) or len(metadata) > MAX_ENTRIES:
        _refuse(f"The metadata are no object of at most {MAX_ENTRIES} entries.", 'Write {"licence": "CC0"}.')
    for key, value in metadata.items():
        if not isinstance(key, str) or not KEY.fullmatch(key):
            _refuse(f"'{str(key)[:60]}' can't name an entry.", "Use small letters, digits and _, as in 'licence'.")
        number = isinstance(value, int | float) and math.isfinite(value)
        if not number and not (isinstance(value, str) and len(value) <= 500):
            _refuse(f"'{key}' holds what no rule can look at.", "Write a text of up to 500 characters, or a number.")
        if key == "personal_data" and not isinstance(value, bool):
            _refuse("'personal_data' is neither true nor false.", "Write true or false.")


def _refuse(message: str, hint: str) -> None:
    raise InvalidInputError(message, hint, fields={"metadata": [f"{message} {hint}"]})


def _count_votes_again(dataset: Dataset) -> None:
    """The state of each item that was voted on, by the number of approvals that are asked for now."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE datasets_item item SET review = CASE
                WHEN votes.rejected > 0 THEN 'rejected' WHEN votes.change > 0 THEN 'change'
                WHEN votes.approved >= %(needed)s THEN 'approved' ELSE 'none' END
            FROM (
                SELECT item_id, round, count(*) FILTER (WHERE verdict = 'rejected') AS rejected,
                       count(*) FILTER (WHERE verdict = 'change') AS change,
                       count(*) FILTER (WHERE verdict = 'approved') AS approved
                FROM datasets_reviewvote WHERE dataset_id = %(dataset)s AND withdrawn_at IS NULL GROUP BY item_id, round
            ) votes
            WHERE item.id = votes.item_id AND item.review_round = votes.round AND item.dataset_id = %(dataset)s
            """,
            {"needed": max(1, dataset.approvals), "dataset": dataset.pk},
        )
