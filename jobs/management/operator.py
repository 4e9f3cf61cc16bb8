"""What the commands for operators share: who acts, how rows are shown, and how an error ends."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import InterfaceError, OperationalError

from common.errors import ProblemError, database_away, database_refuses
from common.numbers import BIGINT_MAX


class OperatorCommand(BaseCommand):
    """A command of several actions. Exit codes: 0 done, 1 refused or failed, 2 the command line is wrong."""

    requires_migrations_checks = False

    def add_user(self, parser: CommandParser) -> None:
        parser.add_argument("--user", metavar="NAME", help="who acts (the first superuser when left out)")

    def acting(self, name: str | None) -> AbstractBaseUser:
        """Who acts. Said on standard error when nobody was named. CommandError when there is no such user."""
        users = get_user_model().objects.filter(is_active=True).order_by("pk")
        if name is not None:
            found = users.filter(username=name).first()
            if found is None:
                raise CommandError(f"There is no active user called '{name}'.")
            return found
        found = users.filter(is_superuser=True).first()
        if found is None:
            raise CommandError("There is no superuser to act as. Name a user with --user, or run createsuperuser.")
        self.stderr.write(f"Acting as {found.get_username()}.", self.style.NOTICE)
        return found

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Errors of verbs, and of an absent database, as this command's own."""
        try:
            yield
        except ProblemError as error:
            raise CommandError(f"{error.message} {error.hint}".strip()) from None
        except (OperationalError, InterfaceError) as error:
            away = database_refuses(error) or database_away()
            raise CommandError(f"{away.message} {away.hint}") from None


def row_id(text: str) -> int:
    """For argparse: the id of a row."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= BIGINT_MAX):
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is no id.")
    return int(text)


def show_json(out: OutputWrapper, value: Any) -> None:
    out.write(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def show_table(out: OutputWrapper, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns of equal width, the last one as it is."""
    texts = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(header))]
    for row in texts:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        out.write("  ".join([*cells, row[-1]]).rstrip())
