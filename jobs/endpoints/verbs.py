"""Making, changing and trying endpoints. A key goes in, is sealed, and comes out only in the run that uses it."""

from __future__ import annotations

import math
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction

from common.errors import ConflictError, InvalidInputError, UnavailableError
from common.parsers import check_text
from common.secrets import seal, unseal
from common.uniqueness import one_name
from engine import guarded
from engine.guarded import Allowance
from engine.protocol import EngineError, Source
from engine.recipes.generate.endpoint import Endpoint as Client
from engine.recipes.generate.endpoint import NoAnswerError
from jobs.models import Endpoint

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?")
PREFIX = "endpoint "  # before the name, where settings name models
MOST = 100  # of one person
MAX_URL, MAX_MODEL, MAX_KEY = 500, 200, 4000
MAX_SECONDS, MAX_RETRIES, MAX_RATE = 3600, 10, 1_000_000
TITLES = {
    "name": "Name", "url": "Address", "model": "Model", "key": "Key", "timeout_seconds": "Wait for an answer",
    "retries": "Ask again", "requests_per_minute": "Requests a minute",
}  # fmt: skip
TRY_SECONDS = 20.0
MOST_TRIES = 2  # of one person at once
QUESTION = "Answer with one word: ready?"


@dataclass(frozen=True)
class Tried:
    """What an endpoint said when it was tried."""

    text: str
    seconds: float


def allowance() -> Allowance:
    """Which hosts inside may be asked."""
    return Allowance.of(settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS)


def make(owner: AbstractBaseUser, *, name: str, url: str, model: str, key: str = "", **pace: Any) -> Endpoint:
    """A new endpoint; `pace` may hold timeout_seconds, retries, requests_per_minute. InvalidInputError names each field
    that can't be used, ConflictError when the name is taken."""
    endpoint = Endpoint(owner=owner)
    values = {"name": name, "url": url, "model": model, "key": key, **pace}
    with transaction.atomic():
        get_user_model().objects.select_for_update().only("pk").get(pk=owner.pk)
        if Endpoint.objects.filter(owner=owner).count() >= MOST:
            raise ConflictError(f"You have {MOST} endpoints, and more are not kept.", "Delete one that is not used.")
        return _write(endpoint, values)


def change(endpoint: Endpoint, **values: Any) -> Endpoint:
    """Change what is named. Another address needs the key again: it must not travel to a server that it was not given
    for, nor in the clear after it was sent sealed. An empty key takes the key away."""
    moved = "url" in values and _server(str(values["url"])) != _server(endpoint.url)
    if moved and endpoint.sealed_key and not values.get("key"):
        message = "The key was given for another server."
        raise InvalidInputError(message, "Enter the key for this one.", fields={"key": [message]})
    with transaction.atomic():
        return _write(Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk), values)


