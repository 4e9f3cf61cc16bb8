"""A database of its own for one part of the bench. Django is set up for it once, so each part is a process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def database(**environment: str) -> Iterator[None]:
    """An empty hub's database in a home of its own, with Django set up for it; both are gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="thbench-"))
    home.chmod(0o755)
    os.environ |= {"TRAINHUB_HOME": str(home), "DJANGO_SETTINGS_MODULE": "trainhub.settings", **environment}
    from common.embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres(home)
    try:
        with server:
            _set_up()
            yield
    finally:
        for folder in (home, server.run, server.data.parent):
            shutil.rmtree(folder, ignore_errors=True)


def _set_up() -> None:
    import django

    from common.paths import prepare_home

    prepare_home()
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
