"""Machines and limits by the API: seen by everyone, changed by administrators."""

from datetime import timedelta

import pytest
from django.utils import timezone

from datasets.subjects.subjects import create as create_subject
from jobs.limits import set_limit
from jobs.models import Limit, Node, NodeEvent
from tests.world import make_job, make_node, run

GPU = {"kind": "gpu", "index": 0, "name": "H100", "memory_bytes": 80 * 2**30, "uuid": "GPU-1", "cores": None}
CPU = {"kind": "cpu", "index": 0, "name": "EPYC", "memory_bytes": 1000, "uuid": None, "cores": 16}
FIGURES = {
    "system/cpu_percent": 12.5, "system/host_memory_percent": 50.0, "gpu/0/utilization_percent": 97.0,
    "gpu/0/memory_used_bytes": 5.0, "gpu/0/memory_total_bytes": 10.0, "gpu/0/power_watts": 300.0,
}  # fmt: skip


def test_a_node_shows_what_it_is_and_does(alice, db):
    until = timezone.now() + timedelta(hours=1)
    make_node(
        "n1", state=Node.State.ACTIVE, labels=["a100"], versions={"torch": "2.13"}, devices=[GPU, CPU], figures=FIGURES,
        set_aside_until=until, set_aside_reason="3 different jobs in a row died here",
    )  # fmt: skip
    node = alice.get("training/nodes/n1").json()
    assert alice.get("training/nodes").json()["results"] == [{k: v for k, v in node.items() if k != "events"}]
    assert (node["is_up"], node["takes_jobs"], node["is_set_aside"], node["draining"]) == (True, False, True, False)
    assert (node["labels"], node["versions"]) == (["a100"], {"torch": "2.13"})
    gpu, cpu = node["devices"]
    assert (gpu["name"], gpu["utilization_percent"], gpu["memory_used_bytes"], gpu["power_watts"]) == (
        "H100",
        97,
        5,
        300,
    )
    assert gpu["temperature_celsius"] is None
    assert (cpu["cores"], cpu["utilization_percent"], cpu["memory_used_bytes"]) == (16, 12.5, 500)


def test_only_those_who_may_see_a_job_learn_which_one_a_slot_runs(alice, mallory, staff, owner):
    job = make_job(owner, name="marker-job")
    run(job)
    for api, seen in ((alice, job.pk), (staff, job.pk), (mallory, None)):
        for address in ("training/nodes", "training/nodes/n1"):
            answer = api.get(address)
            node = answer.json()
            (slot,) = (node if "slots" in node else node["results"][0])["slots"]
            assert (slot["busy"], slot["job"]) == (True, seen)
            assert "marker" not in answer.content.decode()


def test_a_node_is_drained_and_resumed_each_once_however_often_it_is_sent(staff, administrator):
    make_node("n1", state=Node.State.ACTIVE)
    for verb, draining in (("drain", True), ("resume", False)):
        for _ in range(2):
            answer = staff.send("POST", f"training/nodes/n1/{verb}")
            assert answer.status_code == 200
            assert (answer.json()["draining"], answer.json()["takes_jobs"]) == (draining, not draining)
    assert [(one["kind"], one["actor"]) for one in answer.json()["events"]] == [
        ("resumed", "admin"), ("drained", "admin"),
    ]  # fmt: skip


def test_a_node_that_is_up_is_not_forgotten_and_one_that_is_gone_is(staff, db):
    make_node("n1", state=Node.State.ACTIVE)
    answer = staff.delete("training/nodes/n1")
    assert answer.status_code == 409
    assert "Drain it" in answer.json()["hint"]
    make_node("n1")
    assert staff.delete("training/nodes/n1").status_code == 204
    assert staff.delete("training/nodes/n1").status_code == 404
    assert not Node.objects.exists()


def test_nodes_are_changed_by_administrators_only(alice, db):
    make_node("n1")
    assert alice.send("POST", "training/nodes/n1/drain").status_code == 403
    assert alice.send("POST", "training/nodes/n1/resume").status_code == 403
    assert alice.delete("training/nodes/n1").status_code == 403
    assert Node.objects.filter(draining=False).exists()
    assert not NodeEvent.objects.exists()


