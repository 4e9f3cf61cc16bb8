"""What a unique constraint refuses, said in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from common.errors import ConflictError


@contextmanager
def one_name(message: str, hint: str) -> Iterator[None]:
    """Write a row whose name must be its own: ConflictError, marked at the field, when it is taken."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise ConflictError(message, hint, fields={"name": ["Taken."]}) from error
