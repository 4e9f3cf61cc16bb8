"""Secrets at rest: sealed with a key that is derived from the hub's own, which lies outside of the database."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from common.errors import ConflictError

PURPOSE = b"trainhub secrets at rest"


def seal(secret: str) -> str:
    """A secret as it may be stored; the same one looks different each time."""
    return _box().encrypt(secret.encode()).decode()


def unseal(sealed: str) -> str:
    """The secret that `seal` was given. ConflictError when it was sealed with a key that the hub no longer has."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeError) as error:
        raise ConflictError(
            "A stored key can't be read: the hub's secret key is another one than when it was stored.",
            "Enter the key again, or bring back the earlier TRAINHUB_SECRET_KEY.",
        ) from error


def _box() -> MultiFernet:
    """Seals with the present key, and unseals with earlier ones too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    made = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(key.encode())
    return base64.urlsafe_b64encode(made)
