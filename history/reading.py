"""Which sessions someone sees, and how a list of them is narrowed."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet

from common.access import visible
from common.errors import InvalidInputError, NotFoundError
from history.models import Session


def sessions(user: AbstractBaseUser) -> QuerySet[Session]:
    """The sessions that `user` may see, newest first, with what a row shows."""
    rows = Session.objects.select_related("user", "model_version__model").defer("user__password")
    return visible(rows, user, "user")


def sessions_of(user: AbstractBaseUser, user_id: int) -> QuerySet[Session]:
    """One person's sessions. Raises as `check_user`."""
    check_user(user, user_id)
    return sessions(user).filter(user_id=user_id)


def check_user(user: AbstractBaseUser, user_id: int) -> None:
    """NotFoundError when that is neither `user` nor known to a member of staff."""
    if user.pk != user_id and not (user.is_staff and get_user_model().objects.filter(pk=user_id).exists()):
        raise NotFoundError(f"There is no user {user_id} for you.", "Use your own id: see GET /api/v1/auth/me.")


def between(rows: QuerySet[Session], start: datetime | None, end: datetime | None) -> QuerySet[Session]:
    """Sessions that started within the range, both ends included; None leaves an end open."""
    if start and end and start > end:
        raise InvalidInputError(
            "The range ends before it starts.", "Swap start and end.", fields={"end": ["Must not be before start."]}
        )
    if start:
        rows = rows.filter(started_at__gte=start)
    return rows.filter(started_at__lte=end) if end else rows
