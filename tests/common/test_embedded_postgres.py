"""The embedded server: one for a home, stopped by the last who needs it, reachable only by its owner."""

import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from common import embedded_postgres
from common.embedded_postgres import EmbeddedPostgres


@pytest.fixture
def home():
    folder = Path(tempfile.mkdtemp(prefix="thpg-"))
    folder.chmod(0o755)
    yield folder
    server = EmbeddedPostgres(folder, durable=False)
    if server.running():
        server.stop("immediate")
    for path in (folder, server.run, server.data.parent):
        shutil.rmtree(path, ignore_errors=True)


def ask(server, question):
    with psycopg.connect(server.url) as connection:
        return connection.execute(question).fetchone()[0]


def test_the_last_who_needs_the_server_stops_it(home):
    first, second = EmbeddedPostgres(home, durable=False), EmbeddedPostgres(home, durable=False)
    with first:
        with second:
            assert ask(second, "SELECT 1") == 1
        assert first.running()
    assert not first.running()


def test_what_was_written_is_there_after_a_crash(home):
    server = EmbeddedPostgres(home)
    with server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
        server.stop("immediate")
        server.start()
        assert ask(server, "SELECT number FROM kept") == 42


def test_a_first_start_that_was_killed_half_way_keeps_no_later_one_out(home):
    draft = home / "postgres.draft"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("18")  # what initdb writes first
    (home / "postgres").mkdir(mode=0o700)
    with EmbeddedPostgres(home, durable=False) as server:
        assert ask(server, "SELECT 1") == 1
    assert not draft.exists()


def test_nothing_listens_on_tcp_and_the_socket_lies_in_a_private_folder(home):
    with EmbeddedPostgres(home, durable=False) as server:
        assert ask(server, "SHOW listen_addresses") == ""
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another user")
def test_a_home_that_the_servers_user_cannot_reach_stays_as_private_as_it_was(home):
    private = home / "private"
    private.mkdir(mode=0o700)
    try:
        for _ in range(2):  # the second time everything is there already
            with EmbeddedPostgres(private / "var", durable=False) as server:
                assert ask(server, "SELECT 1") == 1
        assert server.data.is_relative_to(embedded_postgres.ROOT_BASE)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        owner = subprocess.run(["stat", "-c", "%U", server.data], capture_output=True, text=True, check=True)
        assert owner.stdout.strip() == "nobody"
    finally:
        for path in (server.data.parent, server.run):
            shutil.rmtree(path, ignore_errors=True)
