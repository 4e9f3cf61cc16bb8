"""What the owner of a model adds to its card: what it is for and where it fails, of all its versions or of one."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q

from accounts import audit
from common.errors import InvalidInputError
from common.wording import storable
from registry.access import require_owner
from registry.models import CardNotes, Model, ModelVersion

LONGEST = 4_000  # characters of each
FIELDS = ("intended_use", "limits")
HIDDEN = "changed_by__password"


@transaction.atomic
def change(about: Model | ModelVersion, by: AbstractBaseUser, **given: str) -> CardNotes:
    """Write `intended_use`, `limits` or both, as plain text; what is not named stays, and '' takes it away.

    ForbiddenError for who neither owns the model nor is an administrator, InvalidInputError for a text that is too
    long. What stood there before stays in the audit trail.
    """
    model = about if isinstance(about, Model) else about.model
    require_owner(by, model, "change the notes on the card")
    texts = {name: _text(name, text) for name, text in given.items()}
    Model.objects.select_for_update(no_key=True).get(pk=model.pk)  # of two who write the first notes one waits
    row = of(about)
    before = {name: getattr(row, name) for name in texts}
    if before == texts:
        return row
    for name, text in texts.items():
        setattr(row, name, text)
    row.changed_by_id = by.pk
    row.save()
    audit.write(by, "changed the notes on a card", about, before=before, after=texts)
    return row


def of(about: Model | ModelVersion) -> CardNotes:
    """The notes on a model or on one version; without any, an unsaved row that says nothing."""
    model, version = (about.pk, None) if isinstance(about, Model) else (about.model_id, about.pk)
    found = CardNotes.objects.filter(model=model, version=version).select_related("changed_by").defer(HIDDEN).first()
    return found or CardNotes(model_id=model, version_id=version)


def on_card(version: ModelVersion) -> dict[str, dict[str, Any] | None]:
    """What stands on a version's card: `version` its own notes, `model` those on all versions; None without any."""
    rows = CardNotes.objects.filter(Q(version=None) | Q(version=version), model=version.model_id)
    found: dict[str, dict[str, Any] | None] = {"version": None, "model": None}
    for row in rows.select_related("changed_by").defer(HIDDEN):
        found["version" if row.version_id else "model"] = told(row)
    return found


def told(row: CardNotes) -> dict[str, Any] | None:
    """Notes as cards hold them; None of those that say nothing."""
    if not any(getattr(row, name) for name in FIELDS):
        return None
    by = {"by": row.changed_by.get_username(), "at": row.changed_at}
    return {name: getattr(row, name) for name in FIELDS} | by


def _text(name: str, text: str) -> str:
    text = storable("\n".join(text.splitlines())).strip()
    if len(text) > LONGEST:
        words = f"At most {LONGEST:,} characters, not {len(text):,}."
        raise InvalidInputError("The notes are too long.", "Say it shorter.", fields={name: [words]})
    return text