def _server(url: str) -> tuple[str, str]:
    """What a key is given for: a server, and the way to it. Nothing where the address is none, which is told later."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.netloc.lower()


def remove(endpoint: Endpoint) -> None:
    """Jobs that name it end with a sentence that says so."""
    endpoint.delete()


def try_out(endpoint: Endpoint, by: AbstractBaseUser) -> Tried:
    """Ask for one word. UnavailableError when there is no answer, with the server's reason; ConflictError when this
    person has some tries under way."""
    client = _client(endpoint)
    with _taking_part(by.pk):
        # A stranger's server takes its time, and the hub has few connections to its database.
        if not connection.in_atomic_block:
            connection.close()
        started = time.monotonic()
        try:
            text = client.answer([{"role": "user", "content": QUESTION}], 16, 0.0, 0)
        except NoAnswerError as error:
            raise UnavailableError(f"{endpoint.name}: {error}", "Check address, model and key.") from error
        return Tried(" ".join(text.split())[:200], time.monotonic() - started)


@contextmanager
def _taking_part(person: int) -> Iterator[None]:
    """One of the few tries that a person may have under way; all are made in the one web process."""
    with _TRYING_LOCK:
        if _TRYING[person] >= MOST_TRIES:
            raise ConflictError(f"{MOST_TRIES} of your tries are under way.", "Wait until one has ended, then try it.")
        _TRYING[person] += 1
    try:
        yield
    finally:
        with _TRYING_LOCK:
            _TRYING[person] -= 1
            if not _TRYING[person]:
                del _TRYING[person]


def _client(endpoint: Endpoint) -> Client:
    seconds = min(TRY_SECONDS, endpoint.timeout_seconds)
    source = Source(title=endpoint.name, url=endpoint.url, model=endpoint.model, timeout_seconds=seconds, retries=0)
    try:
        return Client(source, allowance(), lambda: None, key=key_of(endpoint))
    except EngineError as error:
        raise InvalidInputError(error.message, error.hint) from error


def key_of(endpoint: Endpoint) -> str:
    """The key in the clear: for a request to its own address, and for nothing else."""
    return unseal(endpoint.sealed_key) if endpoint.sealed_key else ""


def _write(endpoint: Endpoint, values: dict[str, Any]) -> Endpoint:
    wrong: dict[str, list[str]] = {}
    for name, value in values.items():
        try:
            if name == "key":
                endpoint.sealed_key = seal(_key(value)) if value else ""
            else:
                setattr(endpoint, name, _CHECKS[name](value))
        except ValueError as error:
            wrong[name] = [str(error)]
    if wrong:
        field, texts = next(iter(wrong.items()))
        raise InvalidInputError(f"{TITLES[field]}: {texts[0]}", "Correct that and save it again.", fields=wrong)
    with one_name(f"You have an endpoint called '{endpoint.name}' already.", "Choose another name."):
        endpoint.save()
    return endpoint


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("Use small letters, digits and dashes, at most 50, such as 'my-server'.")
    return value


def _url(value: str) -> str:
    value = value.strip().rstrip("/").removesuffix("/chat/completions")
    if len(value) > MAX_URL or any(ord(letter) <= 32 or letter in '\\"<>^`{|}?#' for letter in value):
        raise ValueError("This is no address of a server.")
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        host.encode("idna")
        parts.port  # noqa: B018 (raises for one that is none)
    except ValueError:
        raise ValueError("This is no address of a server.") from None
    if parts.scheme in {"http", "https"} and not host:
        raise ValueError("The address names no server: write it whole, such as https://api.example.com/v1.")
    if parts.scheme not in {"http", "https"}:
        raise ValueError("The address must begin with http:// or https://, such as https://api.example.com/v1.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave name and password out of the address; the key has a field of its own.")
    try:
        guarded.check_literal(host, allowance())
    except guarded.UnreachableError as error:
        raise ValueError(error.message) from None
    except guarded.RefusedError:
        raise ValueError(
            f"{host} lies inside the hub's own network. Who runs the hub can allow it by "
            "TRAINHUB_ALLOW_INTERNAL_ENDPOINTS."
        ) from None
    return value


def _model(value: str) -> str:
    check_text(value)
    if not 0 < len(value.strip()) <= MAX_MODEL:
        raise ValueError(f"Say what the server calls the model, in at most {MAX_MODEL} characters.")
    return value.strip()


def _key(value: str) -> str:
    value = value.strip()
    if len(value) > MAX_KEY or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"A key has no blanks, only plain letters and signs, and at most {MAX_KEY} characters.")
    return value


def _seconds(value: float) -> float:
    if not math.isfinite(value) or not 0 < value <= MAX_SECONDS:
        raise ValueError(f"Use more than 0 and at most {MAX_SECONDS:,} seconds.")
    return float(value)


def _whole(most: int) -> Any:
    def check(value: int) -> int:
        if isinstance(value, bool) or not 0 <= value <= most:
            raise ValueError(f"Use a whole number from 0 to {most:,}.")
        return int(value)

    return check


_CHECKS: dict[str, Any] = {
    "name": _name, "url": _url, "model": _model, "timeout_seconds": _seconds,
    "retries": _whole(MAX_RETRIES), "requests_per_minute": _whole(MAX_RATE),
}  # fmt: skip

_TRYING: Counter[int] = Counter()  # tries under way, by person
_TRYING_LOCK = threading.Lock()
