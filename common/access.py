"""Access is part of fetching: what a person may not see does not exist for them."""

from __future__ import annotations

from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Model, QuerySet

from common.errors import NotFoundError

M = TypeVar("M", bound=Model)
User = AbstractBaseUser | AnonymousUser


def visible(queryset: QuerySet[M], user: User, owner: str = "owner") -> QuerySet[M]:
    """The rows that `user` may see: their own, or all for staff. `owner` is the path to the owner field."""
    if getattr(user, "is_staff", False):
        return queryset
    if not user.is_authenticated:
        return queryset.none()
    return queryset.filter(**{owner: user})


def may_see(owner_id: int, user: User) -> bool:
    """Whether `user` may see what this person owns: as `visible`, of a row that is there already."""
    return bool(getattr(user, "is_staff", False) or owner_id == user.pk)


def get_visible(queryset: QuerySet[M], user: User, owner: str = "owner", **key: Any) -> M:
    """The one row with `key` that `user` may see. Raises NotFoundError otherwise, also for a malformed key."""
    try:
        found = visible(queryset, user, owner).filter(**key).first()
    except (ValueError, TypeError, OverflowError):
        found = None
    if found is None:
        name = queryset.model._meta.verbose_name
        shown = next(iter(key.values()), "")
        raise NotFoundError(
            f"There is no {name} {str(shown)[:40]} for you.",
            "Check the address. It may have been deleted, or it belongs to someone else.",
        )
    return found
