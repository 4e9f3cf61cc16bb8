"""`manage.py node`: run this machine's workers."""

from __future__ import annotations

import socket
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import ProblemError
from jobs.needs import read_labels
from jobs.node import NodeManager, check_name, slots_of_this_machine


class Command(BaseCommand):
    help = "Run this machine's workers: one job at a time per slot. Stop with Ctrl-C or SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default=settings.TRAINHUB_NODE or socket.gethostname(), help="the node's name")
        parser.add_argument("--slots", default=settings.TRAINHUB_SLOTS, help="a number, or devices: cuda:0,cuda:1,cpu")
        parser.add_argument("--labels", default=settings.TRAINHUB_LABELS, help="words by which jobs ask for this node")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_name(options["name"])
            labels = read_labels(options["labels"])
            NodeManager(options["name"], slots_of_this_machine(options["slots"]), labels).run()
        except ProblemError as error:
            raise CommandError(f"{error.message} {error.hint}") from None
