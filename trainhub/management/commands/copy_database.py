"""`manage.py copy_database`: move a hub from its embedded database to a PostgreSQL server."""

from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from common.embedded_postgres import EmbeddedPostgres
from common.errors import ProblemError
from common.paths import home
from jobs.models import Node
from trainhub.moving import copy_database


class Command(BaseCommand):
    help = "Copy the embedded database into an empty one on a PostgreSQL server. The hub must be stopped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("url", help="postgresql://user:password@host:5432/name")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        if not settings.TRAINHUB_EMBEDDED:
            raise CommandError("This hub does not use its embedded database: DATABASE_URL is set. Run it without.")
        if Node.heard_of().exists():
            raise CommandError("The hub is running, so the copy would miss what comes. Stop it, then run this again.")
        server = EmbeddedPostgres(home())
        try:
            count = copy_database(server.bin, server.url, url)
        except ProblemError as error:
            raise CommandError(f"{error.message} {error.hint}") from None
        self.stdout.write(f"{count} tables were copied. Set DATABASE_URL to that address and start the hub.")
