"""The proxy does to a connection what it says, and nothing else."""

import threading
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from faults.proxy import Proxy


@pytest.fixture
def line(transactional_db):
    """A way to connect through a proxy, and the proxy."""
    settings = connection.settings_dict
    proxy = Proxy(str(Path(settings["HOST"]) / ".s.PGSQL.5432"))
    proxy.start()
    url = f"postgresql://{settings['USER']}@127.0.0.1:{proxy.port}/{settings['NAME']}"
    connection.cursor().execute("CREATE TABLE fault_note (text varchar)")
    yield lambda: psycopg.connect(url, connect_timeout=5), proxy
    proxy.stop()
    connection.cursor().execute("DROP TABLE fault_note")


def notes():
    with connection.cursor() as cursor:
        cursor.execute("SELECT text FROM fault_note ORDER BY text")
        return [text for (text,) in cursor.fetchall()]


def test_a_swallowed_commit_took_place_and_was_reported_lost(line):
    connect, proxy = line
    for number in range(5):
        wish = proxy.swallow(b"fault_note", f"lost {number}".encode())
        client = connect()
        client.execute(f"INSERT INTO fault_note VALUES ('lost {number}')")
        with pytest.raises(psycopg.OperationalError):
            client.commit()
        assert wish.done.is_set() and wish.at
        client.close()
    assert notes() == [f"lost {number}" for number in range(5)]


def test_other_commits_pass(line):
    connect, proxy = line
    wish = proxy.swallow(b"something else")
    with connect() as client:
        client.execute("INSERT INTO fault_note VALUES ('kept')")
    assert notes() == ["kept"] and not wish.done.is_set()


def test_a_cut_line_is_an_error_and_the_next_one_works(line):
    connect, proxy = line
    client = connect()
    client.execute("SELECT 1")
    assert proxy.cut() == 1
    with pytest.raises(psycopg.OperationalError):
        client.execute("SELECT 1")
    client.close()
    with connect() as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


def test_a_silent_line_holds_everything_back_and_loses_nothing(line):
    connect, proxy = line
    client = connect()
    client.execute("SELECT 1")
    answered = threading.Event()

    def ask():
        client.execute("SELECT 1")
        answered.set()

    proxy.silence(True)
    thread = threading.Thread(target=ask)
    thread.start()
    assert not answered.wait(0.3)
    proxy.silence(False)
    assert answered.wait(5)
    thread.join()
    client.close()
