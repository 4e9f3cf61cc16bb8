"""`manage.py limits`: how many jobs users and subjects may have at a time."""

from __future__ import annotations

import argparse
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import CommandError, CommandParser

from datasets.models import Subject
from jobs import limits
from jobs.management.operator import OperatorCommand, row_id, show_json, show_table
from jobs.models import Limit


class Command(OperatorCommand):
    help = "See and set how many jobs a user or a subject may have running, and waiting or running, at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        listed = actions.add_parser("list", help="all limits, as without an action")
        listed.add_argument("--json", action="store_true")
        chosen = actions.add_parser("set", help="set a limit; a number that is left out is no limit")
        chosen.add_argument("--running", type=_number, metavar="N", help="running at a time")
        chosen.add_argument("--active", type=_number, metavar="N", help="not yet ended, waiting ones included")
        removed = actions.add_parser("remove", help="take a limit away")
        for one in (chosen, removed):
            whose = one.add_mutually_exclusive_group(required=True)
            whose.add_argument("--everyone", action="store_true", help="every user without a limit of their own")
            whose.add_argument("--of", metavar="NAME", help="the user whose limit it is")
            whose.add_argument("--subject", type=row_id, metavar="ID", help="the subject whose limit it is")
            self.add_user(one)

    def handle(self, *args: Any, action: str | None, **options: Any) -> None:
        with self.in_words():
            if action in {None, "list"}:
                self._list(options.get("json", False))
                return
            running, active = options.get("running"), options.get("active")
            if action == "set" and running is None and active is None:
                raise CommandError("Give --running or --active, or both. To take a limit away, use 'remove'.")
            by = self.acting(options["user"])
            user, subject = _user(options["of"]), _subject(options["subject"])
            row = limits.set_limit(by, user=user, subject=subject, max_running=running, max_active=active)
            self.stdout.write(f"{row}: {_said(running)} running, {_said(active)} active." if row else "Removed.")

    def _list(self, json: bool) -> None:
        rows = Limit.objects.select_related("user", "subject").order_by("user__username", "subject_id")
        told = [
            {
                "user": row.user.get_username() if row.user else None,
                "subject": row.subject_id,
                "max_running": row.max_running,
                "max_active": row.max_active,
            }
            for row in rows
        ]
        if json:
            show_json(self.stdout, told)
            return
        table = [(str(row), _said(row.max_running), _said(row.max_active)) for row in rows]
        show_table(self.stdout, ("whose", "running", "active"), table)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text[:40]}' is no whole number from 0")
    return int(text)


def _user(name: str | None) -> AbstractBaseUser | None:
    if name is None:
        return None
    found = get_user_model().objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user called '{name}'.")
    return found


def _subject(pk: int | None) -> Subject | None:
    if pk is None:
        return None
    found = Subject.objects.filter(pk=pk).first()
    if found is None:
        raise CommandError(f"There is no subject {pk}.")
    return found


def _said(number: int | None) -> str:
    return "no limit" if number is None else str(number)
