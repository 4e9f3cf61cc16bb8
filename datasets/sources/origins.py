"""What may be asked for: checked at every door, shown without secrets, and freed of them when it is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from common.errors import InvalidInputError
from common.parsers import check_text
from datasets.sources import guard, roots

MAX_TEXT = 2_000
SECRETS = {"access_key", "secret_key", "session_token"}
BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")
FIELDS = {
    "url": {"url"},
    "s3": {"endpoint", "bucket", "prefix", "region", *SECRETS},
    "folder": {"path"},
}
TITLES = {"url": "a web address", "s3": "a bucket", "folder": "a folder of the server"}


def checked(given: Any) -> dict[str, Any]:
    """An origin as an import keeps it. InvalidInputError names the field that can't be used."""
    kind = given.get("kind") if isinstance(given, dict) else None
    if kind not in FIELDS:
        raise _wrong("kind", f"It is not said what kind of source this is: {', '.join(FIELDS)}.")
    texts = {name: _text(name, given[name]) for name in FIELDS[kind] if given.get(name) not in (None, "")}
    if unknown := set(given) - FIELDS[kind] - {"kind"}:
        raise _wrong(sorted(unknown)[0][:50], f"There is no such field for {TITLES[kind]}.")
    return {"kind": kind, **_CHECKS[kind](texts)}


def shown(origin: dict[str, Any]) -> str:
    """Where it comes from, in words without anything secret."""
    match origin.get("kind"):
        case "url":
            return public(origin["url"])
        case "s3":
            return f"{origin['endpoint']}/{origin['bucket']}/{origin.get('prefix', '')}"
        case "folder":
            return str(origin["path"])
        case "items":
            return "files of this dataset, read again"
    return ""


def without_secrets(origin: dict[str, Any]) -> dict[str, Any]:
    """What may stay once nothing more is fetched: no keys, and no query, which may hold a signature."""
    kept = {name: value for name, value in origin.items() if name not in SECRETS}
    return kept | {"url": public(kept["url"])} if kept.get("kind") == "url" else kept


def public(url: str) -> str:
    """A web address without its query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def web_address(text: str, field: str = "url") -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query) of a web address; InvalidInputError for anything but http and https."""
    if any(ord(letter) <= 32 or letter in '\\"<>^`{|}' or ord(letter) == 127 for letter in text):
        raise _wrong(field, "The address holds characters that no web address has.")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:
        raise _wrong(field, "This is no web address.") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise _wrong(field, "The address must begin with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise _wrong(field, "The address holds a name or password. Leave them out: they would be kept.")
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path


def _url(texts: dict[str, str]) -> dict[str, str]:
    url = _needed(texts, "url")
    _, host, _, _ = web_address(url)
    guard.check_literal(host)
    return {"url": url}


def _s3(texts: dict[str, str]) -> dict[str, str]:
    endpoint = _needed(texts, "endpoint").rstrip("/")
    _, host, _, path = web_address(endpoint, "endpoint")
    if path != "/":
        raise _wrong("endpoint", "The endpoint is an address without a path; the bucket has a field of its own.")
    guard.check_literal(host)
    if not BUCKET.fullmatch(_needed(texts, "bucket")):
        raise _wrong("bucket", "This is no name of a bucket.")
    if ("access_key" in texts) != ("secret_key" in texts):
        raise _wrong("secret_key", "Give both keys, or none for a public bucket.")
    return texts | {"endpoint": endpoint}


def _folder(texts: dict[str, str]) -> dict[str, str]:
    return {"path": str(roots.find(Path(_needed(texts, "path"))))}


def _needed(texts: dict[str, str], name: str) -> str:
    if not texts.get(name):
        raise _wrong(name, "This is needed.")
    return texts[name]


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _wrong(name, f"This is a text of at most {MAX_TEXT:,} characters.")
    try:
        check_text(value)
    except ValueError as error:
        raise _wrong(name, str(error)) from error
    return value.strip()


def _wrong(field: str, text: str) -> InvalidInputError:
    return InvalidInputError(text, "Correct it and try again.", fields={f"origin.{field}": [text]})


_CHECKS = {"url": _url, "s3": _s3, "folder": _folder}
