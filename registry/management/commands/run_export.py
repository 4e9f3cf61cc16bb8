"""`manage.py run_export ID`: carry out one export in this process; the background worker starts it."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from engine.processes import die_with_parent, set_name
from registry import exporting

NICE = 5  # imports, pages and trainings go before it


class Command(BaseCommand):
    help = "Carry out one waiting export. The hub does so by itself."
    requires_migrations_checks = False
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("export_id", type=int, metavar="ID")
        parser.add_argument("--stay", action="store_true", help="go on when the process that started it ends")

    def handle(self, *args: Any, export_id: int, stay: bool, **options: Any) -> None:
        if not stay:
            die_with_parent()
            if os.getppid() == 1:  # it ended before this was said
                return
        os.nice(NICE)
        set_name(f"export {export_id}")
        ended = exporting.run_export(export_id)
        self.stdout.write(f"Export {export_id}: {ended.status}. {ended.message}" if ended else "Nothing to do.")
