"""Copying a hub's database to another PostgreSQL server, with the programs of the embedded one."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from common.errors import ConflictError, InvalidInputError, database_refuses

TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"


def copy_database(programs: Path, source: str, target: str) -> int:
    """Copy all tables and rows of `source` into the empty database `target`, all or nothing; how many tables.

    Both are connection URLs, `programs` is the folder of pg_dump and psql. InvalidInputError for a target that can't
    be used, ConflictError for one that is not empty or refuses what is copied.
    """
    if found := _tables(target):
        raise ConflictError(f"The new database is not empty: it has {found} tables.", "Make an empty one, and name it.")
    address, secret = _apart(target)
    with tempfile.TemporaryDirectory() as folder:  # whole before it is loaded: half a dump would be taken for all
        copy = Path(folder) / "hub.sql"
        _run([programs / "pg_dump", "--no-owner", "--no-privileges", "--file", copy, "--dbname", source])
        load = [programs / "psql", "--quiet", "--no-psqlrc", "--single-transaction", "--set=ON_ERROR_STOP=1"]
        _run([*load, "--file", copy, "--output", os.devnull, "--dbname", address], secret)
    return _tables(target)


def _run(command: list[Path | str], secret: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=os.environ | (secret or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or f"{command[0]} gave no reason").splitlines()[0]
        raise ConflictError(
            f"Nothing was copied: {reason[:300]}",
            "Use a server of the embedded one's release (PostgreSQL 18) or newer, with room for the copy.",
        )


def _tables(url: str) -> int:
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            row = connection.execute(TABLES).fetchone()
    except psycopg.Error as error:
        hint = "Check the address: postgresql://user:password@host:5432/name"
        refused = database_refuses(error)
        raise InvalidInputError(refused.message if refused else f"It can't be reached: {error}", hint) from error
    return row[0] if row else 0


def _apart(url: str) -> tuple[str, dict[str, str]]:
    """The address without its password, which a list of processes would show, and that one for the environment."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    return make_conninfo(**parts), {"PGPASSWORD": str(password)} if password else {}
