"""Whoever answers never waits: rows go into a buffer, from there in batches into the database, or else to the disk."""

import os
import signal
import time
from uuid import UUID

import pytest
from django.db import OperationalError

from registry.logged import spool
from registry.logged.buffer import Buffer
from registry.logged.policies import DEFAULT
from registry.logged.rows import new_ids, rows_of
from registry.logged.storing import store, unpacked
from registry.models import Prediction
from registry.routing import Choice
from tests.registry.logged.cast import CAT, asked, classifier


class Away:
    """A database that can be away."""

    def __init__(self):
        self.away, self.batches = False, []

    def __call__(self, rows):
        if self.away:
            raise OperationalError("gone")
        self.batches.append([row.id for row in rows])


@pytest.fixture
def folder(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path
    return tmp_path / "predictions"


def some(owner, count=3, version=None):
    ids = new_ids(count)
    given = asked(owner, *["x"] * count)
    return rows_of(given, Choice(version or classifier(owner)), ids, [CAT] * count, 1.0, DEFAULT)


def test_an_error_that_nobody_thought_of_does_not_end_the_writing(owner, folder, caplog):
    batches = []

    def into(rows):
        if not batches:
            batches.append([])
            raise KeyError("nobody thought of it")
        batches.append([row.id for row in rows])

    buffer = Buffer(into)
    first, second = some(owner), some(owner)
    buffer.put(first)
    assert buffer.flush()
    assert "nobody thought of it" in caplog.text
    buffer.retry_at = 0.0
    buffer.put(second)
    assert buffer.flush()
    buffer.close()
    assert {pk for batch in batches for pk in batch} == {row.id for row in [*first, *second]}


def test_rows_are_gathered_and_written_together(owner, folder):
    into = Away()
    buffer = Buffer(into)
    first, second = some(owner), some(owner)
    started = time.monotonic()
    buffer.put(first)
    buffer.put(second)
    assert time.monotonic() - started < 0.1 and not into.batches
    assert buffer.flush()
    assert into.batches == [[row.id for row in [*first, *second]]]
    assert not folder.exists()


def test_rows_are_written_without_being_asked(owner, folder):
    into = Away()
    buffer = Buffer(into)
    buffer.put(some(owner))
    until = time.monotonic() + 3
    while not into.batches and time.monotonic() < until:
        time.sleep(0.02)
    assert into.batches


def test_while_the_database_is_away_rows_are_on_the_disk_and_later_in_the_database(owner, folder):
    into = Away()
    buffer = Buffer(into)
    rows = some(owner)
    into.away = True
    buffer.put(rows)
    assert buffer.flush()
    (path,) = folder.glob("*.jsonl")
    assert [unpacked(line) for line in path.read_text().splitlines()] == rows
    assert spool.take_up() == 0, "the living process holds its file"
    into.away, buffer.retry_at = False, 0.0
    buffer.put(more := some(owner))
    assert buffer.flush()
    until = time.monotonic() + 3
    while buffer.spool.size and time.monotonic() < until:
        time.sleep(0.02)
    assert into.batches == [[row.id for row in more], [row.id for row in rows]] and path.stat().st_size == 0


def test_at_the_end_of_a_process_what_is_left_is_written(owner, folder):
    into = Away()
    buffer = Buffer(into)
    buffer.put(rows := some(owner))
    buffer.close()
    assert into.batches == [[row.id for row in rows]] and not list(folder.glob("*"))


@pytest.mark.django_db(transaction=True)
def test_the_thread_writes_rows_that_others_see(django_user_model, folder):
    owner = django_user_model.objects.create_user("alice")
    buffer = Buffer()
    buffer.put(rows := some(owner))
    assert buffer.flush()
    assert Prediction.objects.count() == 3
    store(rows)  # whether a batch arrived is not always known
    assert Prediction.objects.count() == 3
    buffer.close()


@pytest.mark.django_db(transaction=True)
def test_what_was_deleted_meanwhile_keeps_no_other_row_out(django_user_model, folder):
    owner = django_user_model.objects.create_user("alice")
    version, gone = classifier(owner), classifier(owner, "Gone")
    kept, lost = some(owner, 2, version), some(owner, 1, gone)
    kept[0] = kept[0]._replace(user_id=999_999, subject_id=5)
    gone.delete()
    store([*kept, *lost])
    assert set(Prediction.objects.values_list("user_id", "subject_id")) == {(None, None), (owner.pk, None)}


@pytest.mark.django_db(transaction=True)
def test_one_row_that_can_not_be_held_keeps_no_other_out(django_user_model, folder):
    owner = django_user_model.objects.create_user("alice")
    rows = some(owner, 3)
    rows[1] = rows[1]._replace(features="no json")
    store(rows)
    assert Prediction.objects.count() == 2


def test_what_a_dead_process_left_is_taken_up_without_its_torn_line(owner, folder):
    folder.mkdir(parents=True)
    rows = some(owner)
    lines = [f"{spool.packed(row)}\n" for row in rows]
    (folder / "host-1-a.jsonl").write_text("".join(lines[:2]) + lines[2][:40])
    assert spool.take_up() == 2
    assert Prediction.objects.count() == 2 and not list(folder.glob("*"))


def test_a_process_that_is_killed_lost_nothing_that_lay_on_the_disk(owner, folder):
    rows = some(owner, 1)
    child = os.fork()
    if not child:
        spool.Spool().append(rows)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert spool.take_up() == 1 and Prediction.objects.get().pk == UUID(rows[0].id)
