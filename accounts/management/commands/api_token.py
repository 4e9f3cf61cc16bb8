"""Make an API token for a user and print its key, once."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import tokens
from common.errors import ProblemError


class Command(BaseCommand):
    help = "Make an API token for a user. The key is printed once and can't be read again."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="Made on the command line", help="what the token is for")
        parser.add_argument("--days", type=int, default=None, help="valid for so many days; without: until revoked")

    def handle(self, *args: Any, username: str, name: str, days: int | None, **options: Any) -> None:
        user = get_user_model().objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user called {username}.")
        try:
            expires_at = timezone.now() + timedelta(days=days) if days is not None else None
            _, key = tokens.create(user, name, expires_at)
        except (ProblemError, OverflowError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(key)
