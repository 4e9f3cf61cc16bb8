"""Nodes: who may change them, which are set aside, and one manager for each name."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from common.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from engine.telemetry import Device
from jobs import conclusion, nodes
from jobs.conclusion import Ended, Ending
from jobs.models import Attempt, Job, Node, NodeEvent
from jobs.node import NodeManager, slots_of_this_machine
from jobs.queue import claim
from jobs.reasons import waiting_reason
from tests.jobs.test_state_machine import ENDS, report

CRASH = Ending(Ended(signal=11))


@pytest.fixture
def node(slot):
    return slot.node


def kinds(node):
    return list(NodeEvent.objects.filter(node=node).order_by("id").values_list("kind", flat=True))


def fail_one(make_job, slot, myself, how=CRASH, steps=0):
    """A new job that dies on the slot, and is out of the way then."""
    make_job()
    attempt = claim(slot, myself)
    if steps:
        report(attempt.job_id, attempt.number, step=steps)
    conclusion.conclude(attempt.job_id, attempt.number, how)
    Job.objects.filter(completed_at=None).update(status="paused", not_before=None, waiting_for="")
    return attempt.job_id


def test_a_node_that_is_drained_finishes_and_takes_nothing_more(node, running, make_job, slot, myself, administrator):
    waits = make_job()
    assert nodes.drain(node, administrator).draining
    nodes.drain(node, administrator)
    assert kinds(node) == ["drained"]
    conclusion.conclude(running.job_id, 1, ENDS["completed"])
    assert claim(slot, myself) is None
    assert waiting_reason(waits) == "Needs a device: node n1 has that, but takes no new jobs (it is being drained)."
    nodes.resume(node, administrator)
    nodes.resume(node, administrator)
    assert kinds(node) == ["drained", "resumed"]
    assert claim(slot, myself).job_id == waits.pk


@pytest.mark.parametrize("verb", [nodes.drain, nodes.resume, nodes.forget])
def test_only_administrators_and_the_operator_change_nodes(node, owner, verb):
    with pytest.raises(ForbiddenError):
        verb(node, owner)
    Node.objects.update(state=Node.State.STOPPED)
    verb(node, None)


def test_a_node_is_forgotten_only_when_it_is_gone_and_holds_nothing(node, running, administrator):
    with pytest.raises(ConflictError, match="is up"):
        nodes.forget(node, administrator)
    Node.objects.update(state=Node.State.STOPPED)
    with pytest.raises(ConflictError, match="still holds a job"):
        nodes.forget(node, administrator)
    conclusion.requeue(running.job_id, 1, Attempt.Outcome.LOST, "gone")
    nodes.forget(node, administrator)
    assert not Node.objects.exists()
    assert Attempt.objects.get().slot is None  # what ran there is still told
    with pytest.raises(NotFoundError):
        nodes.drain(node, administrator)


def test_a_wrong_clock_here_neither_forgets_a_living_node_nor_takes_its_name(node, administrator, monkeypatch):
    later = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    with pytest.raises(ConflictError, match="is up"):
        nodes.forget(node, administrator)
    Node.objects.filter(pk=node.pk).update(host="elsewhere")
    with pytest.raises(ConflictError, match="is running on elsewhere"):
        NodeManager("n1", ["cpu"])._register()


def test_a_node_that_fails_job_after_job_is_set_aside_and_says_why(
    node, make_job, slot, myself, settings, administrator
):
    for count in range(settings.NODE_FAILURES):
        node.refresh_from_db()
        assert not node.is_set_aside and len(node.failures_in_a_row) == count
        fail_one(make_job, slot, myself)
    node.refresh_from_db()
    assert node.is_set_aside
    assert node.set_aside_reason.startswith(
        "5 different jobs in a row died here before their first step, the last with"
    )
    waits = make_job()
    assert claim(slot, myself) is None
    assert "but is set aside: 5 different jobs" in waiting_reason(waits)
    assert kinds(node) == ["set_aside"]
    nodes.resume(node, administrator)
    assert claim(slot, myself).job_id == waits.pk


def test_a_node_that_was_set_aside_is_tried_again_after_a_while(node, make_job, slot, myself, settings):
    settings.NODE_FAILURES = 1
    fail_one(make_job, slot, myself)
    waits = make_job()
    assert claim(slot, myself) is None
    Node.objects.update(set_aside_until=timezone.now() - timedelta(seconds=1))
    assert claim(slot, myself).job_id == waits.pk


def test_one_job_that_dies_again_and_again_is_not_the_nodes_fault(node, running, slot, myself):
    for number in range(1, 5):
        conclusion.conclude(running.job_id, number, CRASH)
        Job.objects.update(status="queued", not_before=None, waiting_for="")
        claim(slot, myself)
    node.refresh_from_db()
    assert node.failures_in_a_row == [running.job_id]


@pytest.mark.parametrize(
    ("how", "steps", "left"),
    [
        (ENDS["completed"], 0, 0),
        (ENDS["stopped"], 0, 0),
        (CRASH, 3, 0),  # it got further
        (ENDS["code"], 3, 0),
        (ENDS["code"], 0, 2),  # its own fault, which says nothing of the machine
        (ENDS["oom"], 0, 2),
        (CRASH, 0, 3),
        (ENDS["disk"], 0, 3),
    ],
)
def test_what_clears_the_count_of_a_node_and_what_adds_to_it(node, make_job, slot, myself, how, steps, left):
    for _ in range(2):
        fail_one(make_job, slot, myself)
    fail_one(make_job, slot, myself, how, steps)
    node.refresh_from_db()
    assert len(node.failures_in_a_row) == left


def test_an_attempt_that_never_began_did_not_get_further_than_the_one_before(node, running, slot, myself):
    report(running.job_id, 1, step=9)
    conclusion.conclude(running.job_id, 1, CRASH)
    assert claim(slot, myself).number == 2
    conclusion.conclude(running.job_id, 2, CRASH)
    node.refresh_from_db()
    assert node.failures_in_a_row == [running.job_id]


# One manager for each name


def manager(name="n1"):
    return NodeManager(name, ["cpu"])


def test_a_second_manager_of_a_name_is_refused_while_the_first_lives_elsewhere(node):
    Node.objects.update(host="another", boot_id="other")
    with pytest.raises(ConflictError, match="A node called 'n1' is running on another"):
        manager()._register()
    assert Node.objects.get().instance == node.instance


@pytest.mark.parametrize("sign", ["silent", "stopped"])
def test_the_name_of_a_dead_manager_is_taken_over_and_the_old_one_stops(node, sign):
    long_ago = timezone.now() - timedelta(hours=1)
    gone = {"heartbeat_at": long_ago} if sign == "silent" else {"state": Node.State.STOPPED}
    Node.objects.update(host="another", boot_id="other", **gone)
    old, new = manager(), manager()
    old.node, old.instance = node, node.instance
    new._register()
    row = Node.objects.get()
    assert (row.instance, row.state) == (new.instance, "active")
    old._beat()
    assert old.stopping
    new._beat()
    assert not new.stopping


def test_a_dead_manager_of_this_machine_is_replaced_at_once(node):
    Node.objects.update(state=Node.State.STOPPED)
    manager()._register()
    with pytest.raises(ConflictError):
        manager()._register()  # its process lives: it is this one
    Node.objects.update(manager_start=1)  # another process has its number now
    second = manager()
    second._register()
    assert Node.objects.get().instance == second.instance


def test_a_node_that_was_forgotten_while_it_could_not_be_heard_comes_back(node):
    mine = manager()
    Node.objects.filter(pk=node.pk).update(state=Node.State.STOPPED)
    mine._register()
    Node.objects.all().delete()
    mine._beat()
    assert Node.objects.get().instance == mine.instance != uuid.UUID(int=0)


@pytest.mark.parametrize("wanted", ["gpu", "cuda", "cuda:x", "-1", "²", "1000000", "cpu;cpu", "2,cuda:0"])
def test_slots_that_name_no_device_are_refused_before_the_node_joins(wanted):
    """'gpu' ran jobs on the CPU and said otherwise; 'cuda:x' ended in a traceback."""
    with pytest.raises(InvalidInputError, match="can't be a slot"):
        slots_of_this_machine(wanted)


@pytest.fixture
def two_gpus(monkeypatch):
    found = [Device("gpu", 0, "GPU", None), Device("gpu", 1, "GPU", None), Device("cpu", 0, "CPU", None)]
    monkeypatch.setattr("jobs.node.devices", lambda: found)


def test_slots_of_devices_that_this_machine_lacks_are_refused(two_gpus):
    """A node with slots for GPUs that were not there took jobs, and failed each of them."""
    with pytest.raises(InvalidInputError, match="no device cuda:2") as refused:
        slots_of_this_machine("cuda:1,cuda:2,cpu")
    assert "It has cpu, cuda:0, cuda:1." in refused.value.hint
    with pytest.raises(InvalidInputError, match="1,000 slots"):
        slots_of_this_machine(",".join(["cpu"] * 1000))


def test_slots_are_a_number_or_devices(monkeypatch, two_gpus):
    assert slots_of_this_machine("cpu, cuda:1,cuda:1,") == ["cpu", "cuda:1", "cuda:1"]
    monkeypatch.setattr("jobs.node.devices", list)
    assert (slots_of_this_machine(" 2 "), slots_of_this_machine("0"), slots_of_this_machine()) == (
        ["cpu", "cpu"],
        [],
        ["cpu"],
    )
