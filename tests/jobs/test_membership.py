"""A machine that is not of this hub is refused in words, before it takes a job."""

import pytest
from django.db.migrations.recorder import MigrationRecorder

from common.errors import ConflictError
from jobs import membership
from jobs.models import SharedHome

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


def test_the_identity_of_a_home_is_made_once(tmp_path, monkeypatch):
    from common.paths import home_identity

    monkeypatch.setenv("TRAINHUB_HOME", str(tmp_path))
    assert home_identity() == home_identity()
    assert [path.name for path in tmp_path.iterdir()] == ["home_id"]
