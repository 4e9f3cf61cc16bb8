"""Before Django: who sends an ASGI request, what an answer in problem details looks like, how long a body may be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AnonymousUser
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, parse_cookie

from common.errors import ProblemError, TooLargeError, database_away
from common.problems import CONTENT_TYPE, details

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

# What any form or JSON may weigh; more is for uploads, which only people who are signed in may send.
SMALL = 8 * 1024 * 1024


class BodyLimit:
    """ASGI application: refuses a body that is too long before it fills memory or disk; the rest goes to `inner`.

    Django reads a whole body before any view or upload handler sees it, so the limit must stand here. `largest`
    is for multipart forms of people who are signed in, in bytes; everything else may weigh `SMALL`.
    """

    def __init__(self, inner: Any, largest: int, authenticate: str) -> None:
        self.inner = inner
        self.largest = largest
        self.authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.inner(scope, receive, send)
            return
        headers = plain_headers(scope)
        declared = headers.get("content-length", "")
        length = int(declared) if declared.isdigit() else None
        limit = SMALL
        if (length is None or length > SMALL) and headers.get("content-type", "").startswith("multipart/form-data"):
            try:
                await asyncio.to_thread(_checked, headers, self.authenticate)
            except ProblemError as error:
                await answer(send, scope, error)
                return
            except (OperationalError, InterfaceError):
                await answer(send, scope, database_away())
                return
            limit = self.largest
        if length is not None and length > limit:
            await answer(send, scope, _too_large(limit))
            return
        await self.inner(scope, _Counting(receive, limit), send)


class _Counting:
    """Receives on behalf of the application; a body that outgrows the limit ends like a lost connection."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self.receive, self.left = receive, limit

    async def __call__(self) -> dict[str, Any]:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        return message if self.left >= 0 else {"type": "http.disconnect"}


def plain_headers(scope: Scope) -> dict[str, str]:
    """Header names in lower case, with their last value."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def signed_in(headers: dict[str, str], authenticate: str) -> Any:
    """The person behind a bearer token or a session cookie. Raises a problem with status 401 for nobody.

    `authenticate` is the dotted path of a function from key to token or None. Uses the database: call it in a thread.
    """
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        token = load(authenticate)(key.strip())
        user = token.user if token else AnonymousUser()
    else:
        user = _session_user(headers.get("cookie", ""))
    if not user.is_authenticated:
        error = ProblemError("Sign in first.", "Open /login, or send 'Authorization: Bearer <token>'.")
        error.status, error.code, error.title = 401, "not_authenticated", "Not signed in"
        raise error
    return user


def load(path: str) -> Any:
    """The object at a dotted path."""
    module, name = path.rsplit(".", 1)
    return getattr(import_module(module), name)


async def answer(send: Send, scope: Scope, error: ProblemError) -> None:
    """Send a problem as the whole answer."""
    body = json.dumps(details(error, scope["path"])).encode()
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _checked(headers: dict[str, str], authenticate: str) -> None:
    try:
        signed_in(headers, authenticate)
    finally:
        connections.close_all()


def _session_user(cookie: str) -> Any:
    request = HttpRequest()
    request.COOKIES = parse_cookie(cookie)
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    return get_user(request)


def _too_large(limit: int) -> TooLargeError:
    shown = f"{limit / 2**30:.0f} GiB" if limit >= 2**30 else f"{limit / 2**20:.0f} MiB"
    return TooLargeError(f"The request is larger than {shown}.", "Send the files in several uploads, or as archives.")
