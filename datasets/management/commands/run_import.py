"""`manage.py run_import ID`: carry out one import in this process; the background worker starts it."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from datasets.intake.imports import run_import
from engine.processes import die_with_parent, set_name


class Command(BaseCommand):
    help = "Carry out one waiting import in this process. The hub does so by itself."
    requires_migrations_checks = False
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("import_id", type=int, metavar="ID")
        parser.add_argument("--stay", action="store_true", help="go on when the process that started it ends")

    def handle(self, *args: Any, import_id: int, stay: bool, **options: Any) -> None:
        if not stay:
            die_with_parent()
            if os.getppid() == 1:  # it ended before this was said
                return
        set_name(f"import {import_id}")
        ended = run_import(import_id, here=True)
        self.stdout.write(f"Import {import_id}: {ended.status}. {ended.message}" if ended else "Nothing to do.")
