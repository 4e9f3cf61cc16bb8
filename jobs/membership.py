"""Whether this machine belongs to the hub: the same release of the schema, the same home, the same secret key.

A machine that joins with only half of that would fail later, job by job, and in obscure words.
"""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from common.errors import ConflictError
from common.paths import home, home_identity, known_home
from jobs.models import SharedHome


def found(new_home: bool = False) -> None:
    """Note this machine's home as the hub's, where none is noted yet (or in any case, with `new_home`).

    ConflictError when the database belongs to another home.
    """
    facts = {"identity": home_identity(), "secret_digest": _secret_digest()}
    if new_home:
        SharedHome.objects.update_or_create(pk=1, defaults=facts)
        return
    row, _ = SharedHome.objects.get_or_create(pk=1, defaults=facts)
    if row.identity != facts["identity"]:
        raise ConflictError(
            f"The database belongs to another home than {home()}: the files of its data and models are not here.",
            "Set TRAINHUB_HOME to the hub's home. If that one is lost, or its files were copied here: "
            "manage.py prepare --new-home.",
        )
    SharedHome.objects.filter(pk=1).update(secret_digest=facts["secret_digest"])


def check() -> None:
    """Refuse to work as a node of this hub, in words, unless release, home and secret key are the hub's."""
    _check_schema()
    row = SharedHome.objects.filter(pk=1).first()
    if row is None:
        raise ConflictError("The hub has not been started yet.", "Run `make run` on its first machine, then this.")
    if row.identity != known_home():
        raise ConflictError(
            f"TRAINHUB_HOME ({home()}) is not the hub's home: data and checkpoints are files that all nodes share.",
            "Mount the hub's home on this machine, and set TRAINHUB_HOME to where it is.",
        )
    if row.secret_digest != _secret_digest():
        raise ConflictError(
            "TRAINHUB_SECRET_KEY is not the hub's.", "Set it to the hub's own; leave it out if the hub has none set."
        )


def _check_schema() -> None:
    loader = MigrationLoader(connection)
    known, applied = set(loader.disk_migrations), set(loader.applied_migrations)
    if applied - known:
        raise ConflictError(
            "The hub runs a newer release than this machine.", "Update TrainHub here, then start the node again."
        )
    if known - applied:
        raise ConflictError(
            "This machine runs a newer release than the hub, or the hub was never prepared.",
            "Update and start the hub first (make run, or manage.py prepare), then the node.",
        )


def _secret_digest() -> str:
    return hashlib.sha256(b"trainhub.shared-home:" + settings.SECRET_KEY.encode()).hexdigest()
