"""`manage.py audit verify`: whether the audit trail is whole. `manage.py audit head`: the hash of its newest entry."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import chain


class Command(BaseCommand):
    help = "Check the audit trail, or show its newest entry's hash, to be kept elsewhere. Exit code 1: it is not whole."
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        verify = actions.add_parser("verify", help="make every entry's hash again and compare")
        verify.add_argument("--noted", metavar="HASH", default="", help="a hash noted before, which must be in it")
        actions.add_parser("head", help="the newest entry: its place and hash")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "head":
            newest = chain.head()
            self.stdout.write(f"{newest.place} {newest.hash}" if newest else "0 -")
            return
        verdict = chain.verify(options["noted"].strip().lower())
        if verdict.head:
            self.stdout.write(f"{verdict.count:,} entries; the newest is {verdict.head.place}, {verdict.head.hash}.")
        else:
            self.stdout.write("There are no entries.")
        problems = list(verdict.broken)
        if verdict.wrong > len(problems):
            problems.append(f"And {verdict.wrong - len(problems):,} more.")
        if verdict.unsealed:
            problems.append(f"Entries without a place in the chain: {verdict.unsealed:,}. Its trigger was off.")
        if verdict.expected is False:
            problems.append("The noted hash is not in the chain: entries were cut off, or all were made anew.")
        if problems:
            raise CommandError("The audit trail is not whole.\n" + "\n".join(problems))
        self.stdout.write("The audit trail is whole.")
