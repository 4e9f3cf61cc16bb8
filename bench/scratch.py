"""A database of its own for one part of the bench. Django is set up for it once, so each part is a process.

With BENCH_HOME=/some/folder in the environment a part that takes long to fill keeps its database there, and the next
run finds it filled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEPT, FILLED = "BENCH_HOME", "filled"


@contextmanager
def database(kept: str = "", **environment: str) -> Iterator[Path]:
    """An empty hub's database in a home of its own, with Django set up for it; both are gone afterwards.

    A part that gives its name as `kept` finds what an earlier run left below BENCH_HOME, where that is set: whole, as
    it has written the file `FILLED` into the home.
    """
    stays = bool(kept and os.environ.get(KEPT))
    home = Path(os.environ[KEPT]).resolve() / kept if stays else Path(tempfile.mkdtemp(prefix="thbench-"))
    os.environ |= {"TRAINHUB_HOME": str(home), "DJANGO_SETTINGS_MODULE": "trainhub.settings", **environment}
    from common.embedded_postgres import EmbeddedPostgres

    if stays and not (home / FILLED).exists():
        _remove(EmbeddedPostgres(home))
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    home.chmod(0o755)
    server = EmbeddedPostgres(home)
    try:
        with server:
            _set_up()
            yield home
    finally:
        if not stays:
            _remove(server)


def _remove(server: Any) -> None:
    for folder in (server.home, server.run, server.data.parent):
        shutil.rmtree(folder, ignore_errors=True)


def _set_up() -> None:
    import django

    from common.paths import prepare_home

    prepare_home()
    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    # Whole pages are asked for without a hub that has collected its static files.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}

    call_command("migrate", verbosity=0)
