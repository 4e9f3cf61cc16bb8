"""`manage.py quality_checks`: write the table of quality checks into docs/data.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from datasets.quality.codes import table

START = "<!-- The checks, written by: python manage.py quality_checks -->\n"
END = "<!-- End of the checks -->\n"


def written(text: str) -> str:
    """The guide with the table as the registry has it."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n{table()}\n{END}{after}"


class Command(BaseCommand):
    help = "Write the table of quality checks into docs/data.md."
    requires_migrations_checks = False

    def handle(self, *args: Any, **options: Any) -> None:
        path = Path(settings.BASE_DIR) / "docs" / "data.md"
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        self.stdout.write("docs/data.md holds the checks.")
