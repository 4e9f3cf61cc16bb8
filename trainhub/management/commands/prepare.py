"""`manage.py prepare`: bring database and assets up to date, and make the first administrator."""

from __future__ import annotations

import os
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from common.errors import ProblemError, database_refuses
from jobs import membership
from registry.access import make_roles


def migrate() -> None:
    """Bring the schema up to date; a second start, with nothing to do, is spared most of the command's work."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
    else:  # one that has gone through the whole chain is put down as standing at the baselines, too
        executor.check_replacements()


class Command(BaseCommand):
    help = "Migrate, collect static files, and create an administrator when there is none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--new-home", action="store_true", help="the hub's files lie in this TRAINHUB_HOME from now on"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            migrate()
            membership.found(options["new_home"])
        except ProblemError as error:
            raise CommandError(f"{error.message} {error.hint}") from None
        except OperationalError as error:
            if problem := database_refuses(error):
                raise CommandError(f"{problem.message} {problem.hint}") from None
            raise
        self._collect_static()
        make_roles()
        self._administrator()

    def _collect_static(self) -> None:
        """Only when a source file is newer than what was collected: a second start takes seconds."""
        manifest = settings.STATIC_ROOT / "staticfiles.json"
        names = ("static", "package-lock.json", "constraints.txt")  # packages bring static files too
        sources = [settings.BASE_DIR / name for name in names]
        files = [path for source in sources for path in ([source, *source.rglob("*")] if source.is_dir() else [source])]
        newest = max((path.stat().st_mtime for path in files if path.exists()), default=0.0)
        if not manifest.exists() or manifest.stat().st_mtime < newest:
            # Old files stay: names carry a hash of the content, and a hub that runs here still serves its own.
            call_command("collectstatic", interactive=False, verbosity=0)

    def _administrator(self) -> None:
        users = get_user_model()
        if users.objects.filter(is_superuser=True).exists():
            return
        given = os.environ.get("TRAINHUB_ADMIN_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)
        users.objects.create_superuser("admin", "", password)
        shown = "the one in TRAINHUB_ADMIN_PASSWORD" if given else password
        self.stdout.write(f"\nAn administrator was created.\n  user:     admin\n  password: {shown}")
        if not given:
            self.stdout.write("  This password is shown once. Change it under Settings.\n")
