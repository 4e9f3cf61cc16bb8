"""A hub moves from its embedded database to a PostgreSQL server, whole or not at all."""

import shutil
import tempfile
from pathlib import Path

import psycopg
import pytest

from common.embedded_postgres import EmbeddedPostgres
from common.errors import ConflictError, InvalidInputError
from trainhub.moving import copy_database


@pytest.fixture
def server():
    """A server with two databases: a hub's, and an empty one."""
    folder = Path(tempfile.mkdtemp(prefix="thmv-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder, durable=False) as found:
        with psycopg.connect(found.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id bigserial PRIMARY KEY, text text)")
            connection.execute("INSERT INTO kept (text) SELECT 'row ' || n FROM generate_series(1, 3) n")
            connection.execute("CREATE DATABASE empty")
        yield found
    for path in (folder, found.run, found.data.parent):
        shutil.rmtree(path, ignore_errors=True)


def other(server, name="empty"):
    return server.url.replace("/trainhub?", f"/{name}?")


def test_tables_rows_and_counters_are_copied(server):
    assert copy_database(server.bin, server.url, other(server)) == 1
    with psycopg.connect(other(server)) as connection:
        connection.execute("INSERT INTO kept (text) VALUES ('the next')")
        assert connection.execute("SELECT max(id), count(*) FROM kept").fetchone() == (4, 4)


def test_a_database_that_is_not_empty_or_not_there_is_refused(server):
    with pytest.raises(ConflictError, match="not empty: it has 1 tables"):
        copy_database(server.bin, server.url, server.url)
    with pytest.raises(InvalidInputError, match='database "nowhere" does not exist'):
        copy_database(server.bin, server.url, other(server, "nowhere"))


def test_a_copy_that_fails_leaves_nothing(server):
    with psycopg.connect(other(server), autocommit=True) as connection:
        # Its last statements make the key; the table and its rows are there by then.
        connection.execute(
            "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full'; END $$"
        )
        connection.execute(
            "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION refuse()"
        )
    with pytest.raises(ConflictError, match=r"Nothing was copied: .*full"):
        copy_database(server.bin, server.url, other(server))
    with psycopg.connect(other(server)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'kept'").fetchone() == (0,)
