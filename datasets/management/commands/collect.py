"""`manage.py collect`: delete files of the store that nothing names any more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common import wording
from common.errors import ProblemError
from datasets.collecting import collect


class Command(BaseCommand):
    help = "Delete files of the store that nothing names and that are older than a day. The hub does so once a day."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        try:
            found = collect(dry_run=dry_run)
        except ProblemError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from None
        done = "would be freed" if dry_run else "are free again"
        self.stdout.write(
            f"{found.seen:,} files older than a day; {found.files:,} of them are named by nothing: "
            f"{wording.size(found.bytes)} {done}."
        )
