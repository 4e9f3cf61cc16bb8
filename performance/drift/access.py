"""Who sees what drift checks found: they show values of what a model was asked, so whoever may see its predictions."""

from __future__ import annotations

from django.db.models import QuerySet

from common.access import User
from common.errors import NotFoundError
from performance.models import DriftCheck
from registry.access import Action, get_model, may, models_for, require
from registry.models import Model


def models_seen(user: User) -> QuerySet[Model]:
    """The models whose predictions somebody may see."""
    rows = models_for(user)
    return rows if _all(user) else rows.filter(owner=user) if user.is_authenticated else rows.none()


def checks_for(user: User) -> QuerySet[DriftCheck]:
    """The checks that somebody may see, with what a list shows, newest first."""
    rows = DriftCheck.objects.select_related("model", "version__model", "reference_data__dataset", "asked_by")
    rows = rows.defer("findings", "asked_by__password").order_by("-id")
    return rows if _all(user) else rows.filter(model__owner=user) if user.is_authenticated else rows.none()


def get_check(user: User, pk: int | str) -> DriftCheck:
    """A check with its findings. NotFoundError where its model is not seen, ForbiddenError where its data are not."""
    rows = DriftCheck.objects.select_related(
        "model__owner", "version__model", "reference_data__dataset", "asked_by"
    ).defer("model__owner__password", "asked_by__password")
    found = rows.filter(pk=pk, model__in=models_for(user)).first()
    if found is None:
        raise NotFoundError(f"There is no drift check {pk}.", "See the list of checks.")
    require(user, Action.SEE_PREDICTIONS, found.model)
    return found


def get_model_seen(user: User, pk: int | str) -> Model:
    """A model whose predictions somebody may see; refused as `get_check`."""
    model = get_model(user, pk)
    require(user, Action.SEE_PREDICTIONS, model)
    return model


def _all(user: User) -> bool:
    return may(user, Action.SEE_PREDICTIONS, Model())
