"""Where people are told: making, changing and deleting channels. A secret goes in sealed, and comes out to sign."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts.audit import write
from common.errors import ConflictError, InvalidInputError
from common.parsers import check_text
from common.secrets import seal, unseal
from common.uniqueness import one_name
from engine import guarded
from engine.guarded import Allowance
from jobs.automatic import mail
from performance.models import Channel
from performance.notices.webhook import PORTS

MOST = 20  # of one person
MAX_URL, MAX_SECRET, LEAST_SECRET = 500, 200, 16
TITLES = {"name": "Name", "kind": "Kind", "address": "Address", "secret": "Secret"}


def allowance() -> Allowance:
    """Which hosts inside may be told."""
    return Allowance.of(settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS)


def make(owner: AbstractBaseUser, *, name: str, kind: str, address: str = "", secret: str = "") -> tuple[Channel, str]:
    """A new channel, and the secret that a webhook is signed with ('' for mail); an empty one is made up.

    InvalidInputError names each field that can't be used, ConflictError when the name is taken.
    """
    secret = secret or secrets.token_urlsafe(32)
    with transaction.atomic():
        get_user_model().objects.select_for_update().only("pk").get(pk=owner.pk)
        if Channel.objects.filter(owner=owner).count() >= MOST:
            raise ConflictError(f"You have {MOST} channels, and more are not kept.", "Delete one that is not used.")
        values = {"name": name, "kind": kind, "address": address, "secret": secret}
        made = _write(Channel(owner=owner), values)
        write(owner, "made", made, kind=made.kind, address=_shown(made))
    return made, secret if made.kind == Channel.Kind.WEBHOOK else ""


@transaction.atomic
def change(channel: Channel, by: AbstractBaseUser, **values: Any) -> Channel:
    """Change what is named: name, address, enabled, secret. What kind it is stays."""
    row = Channel.objects.select_for_update(of=("self",)).select_related("owner").get(pk=channel.pk)
    changed = _write(row, values)
    write(by, "changed", changed, address=_shown(changed), enabled=changed.enabled, what=sorted(values))
    return changed


@transaction.atomic
def remove(channel: Channel, by: AbstractBaseUser) -> None:
    """Delete it, with what was sent to it. Rules that name it tell it nothing more."""
    write(by, "deleted", channel, kind=channel.kind, address=_shown(channel))
    channel.delete()


def secret_of(channel: Channel) -> bytes:
    """The secret in the clear: to sign what is sent, and for nothing else."""
    return unseal(channel.sealed_secret).encode()


def why_not(channel: Channel) -> str:
    """Why nothing can be sent there, in words; '' when it can."""
    if not channel.enabled:
        return "The channel is turned off."
    if not channel.owner.is_active:
        return "The account that it belongs to is closed."
    if channel.kind == Channel.Kind.MAIL:
        return "" if channel.address and mail.can_send() else mail.why_not(channel.owner)
    return ""


def mail_address(channel: Channel) -> str:
    return channel.address or channel.owner.email


def _shown(channel: Channel) -> str:
    """An address for the audit trail, which many read: paths of webhooks often are secrets themselves."""
    return urlsplit(channel.address).hostname or "" if channel.kind == Channel.Kind.WEBHOOK else channel.address


def _write(channel: Channel, values: dict[str, Any]) -> Channel:
    wrong: dict[str, list[str]] = {}
    for name in ("kind", "name", "address", "secret", "enabled"):  # what an address is depends on the kind
        if name not in values:
            continue
        try:
            _CHECKS[name](channel, values[name])
        except ValueError as error:
            wrong[name] = [str(error)]
    if wrong:
        field, texts = next(iter(wrong.items()))
        raise InvalidInputError(f"{TITLES[field]}: {texts[0]}", "Correct that and save it again.", fields=wrong)
    with one_name(f"You have a channel called '{channel.name}' already.", "Choose another name."):
        channel.save()
    return channel


def _set_kind(channel: Channel, value: str) -> None:
    if value not in Channel.Kind.values:
        raise ValueError("Choose mail or webhook.")
    channel.kind = value


def _set_name(channel: Channel, value: str) -> None:
    check_text(value)
    if not 0 < len(value.strip()) <= 100:
        raise ValueError("Type a name, at most 100 characters.")
    channel.name = value.strip()


def _set_address(channel: Channel, value: str) -> None:
    channel.address = _mail(channel, value.strip()) if channel.kind == Channel.Kind.MAIL else _url(value.strip(" "))


def _set_secret(channel: Channel, value: str) -> None:
    if channel.kind != Channel.Kind.WEBHOOK:
        return
    if not LEAST_SECRET <= len(value) <= MAX_SECRET or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"Use {LEAST_SECRET} to {MAX_SECRET} plain letters, digits and signs, without blanks.")
    channel.sealed_secret = seal(value)


def _set_enabled(channel: Channel, value: bool) -> None:
    channel.enabled = bool(value)


def _mail(channel: Channel, value: str) -> str:
    """Mail goes to one's own address, so that nobody has the hub write to others; administrators may name any."""
    if not value or value.lower() == channel.owner.email.lower():
        return ""
    if not channel.owner.is_staff:
        raise ValueError("Mail goes to the address of your account: leave this empty.")
    try:
        validate_email(value)
    except ValidationError:
        raise ValueError("This is no mail address.") from None
    return value


def _url(value: str) -> str:
    if not value or len(value) > MAX_URL or any(ord(letter) <= 32 or letter in '\\"<>^`{|}#' for letter in value):
        raise ValueError(f"Type the address of a server, at most {MAX_URL} characters: https://example.com/hook.")
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise ValueError("This is no address of a server.") from None
    if parts.scheme not in {"http", "https"} or not parts.netloc or not host:
        raise ValueError("The address must be whole, and begin with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("Leave name and password out of the address; what is sent is signed.")
    if port is not None and port not in PORTS and not allowance().names(guarded.bare(host)):
        raise ValueError(f"Port {port} is not used for this: {', '.join(map(str, sorted(PORTS)))} are.")
    try:
        guarded.check_literal(host, allowance())
    except guarded.RefusedError as error:
        if isinstance(error, guarded.UnreachableError):
            raise ValueError(error.message) from None
        raise ValueError(
            f"{host} lies inside the hub's own network. Who runs the hub can allow it by "
            "TRAINHUB_ALLOW_INTERNAL_WEBHOOKS."
        ) from None
    return value


_CHECKS: dict[str, Any] = {
    "kind": _set_kind, "name": _set_name, "address": _set_address, "secret": _set_secret, "enabled": _set_enabled,
}  # fmt: skip
