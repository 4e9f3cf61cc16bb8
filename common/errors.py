"""Errors that a person can act on: each says what happened and what to do next.

Verbs raise them; every door (page, API, admin, command) shows them in its own way.
"""

from __future__ import annotations

import re
from typing import Any

# What PostgreSQL says when waiting would not help. A connection that fails carries no SQLSTATE, only this.
REFUSALS = re.compile(
    r"""FATAL:\s+( (?:role|database)\s"[^"]*"\sdoes\snot\sexist | role\s"[^"]*"\sis\snot\spermitted\sto\slog\sin
    | .*authentication\sfailed.* | no\spg_hba\.conf\sentry.* | permission\sdenied\sfor\sdatabase.* )
    | (no\spassword\ssupplied)""",
    re.VERBOSE,
)


class ProblemError(Exception):
    """Base of all errors that verbs raise on purpose.

    `message` says what happened, `hint` what to do next, `fields` maps a field of the input to its own
    messages, `extra` travels with the API's problem details (for example the job that is in the way).
    """

    status = 400
    code = "problem"
    title = "The request could not be carried out"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        fields: dict[str, list[str]] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.fields = fields or {}
        self.extra = extra


class InvalidInputError(ProblemError):
    code = "invalid_input"
    title = "The input is not valid"


class NotFoundError(ProblemError):
    status = 404
    code = "not_found"
    title = "Not found"


class ForbiddenError(ProblemError):
    status = 403
    code = "forbidden"
    title = "Not allowed"


class ConflictError(ProblemError):
    """The request contradicts the present state: the job has ended, the name is taken, another runs."""

    status = 409
    code = "conflict"
    title = "The request contradicts the present state"


class TooLargeError(ProblemError):
    status = 413
    code = "too_large"
    title = "Too large"


class UnavailableError(ProblemError):
    """Something that the request needs is not running now."""

    status = 503
    code = "unavailable"
    title = "Not available right now"
    wait = 1.0  # seconds after which it is worth trying again


def database_away() -> UnavailableError:
    """What every door says while PostgreSQL does not answer."""
    return UnavailableError(
        "The database can't be reached.",
        "Running jobs go on. Try again in a few seconds; the page comes back by itself.",
    )


def database_refuses(error: Exception) -> InvalidInputError | None:
    """What is wrong with DATABASE_URL, when PostgreSQL answers and refuses for good; None when it may come back."""
    found = REFUSALS.search(str(error))
    if not found:
        return None
    reason = (found[1] or found[2]).splitlines()[0].strip()
    return InvalidInputError(
        f"PostgreSQL refuses the connection: {reason}.",
        "Correct user, password or name of the database in DATABASE_URL, or create them, then start again.",
    )
