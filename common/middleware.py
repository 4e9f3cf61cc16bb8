"""What every response goes through: content policy, problems in words, an absent database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.errors import ProblemError, database_away
from common.problems import problem_response

log = logging.getLogger(__name__)
Handler = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self'; font-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class ContentSecurityPolicyMiddleware:
    """Scripts, styles and connections come from the hub itself only; pages of people are not cached."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class DatabaseAwayMiddleware:
    """While PostgreSQL is away every door answers 503 in words, at once, and none shows a traceback."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, OperationalError | InterfaceError):
            return None
        log.warning("database away: %s", error)
        return problem_page(request, database_away())


class ProblemMiddleware:
    """A problem raised by a page's verb becomes a page, or a toast for HTMX, that says what to do next."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return problem_page(request, error) if isinstance(error, ProblemError) else None


def problem_page(request: HttpRequest, error: ProblemError) -> HttpResponse:
    """The error as problem details for the API, as a fragment for HTMX, else as a page."""
    if request.path.startswith("/api/"):
        return problem_response(request, error)
    htmx = bool(getattr(request, "htmx", False))
    template = "problem_fragment.html" if htmx else "problem.html"
    return render(request, template, {"problem": error}, status=error.status)
