"""Problems on the API: RFC 9457 problem details, with a hint."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from common.errors import ForbiddenError, InvalidInputError, NotFoundError, ProblemError, database_away

CONTENT_TYPE = "application/problem+json"


def details(error: ProblemError, instance: str) -> dict[str, Any]:
    """The body of a problem. `errors` maps fields to messages, only where the input was at fault."""
    body: dict[str, Any] = {
        "type": f"about:blank#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.message,
        "hint": error.hint,
        "code": error.code,
        "instance": instance,
    }
    if error.fields:
        body["errors"] = error.fields
    return body | error.extra


def problem_response(request: HttpRequest, error: ProblemError) -> HttpResponse:
    """For places that REST framework does not reach, such as middleware."""
    return JsonResponse(
        details(error, request.path), status=error.status, headers=waiting(error), content_type=CONTENT_TYPE
    )


def waiting(error: Exception) -> dict[str, str]:
    """The header that says when to try again, where an error knows that."""
    wait = getattr(error, "wait", None)
    return {"Retry-After": str(int(wait) + 1)} if wait else {}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's hook. None lets unknown errors through, to the server's own handling."""
    problem = _as_problem(error)
    if problem is None:
        return None
    set_rollback()
    headers = waiting(error) or waiting(problem)
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Response(
        details(problem, context["request"].path), problem.status, headers=headers, content_type=CONTENT_TYPE
    )


# The framework's messages and ours, as patterns: where a number is meant it is named.
WORDS = [(re.compile(pattern), words) for pattern, words in (
    (r"Ensure this field has no more than (\S+) characters\.", r"Write at most \1 characters."),
    (r"Ensure this field has at least (\S+) characters\.", r"Write at least \1 characters."),
    (r"Ensure this field has no more than (\S+) elements\.", r"Give at most \1."),
    (r"Ensure this field has at least (\S+) elements\.", r"Give at least \1."),
    (r"Ensure this value is less than or equal to (\S+)\.", r"It may be at most \1."),
    (r"Ensure this value is greater than or equal to (\S+)\.", r"It must be at least \1."),
    (r"Ensure that there are no more than (\S+) digits in total\.", r"Write at most \1 digits."),
    (r"Ensure that there are no more than (\S+) decimal places\.", r"Write at most \1 digits after the point."),
    (r"Ensure that there are no more than (\S+) digits before the decimal point\.",
     r"Write at most \1 digits before the point."),
    (r"Invalid data\. Expected a dictionary, but got (\S+)\.", r"This must be a JSON object, and is of the type \1."),
)]  # fmt: skip


def in_our_words(text: str) -> str:
    """A message of the framework as the hub would say it; others as they are."""
    for pattern, words in WORDS:
        if found := pattern.fullmatch(text):
            return found.expand(words).replace("at most 1 digits", "at most 1 digit")
    return text


def _as_problem(error: Exception) -> ProblemError | None:
    match error:
        case ProblemError():
            return error
        case Http404():
            return NotFoundError("There is nothing at this address for you.", "Check the id in the address.")
        case PermissionDenied():
            return ForbiddenError("You may not do this.", "Ask an administrator.")
        case OperationalError() | InterfaceError():
            return database_away()
        case exceptions.ValidationError():
            fields = _fields(error.detail)
            first = next((f"{name}: {texts[0]}" for name, texts in fields.items() if texts), "See errors.")
            return InvalidInputError(first, "Correct the named fields and send the request again.", fields=fields)
        case exceptions.APIException():
            return _from_api(error)
    return None


def _from_api(error: exceptions.APIException) -> ProblemError:
    hints = {
        400: "Check the body: JSON, in UTF-8, with Content-Type application/json.",
        401: "Send 'Authorization: Bearer <token>'. Get a token from POST /api/v1/auth/token or the settings page.",
        403: "Ask an administrator, or send the CSRF token when you use a session.",
        404: "Check the page number and the id in the address.",
        405: "See /api/v1/docs for the methods of this address.",
        406: "This API answers in JSON.",
        415: "Send JSON with Content-Type application/json, or multipart/form-data where files are expected.",
        429: "Wait, then try again; see Retry-After.",
    }
    problem = ProblemError(str(error.detail), hints.get(error.status_code, "See /api/v1/docs."))
    problem.status, problem.code = error.status_code, str(error.default_code)
    problem.title = HTTPStatus(error.status_code).phrase
    return problem


def _fields(detail: Any, prefix: str = "") -> dict[str, list[str]]:
    if isinstance(detail, dict):
        found: dict[str, list[str]] = {}
        for name, inner in detail.items():
            found |= _fields(inner, f"{prefix}.{name}" if prefix else str(name))
        return found
    if isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        found = {}
        for index, inner in enumerate(detail):
            found |= _fields(inner, f"{prefix}.{index}")
        return found
    prefix = ".".join(part for part in prefix.split(".") if part != "non_field_errors")
    return {
        prefix or "request": [in_our_words(str(text)) for text in (detail if isinstance(detail, list) else [detail])]
    }
