"""What is deployed becomes loaded, and what the model server says becomes rows and pushes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ

from engine.protocol import FailureCode
from engine.serving import client
from registry import tasks
from registry.models import Alias, Served
from registry.serving import reconciling, verbs
from registry.serving.reconciling import LAY_OUT, Reconciler
from tests.world import make_version

pytestmark = pytest.mark.django_db


class Server:
    """A model server that remembers the last wish and says what it is told to."""

    def __init__(self, monkeypatch) -> None:
        self.wishes, self.models, self.away = [], [], False
        self.pushed: list[str] = []
        monkeypatch.setattr(client, "wish", self.wish)
        monkeypatch.setattr(reconciling, "publish", self.pushed.append)

    def wish(self, path, wishes):
        if self.away:
            raise ConnectionRefusedError
        self.wishes = wishes
        return {"pid": 1, "models": self.models}

    def say(self, version, state="ready", requests=0, error=None, pids=(7,)):
        replicas = [{"pid": pid, "ready": True, "memory": 9, "requests": requests} for pid in pids]
        self.models = [{"key": f"version-{version.pk}", "state": state, "error": error, "replicas": replicas,
                        "memory": 9, "requests": requests, "restarts": 0}]  # fmt: skip


@pytest.fixture
def server(monkeypatch):
    return Server(monkeypatch)


@pytest.fixture
def deployed(owner):
    shutil.rmtree(Path(settings.TRAINHUB_HOME) / "artifacts", ignore_errors=True)  # ids start again in each test
    version = make_version(owner)
    verbs.deploy(version.model, owner, version=version, replicas=2)
    return version


def test_files_are_laid_out_in_the_background_before_a_version_is_loaded(
    deployed, server, django_capture_on_commit_callbacks
):
    node = Reconciler("n1", Path("/nowhere"))
    with django_capture_on_commit_callbacks(execute=True):
        node.reconcile()
        node.reconcile()
    assert server.wishes == []
    assert [row.task["func"] for row in OrmQ.objects.all()] == [LAY_OUT]
    tasks.lay_out(deployed.pk)
    node.reconcile()
    (wish,) = server.wishes
    assert (wish["key"], wish["replicas"], wish["kept"]) == (f"version-{deployed.pk}", 2, False)
    assert set(wish["checksums"]) == {"config.json", "model.safetensors"}


def test_the_next_champion_is_wished_at_once_and_the_last_one_stays_warm(owner, server):
    shutil.rmtree(Path(settings.TRAINHUB_HOME) / "artifacts", ignore_errors=True)
    from tests.registry.serving.test_deploying import name

    old, new = make_version(owner), make_version(owner)
    for version in (old, new):
        tasks.lay_out(version.pk)
    verbs.deploy(old.model, owner, alias="champion")
    name(old)
    node = Reconciler("n1", Path("/nowhere"))
    node.reconcile()
    assert [wish["key"] for wish in server.wishes] == [f"version-{old.pk}"]
    name(new, before=old)
    node.reconcile()
    assert [(wish["key"], wish["kept"]) for wish in server.wishes] == [
        (f"version-{new.pk}", False),
        (f"version-{old.pk}", True),
    ]
    assert Alias.objects.get().version == new


def test_what_the_server_says_is_written_when_it_changes_and_pushed(deployed, server):
    node = Reconciler("n1", Path("/nowhere"))
    server.say(deployed, "loading")
    node.reconcile()
    assert server.pushed == [f"model.{deployed.model_id}"]
    server.say(deployed, "ready")
    node.reconcile()
    node.reconcile()
    row = Served.objects.get()
    assert (row.state, row.replicas[0]["pid"], row.memory_bytes, row.node) == ("ready", 7, 9, "n1")
    assert len(server.pushed) == 2
    server.say(deployed, "ready", requests=5)
    node.reconcile()
    assert Served.objects.get().requests == 0  # counts alone wait a moment
    server.say(deployed, "failed", error={"message": "damaged", "hint": "restore"})
    node.reconcile()
    assert (Served.objects.get().message, Served.objects.get().hint) == ("damaged", "restore")


def test_what_is_no_longer_loaded_is_taken_away_with_what_a_dead_manager_left(deployed, owner, server):
    other = make_version(owner, "Other")
    Served.objects.create(version=other, node="n1", state="ready", heard_at=timezone.now())
    Served.objects.create(version=other, node="n2", state="ready", heard_at=timezone.now())
    node = Reconciler("n1", Path("/nowhere"))
    server.say(deployed)
    node.reconcile()
    assert set(Served.objects.values_list("version", "node")) == {(deployed.pk, "n1"), (other.pk, "n2")}
    server.models = []
    node.reconcile()
    assert list(Served.objects.values_list("node", flat=True)) == ["n2"]


def test_a_server_that_is_away_is_no_trouble(deployed, server):
    server.away = True
    assert Reconciler("n1", Path("/nowhere")).reconcile() is False


def test_keys_that_are_none_of_ours_are_passed_over(deployed, server):
    server.say(deployed)
    server.models[0]["key"] = "stranger"
    Reconciler("n1", Path("/nowhere")).reconcile()
    assert not Served.objects.exists()


def test_a_deployed_version_that_is_damaged_is_marked_before_anybody_asks_it(deployed, server):
    tasks.lay_out(deployed.pk)
    node = Reconciler("n1", Path("/nowhere"))
    failed = {"code": FailureCode.DAMAGED, "message": "model.safetensors is not what was saved.", "hint": "Restore it."}
    server.say(deployed, "failed", error=failed, pids=())
    node.reconcile()
    deployed.refresh_from_db()
    assert deployed.standing == "damaged" and "model.safetensors" in deployed.damage
    node.reconcile()
    assert server.wishes == []