def test_an_unknown_node_is_404_in_words(staff):
    answer = staff.get("training/nodes/nowhere")
    assert answer.status_code == 404
    assert "nowhere" in answer.json()["detail"]


# Limits


@pytest.fixture
def subject(owner):
    return create_subject(owner, name="press 4")


def test_limits_are_set_shown_and_sent_back(staff, owner, subject):
    body = {
        "default": {"max_running": 4, "max_active": 100},
        "users": [{"user": "alice", "max_running": 1}],
        "subjects": [{"subject": subject.pk, "max_active": 2}],
    }
    told = staff.send("PUT", "training/limits", body)
    assert told.status_code == 200, told.content
    assert told.json() == {
        "default": {"max_running": 4, "max_active": 100},
        "users": [{"user": "alice", "max_running": 1, "max_active": None}],
        "subjects": [{"subject": subject.pk, "name": "press 4", "max_running": None, "max_active": 2}],
    }
    assert staff.send("PUT", "training/limits", told.json()).json() == told.json()
    assert staff.get("training/limits").json() == told.json()
    assert Limit.objects.count() == 3


def test_a_part_that_is_sent_replaces_its_kind_and_the_others_stay(staff, administrator, owner, stranger):
    set_limit(administrator, max_running=4)
    set_limit(administrator, user=stranger, max_running=1)
    told = staff.send("PUT", "training/limits", {"users": [{"user": "alice", "max_active": 5}]}).json()
    assert [row["user"] for row in told["users"]] == ["alice"]
    assert told["default"]["max_running"] == 4
    told = staff.send("PUT", "training/limits", {"default": {}, "users": []}).json()
    assert told == {"default": {"max_running": None, "max_active": None}, "users": [], "subjects": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"users": [{"user": "nobody", "max_running": 1}]}, "users"),
        ({"users": [{"user": "alice", "max_running": 1}, {"user": "alice"}]}, "users"),
        ({"users": [{"max_running": 1}]}, "users.0.user"),
        ({"users": {"alice": 1}}, "users"),
        ({"subjects": [{"subject": 4711}]}, "subjects"),
        ({"default": {"max_running": -1}}, "default.max_running"),
        ({"default": {"max_active": 10**9}}, "default.max_active"),
        ({"default": 5}, "default"),
    ],
)
def test_limits_that_make_no_sense_change_nothing(staff, administrator, owner, body, field):
    set_limit(administrator, max_running=4)
    answer = staff.send("PUT", "training/limits", {"subjects": [], **body})
    assert answer.status_code == 400, answer.content
    assert any(name.startswith(field) for name in answer.json()["errors"]), answer.content
    assert Limit.objects.get().max_running == 4


def test_people_see_the_limits_that_concern_them_and_set_none(alice, administrator, owner, stranger, subject):
    theirs = create_subject(stranger, name="marker subject")
    set_limit(administrator, max_running=4)
    set_limit(administrator, user=owner, max_running=1)
    set_limit(administrator, user=stranger, max_running=2)
    set_limit(administrator, subject=subject, max_running=1)
    set_limit(administrator, subject=theirs, max_running=1)
    told = alice.get("training/limits").json()
    assert told["default"]["max_running"] == 4
    assert [row["user"] for row in told["users"]] == ["alice"]
    assert [row["subject"] for row in told["subjects"]] == [subject.pk]
    for body in ({"users": [{"user": "mallory", "max_running": 9}]}, {"users": [{"user": "nobody"}]}, {"users": 3}):
        assert alice.send("PUT", "training/limits", body).status_code == 403
    assert Limit.objects.get(user=stranger).max_running == 2


def test_a_limit_holds_for_the_next_job(alice, administrator, owner):
    set_limit(administrator, user=owner, max_active=1)
    assert alice.post_json("training/jobs", {"recipe": "simulate"}).status_code == 201
    answer = alice.post_json("training/jobs", {"recipe": "simulate"})
    assert answer.status_code == 409
    assert "limit is 1" in answer.json()["detail"]
