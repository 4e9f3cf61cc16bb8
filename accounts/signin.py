"""Signing in with a password, slowed down for those who guess. Used by the API and the sign-in page."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.contrib.auth import authenticate
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import SignInCount
from common.errors import ProblemError

WINDOW = timedelta(minutes=5)
ALLOWED = 9  # the tenth attempt within the window is refused, right or wrong


class WrongPasswordError(ProblemError):
    status = 401
    code = "wrong_credentials"
    title = "Not signed in"


class TooManyAttemptsError(ProblemError):
    """`wait` is the time in seconds after which the next attempt is heard."""

    status = 429
    code = "too_many_attempts"
    title = "Too many attempts"

    def __init__(self, wait: float) -> None:
        minutes = max(1, round(wait / 60))
        super().__init__(
            f"More than {ALLOWED} attempts for this account or from this address, wrong or not answered yet.",
            f"Wait {minutes} min, then try again. An administrator can set a new password.",
        )
        self.wait = wait


def sign_in(request: HttpRequest, username: str, password: str) -> AbstractBaseUser:
    """The user with this name and password; does not start a session.

    WrongPasswordError when they don't match or the account is inactive, TooManyAttemptsError (429) at the
    tenth wrong attempt within five minutes, counted for the account and for the address.
    """
    account = _key("account", username.lower())
    address = _key("address", request.META.get("REMOTE_ADDR", ""))
    # Counted before the password is looked at, so that parallel guesses can't slip through.
    for key in (address, account):
        _count(key)
    user = authenticate(request, username=username, password=password)
    if user is None:
        raise WrongPasswordError(
            "The name and the password don't match an active account.",
            "Check both. An administrator can set a new password.",
        )
    SignInCount.objects.filter(key=account).delete()
    forget_old_counts()
    # Only this attempt is forgiven to the address: an account of one's own is no key to others'.
    SignInCount.objects.filter(key=address, attempts__gt=0).update(attempts=F("attempts") - 1)
    return user


def _count(key: str) -> None:
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO accounts_signincount AS c (key, attempts, since) VALUES (%(key)s, 1, %(now)s)
               ON CONFLICT (key) DO UPDATE SET
                   attempts = CASE WHEN c.since < %(start)s THEN 1 ELSE LEAST(c.attempts + 1, 1000000) END,
                   since = CASE WHEN c.since < %(start)s THEN EXCLUDED.since ELSE c.since END
               RETURNING attempts, since""",
            {"key": key, "now": now, "start": now - WINDOW},
        )
        attempts, since = cursor.fetchone()
    if attempts > ALLOWED:
        raise TooManyAttemptsError((since + WINDOW - now).total_seconds())


def forget_old_counts() -> int:
    """Remove counts whose window is over; returns how many."""
    return SignInCount.objects.filter(since__lt=timezone.now() - WINDOW).delete()[0]


def _key(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode("utf-8", "surrogateescape")).hexdigest()
