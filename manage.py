#!/usr/bin/env python
"""Django's command line, with the embedded database running while a command needs it."""

import os
import sys

# Commands that never touch the database; everything else starts the embedded one when it isn't running.
WITHOUT_DATABASE = {
    "help",
    "version",
    "--help",
    "--version",
    "check",
    "collectstatic",
    "makemessages",
    "up",
    "spectacular",
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trainhub.settings")
    from django.core.management import execute_from_command_line

    from common.paths import prepare_home

    folder = prepare_home()
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if os.environ.get("DATABASE_URL") or command in WITHOUT_DATABASE:
        execute_from_command_line(sys.argv)
        return
    from common.embedded_postgres import EmbeddedPostgres

    with EmbeddedPostgres(folder):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
