"""`manage.py run_quality ID`: carry out one long check in this process; the background worker starts it."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from datasets.quality import runs
from engine.processes import die_with_parent, set_name

NICE = 5  # imports, pages and trainings go before it


class Command(BaseCommand):
    help = "Carry out one waiting quality check, then the other long ones that wait. The hub does so by itself."
    requires_migrations_checks = False
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int, metavar="ID")
        parser.add_argument("--stay", action="store_true", help="go on when the process that started it ends")

    def handle(self, *args: Any, run_id: int, stay: bool, **options: Any) -> None:
        if not stay:
            die_with_parent()
            if os.getppid() == 1:  # it ended before this was said
                return
        os.nice(NICE)
        key: int | None = run_id
        while key is not None:
            set_name(f"check {key}")
            ended = runs.run_quality(key, alone=True)
            self.stdout.write(f"Check of data {key}: {ended.status}. {ended.message}" if ended else "Nothing to do.")
            key = runs.next_long(after=key)
