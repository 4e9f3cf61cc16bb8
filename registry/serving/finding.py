"""Finding what is asked for a prediction, with as few questions to the database as can be: one, for an owner."""

from __future__ import annotations

from typing import TypeVar

from common.access import User
from common.errors import NotFoundError
from registry.access import sees_all
from registry.models import Model, ModelVersion

NEEDED = (
    "number", "status", "artifact", "byte_count", "base_version", "damaged_at", "archived_at",
    "model__name", "model__recipe", "model__owner", "model__subject",
)  # fmt: skip
Found = TypeVar("Found", Model, ModelVersion)


def version_to_ask(user: User, pk: int) -> ModelVersion:
    """The version, as `registry.access.get_version` finds it, with its model and what answering needs: its metrics and
    settings can be long."""
    rows = ModelVersion.objects.select_related("model").only(*NEEDED).order_by()
    found = next(iter(rows.filter(pk=pk)), None)
    return _seen(user, found, found.model if found else None, pk)


def model_to_ask(user: User, pk: int) -> Model:
    """The model, as `registry.access.get_model` finds it."""
    found = next(iter(Model.objects.filter(pk=pk).order_by()), None)
    return _seen(user, found, found, pk)


def _seen(user: User, found: Found | None, model: Model | None, pk: int) -> Found:
    if found is None or model is None or not (model.owner_id == user.pk or sees_all(user)):
        raise NotFoundError(f"There is nothing with the id {pk} for you.", "Check the id in the address.")
    return found
