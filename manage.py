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

    from common.paths import home, known_home, prepare_home

    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command == "node" and not known_home() and not {"-h", "--help"} & set(sys.argv):
        # Before anything is written: a folder that was not mounted must not look like a hub's home afterwards.
        sys.exit(
            f"No hub was ever started in TRAINHUB_HOME ({home()}), so a node has nothing to join there. "
            "Set TRAINHUB_HOME to the hub's home, and mount it first; or start the hub with `make run`."
        )
    folder = prepare_home()
    if os.environ.get("DATABASE_URL") or command in WITHOUT_DATABASE:
        execute_from_command_line(sys.argv)
        return
    from common.embedded_postgres import EmbeddedPostgres

    with EmbeddedPostgres(folder):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
