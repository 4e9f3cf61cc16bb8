"""API tokens: made, used, revoked. A key is random, shown once, and kept as its SHA-256 alone."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts import audit
from accounts.models import ApiToken
from common.errors import ConflictError, InvalidInputError

MARK = "th_"  # lets secret scanners, and people, recognise a key
MAX_TOKENS = 100
USE_RESOLUTION = timedelta(minutes=1)


@transaction.atomic
def create(user: AbstractBaseUser, name: str, expires_at: datetime | None = None) -> tuple[ApiToken, str]:
    """A new token and its key, which can't be read again. `expires_at` None: valid until revoked.

    Expired and void tokens of the user are removed on the way. ConflictError above MAX_TOKENS.
    """
    now = timezone.now()
    if expires_at is not None and expires_at <= now:
        raise InvalidInputError(
            "The token would have expired already.",
            "Choose a time in the future, or leave it empty.",
            fields={"expires_at": ["Choose a time in the future."]},
        )
    current = _password_digest(user)
    ApiToken.objects.filter(Q(expires_at__lte=now) | ~Q(password_digest=current), user=user).delete()
    if ApiToken.objects.filter(user=user).count() >= MAX_TOKENS:
        raise ConflictError(
            f"You have {MAX_TOKENS} tokens already.", "Revoke tokens that you no longer use, then try again."
        )
    key = MARK + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name.strip()[:100] or "Token",
        digest=_digest(key),
        prefix=key[:12],
        password_digest=current,
        expires_at=expires_at,
    )
    audit.write(user, "made", token, expires_at=expires_at)
    return token, key


@transaction.atomic
def revoke(token: ApiToken) -> None:
    """The key stops working at once."""
    audit.write(token.user, "revoked", token)
    token.delete()


def authenticate(key: str) -> ApiToken | None:
    """The token of this key; None when there is none, or it expired, or its owner is inactive or changed password.

    The look-up compares SHA-256 digests, so its time tells nothing about a key.
    """
    digest = _digest(key)
    token = next(iter(ApiToken.objects.select_related("user").filter(digest=digest).order_by()), None)
    if token is None or not constant_time_compare(token.digest, digest) or not token.user.is_active:
        return None
    now = timezone.now()
    if token.expires_at is not None and token.expires_at <= now:
        return None
    if not constant_time_compare(token.password_digest, _password_digest(token.user)):
        return None
    _note_use(token, now)
    return token


def _note_use(token: ApiToken, now: datetime) -> None:
    # Once a minute is enough for people, and spares a write per request.
    if token.last_used_at is None or now - token.last_used_at >= USE_RESOLUTION:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _password_digest(user: AbstractBaseUser) -> str:
    # Of the stored hash, which has a salt of its own; not keyed, so that a new SECRET_KEY keeps tokens.
    return hashlib.sha256(f"api-token:{user.password}".encode()).hexdigest()
