"""Who may do what with models: their owner, and people of other roles.

A role is a group of Django's with some of the permissions below; groups are made at the first start and belong to the
administrators then. Whoever has any of the permissions sees all models. What cannot be seen does not exist
(`NotFoundError`); what can be seen and not done is refused in words (`ForbiddenError`).
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission
from django.db.models import Q, QuerySet

from common.access import M, User, get_visible
from common.errors import ForbiddenError
from registry.models import Model, ModelVersion
from registry.versions import listed


class Action(StrEnum):
    """Each is a permission on `registry.Model`."""

    PROMOTE = "promote_model"
    APPROVE = "approve_promotion"
    OVERRIDE = "override_promotion"
    DEPLOY = "deploy_model"
    SEE_PREDICTIONS = "see_predictions"


ROLES = {
    "Release managers": (Action.PROMOTE, Action.OVERRIDE, Action.DEPLOY, Action.SEE_PREDICTIONS),
    "Approvers": (Action.APPROVE,),
    "Analysts": (Action.SEE_PREDICTIONS,),
}
# What the owner of a model may do with it without a role.
OWNERS = {Action.PROMOTE, Action.DEPLOY, Action.SEE_PREDICTIONS}
WORDS = {
    Action.PROMOTE: "promote versions", Action.APPROVE: "approve promotions and retraining",
    Action.OVERRIDE: "promote against a policy", Action.DEPLOY: "deploy versions",
    Action.SEE_PREDICTIONS: "see logged predictions",
}  # fmt: skip


def make_roles() -> None:
    """The groups that there are from the beginning; what administrators made of them since is left alone."""
    for name, actions in ROLES.items():
        group, new = Group.objects.get_or_create(name=name)
        if new:
            group.permissions.set(Permission.objects.filter(content_type__app_label="registry", codename__in=actions))


def sees_all(user: User) -> bool:
    """Whether somebody sees the models of everyone."""
    if not user.is_authenticated:
        return False
    return bool(user.is_staff or any(_has(user, action) for action in Action))


def who_see_all(ids: Collection[int]) -> set[int]:
    """Of people, by their ids, those who see the models of everyone, as `sees_all` says of one. One query."""
    names = [str(action) for action in Action]
    rows = Permission.objects.filter(content_type__app_label="registry", codename__in=names).values("pk")
    given = Q(is_superuser=True) | Q(user_permissions__in=rows) | Q(groups__permissions__in=rows)
    people = get_user_model().objects.filter(Q(is_staff=True) | (Q(is_active=True) & given), pk__in=ids)
    return set(people.values_list("pk", flat=True))


def models_for(user: User, rows: QuerySet[Model] | None = None) -> QuerySet[Model]:
    """The models that somebody may see; `rows` None: all columns, nothing joined."""
    return _for(Model.objects.all() if rows is None else rows, user, "owner")


def versions_for(user: User) -> QuerySet[ModelVersion]:
    """The versions that somebody may see, with everything that a list shows."""
    return _for(listed(), user, "model__owner")


def get_model(user: User, pk: int | str, rows: QuerySet[Model] | None = None) -> Model:
    """The model, if it exists for this person; else NotFoundError."""
    plain = Model.objects.select_related("owner", "subject").defer("owner__password")
    return _get(plain if rows is None else rows, user, "owner", pk)


def get_version(user: User, pk: int | str) -> ModelVersion:
    """The version, if it exists for this person; else NotFoundError."""
    return _get(listed(), user, "model__owner", pk)


def may(user: User, action: Action, model: Model) -> bool:
    """Whether somebody who sees this model may do this with it."""
    if not user.is_authenticated or not user.is_active:
        return False
    return (action in OWNERS and model.owner_id == user.pk) or _has(user, action)


def require(user: User, action: Action, model: Model) -> None:
    """ForbiddenError, which names the roles that may, when somebody may not."""
    if may(user, action, model):
        return
    roles = [name for name, actions in ROLES.items() if action in actions]
    whom = "the owner of the model, and people" if action in OWNERS else "people"
    raise ForbiddenError(
        f"You may not {WORDS[action]} of {model}." if action is not Action.APPROVE else f"You may not {WORDS[action]}.",
        f"That is for {whom} of the role {' or '.join(roles)}; an administrator gives roles.",
    )


def owns(user: User, model: Model) -> bool:
    """Whether a model is somebody's own, as every one is of administrators."""
    return model.owner_id == user.pk or bool(getattr(user, "is_staff", False))


def require_owner(user: User, model: Model, what: str) -> None:
    """ForbiddenError when somebody neither owns the model nor is an administrator. `what`: "delete versions"."""
    if not owns(user, model):
        raise ForbiddenError(
            f"You may not {what} of {model}.", f"That is for {model.owner.get_username()} and administrators."
        )


def _has(user: AbstractBaseUser | AnonymousUser, action: Action) -> bool:
    return bool(user.has_perm(f"registry.{action}"))  # type: ignore[union-attr]


def _for(rows: QuerySet[M], user: User, owner: str) -> QuerySet[M]:
    if sees_all(user):
        return rows
    return rows.filter(**{owner: user}) if user.is_authenticated else rows.none()


def _get(rows: QuerySet[M], user: User, owner: str, pk: int | str) -> M:
    return get_visible(_for(rows, user, owner), _Everything() if user.is_authenticated else user, owner, pk=pk)


class _Everything(AnonymousUser):
    """For `get_visible` over rows that were narrowed already."""

    is_staff = True
