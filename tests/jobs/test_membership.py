"""A machine that is not of this hub is refused in words, before it takes a job."""

import os
import subprocess
import sys
from contextlib import nullcontext

import pytest
from django.db import OperationalError
from django.db.migrations.recorder import MigrationRecorder

from common.errors import ConflictError, InvalidInputError, database_refuses
from common.paths import PROJECT
from jobs import membership
from jobs.models import SharedHome
from jobs.node import NodeManager

pytestmark = pytest.mark.django_db


def test_the_first_machine_founds_the_hub_and_its_nodes_belong_to_it():
    with pytest.raises(ConflictError, match="not been started"):
        membership.check()
    membership.found()
    membership.found()
    membership.check()


def test_another_home_is_refused_until_it_is_declared_the_hubs(tmp_path, monkeypatch):
    membership.found()
    monkeypatch.setenv("TRAINHUB_HOME", str(tmp_path))
    with pytest.raises(ConflictError, match="is not the hub's home") as refused:
        membership.check()
    assert str(tmp_path) in refused.value.message
    with pytest.raises(ConflictError, match="belongs to another home") as refused:
        membership.found()
    assert "--new-home" in refused.value.hint
    membership.found(new_home=True)
    membership.check()


def test_another_secret_key_is_refused():
    membership.found()
    SharedHome.objects.update(secret_digest="other")
    with pytest.raises(ConflictError, match="TRAINHUB_SECRET_KEY is not the hub's"):
        membership.check()


def test_a_newer_hub_and_a_newer_machine_are_told_apart():
    membership.found()
    newer = MigrationRecorder.Migration.objects.create(app="jobs", name="9999_from_the_future")
    with pytest.raises(ConflictError, match="hub runs a newer release"):
        membership.check()
    newer.delete()
    MigrationRecorder.Migration.objects.filter(app="jobs", name__startswith="0002").delete()
    with pytest.raises(ConflictError, match="machine runs a newer release"):
        membership.check()


def test_whether_a_home_is_the_hubs_is_looked_up_without_writing_into_it(tmp_path, monkeypatch):
    membership.found()
    monkeypatch.setenv("TRAINHUB_HOME", str(tmp_path))
    with pytest.raises(ConflictError, match="is not the hub's home"):
        membership.check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", ["", "postgresql://user@127.0.0.1:1/none"])
def test_a_node_in_a_folder_that_no_hub_has_is_refused_before_anything_is_written(tmp_path, database):
    environment = os.environ | {"TRAINHUB_HOME": str(tmp_path), "DATABASE_URL": database}
    ended = subprocess.run(
        [sys.executable, PROJECT / "manage.py", "node"], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"No hub was ever started in TRAINHUB_HOME ({tmp_path})" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('connection failed: FATAL:  role "x" does not exist', 'role "x" does not exist.'),
        ('FATAL:  database "x y" does not exist', 'database "x y" does not exist.'),
        ('FATAL:  password authentication failed for user "u"\nmore', 'password authentication failed for user "u".'),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "u"', "no pg_hba.conf entry"),
        ("fe_sendauth: no password supplied", "no password supplied."),
        ("FATAL:  the database system is starting up", None),
        ("FATAL:  sorry, too many clients already", None),
        ("connection failed: Connection refused", None),
    ],
)
def test_a_database_that_refuses_for_good_is_told_from_one_that_is_away(said, told, monkeypatch):
    problem = database_refuses(OperationalError(said))
    assert (problem is None) == (told is None)
    if problem:
        assert told in problem.message and "DATABASE_URL" in problem.hint

    manager = NodeManager("n", [])
    calls = []

    def ask():
        calls.append(1)
        manager.stopping = len(calls) > 1
        raise OperationalError(said)

    monkeypatch.setattr("jobs.node.time.sleep", lambda seconds: None)
    with pytest.raises(InvalidInputError) if told else nullcontext():
        manager._with_database(ask, first=True)
    assert len(calls) == (1 if told else 2), "only what may come back is asked again"


def test_the_identity_of_a_home_is_made_once(tmp_path, monkeypatch):
    from common.paths import home_identity

    monkeypatch.setenv("TRAINHUB_HOME", str(tmp_path))
    assert home_identity() == home_identity()
    assert [path.name for path in tmp_path.iterdir()] == ["home_id"]
