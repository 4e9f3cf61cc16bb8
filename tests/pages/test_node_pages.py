"""The pages of nodes: each state in words, figures that are known and no others, and what administrators may do."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import nodes
from jobs.live import NodeSource, NodesSource
from jobs.models import Attempt, Node, Slot
from tests.pages.conftest import HTMX
from tests.pages.test_live import run, targets
from tests.world import make_job


@pytest.fixture
def admin_page(client, administrator):
    client.force_login(administrator)
    return client


def occupy(node, job):
    """As a worker of the node that runs the job."""
    run(job, current_step=100)
    attempt = Attempt.objects.get(job=job)
    slot = node.slots.get()
    Attempt.objects.filter(pk=attempt.pk).update(slot=slot, devices=["cpu"])
    Slot.objects.filter(pk=slot.pk).update(held_by=attempt)


STATES = [
    ({}, "Up", ""),
    ({"draining": True}, "Drained", "runs nothing and takes nothing more"),
    ({"set_aside_reason": "3 jobs died here"}, "Set aside", "because 3 jobs died here"),
    ({"heartbeat_at": -3600}, "Not heard of", "It is silent"),
    ({"state": "stopped"}, "Stopped", "stopped in order"),
]


@pytest.mark.parametrize(("columns", "word", "sentence"), STATES)
def test_each_state_is_told_in_words(page, node, columns, word, sentence):
    given = dict(columns)
    if "heartbeat_at" in given:
        given["heartbeat_at"] = timezone.now() + timedelta(seconds=given["heartbeat_at"])
    if "set_aside_reason" in given:
        given["set_aside_until"] = timezone.now() + timedelta(minutes=5)
    Node.objects.filter(pk=node.pk).update(**given)
    for address in ("/nodes", "/nodes/bench-1"):
        html = page.get(address).content.decode()
        assert f"<span>{word}</span>" in html and sentence in html, address


def test_a_slot_is_called_free_only_where_jobs_are_taken(page, node):
    for columns, told in (({}, "free"), ({"draining": True}, "idle, takes nothing"), ({"state": "stopped"}, "off")):
        Node.objects.filter(pk=node.pk).update(**columns)
        html = page.get("/nodes").content.decode()
        assert [word for word in ("free", "idle, takes nothing", "off") if f">{word}</span>" in html] == [told]


def test_how_to_add_a_machine_depends_on_whether_it_could_reach_the_database(page, settings):
    html = page.get("/nodes").content.decode()
    assert "embedded database, which other machines can" in html and "make node" not in html
    settings.TRAINHUB_EMBEDDED = False
    html = page.get("/nodes").content.decode()
    assert "make node" in html and "DATABASE_URL=" in html and "embedded database" not in html


def test_figures_are_shown_where_they_are_known_and_nothing_stands_for_the_others(page, node):
    gpu = {"kind": "gpu", "index": 0, "name": "H100", "memory_bytes": 80 << 30}
    figures = {"gpu/0/utilization_percent": 97.0, "gpu/0/power_watts": 612.3, "system/cpu_percent": 12.0}
    Node.objects.filter(pk=node.pk).update(devices=[gpu, {"kind": "cpu", "index": 0, "name": "Xeon"}], figures=figures)
    html = page.get("/nodes").content.decode()
    assert "97 %" in html and "612 W" in html and "12 %" in html and "80.0 GiB" in html
    assert "°C" not in html and "0 %" not in html and "Memory" not in html
    Node.objects.filter(pk=node.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert "97 %" not in page.get("/nodes").content.decode()


def test_a_running_job_is_named_to_those_who_may_see_it(page, admin_page, client, owner, stranger, node):
    occupy(node, make_job(owner, name="Mine alone"))
    for person, seen in ((owner, True), (stranger, False)):
        client.force_login(person)
        for address in ("/nodes", "/nodes/bench-1"):
            html = client.get(address).content.decode()
            assert ("Mine alone" in html) is seen, (person, address)
        assert ("someone else" in html) is not seen


def test_what_ran_there_is_listed_with_outcome_and_reason(page, owner, node):
    job = make_job(owner, name="It died")
    occupy(node, job)
    Slot.objects.update(held_by=None)
    Attempt.objects.update(ended_at=timezone.now(), outcome="crashed", code="KILLED", reason="Killed by SIGKILL.")
    html = page.get("/nodes/bench-1").content.decode()
    assert "It died" in html and "Trainer died" in html and "KILLED" in html and "Killed by SIGKILL." in html


def test_draining_says_what_happens_and_resuming_undoes_it(admin_page, owner, node):
    occupy(node, make_job(owner))
    asked = admin_page.get("/nodes/bench-1/drain", headers=HTMX).content.decode()
    assert "<html" not in asked and "goes on to its end" in asked
    told = admin_page.post("/nodes/bench-1/drain", headers=HTMX).content.decode()
    assert "#toasts" in told and "finishes its running job and takes nothing more" in told
    html = admin_page.get("/nodes/bench-1").content.decode()
    assert "<span>Draining</span>" in html and "Drained" in html and "resume-node" in html
    assert admin_page.post("/nodes/bench-1/resume").url == "/nodes/bench-1"
    node.refresh_from_db()
    assert not node.draining


def test_a_node_that_is_up_is_not_forgotten_and_one_that_is_gone_is(admin_page, node):
    answer = admin_page.post("/nodes/bench-1/forget", headers=HTMX)
    assert answer.status_code == 409 and "is up" in answer.content.decode()
    Node.objects.update(state=Node.State.STOPPED)
    assert "forget-node" in admin_page.get("/nodes").content.decode()
    answer = admin_page.post("/nodes/bench-1/forget", headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/nodes"
    assert not Node.objects.exists()
    assert admin_page.get("/nodes/bench-1").status_code == 404


@pytest.mark.parametrize("verb", ["drain", "resume", "forget"])
def test_others_may_look_and_change_nothing(page, node, verb):
    html = page.get("/nodes/bench-1").content.decode()
    assert f"{verb}-node" not in html
    for answer in (page.get(f"/nodes/bench-1/{verb}"), page.post(f"/nodes/bench-1/{verb}")):
        assert answer.status_code == 403 and "Only administrators" in answer.content.decode()
    assert Node.objects.get().draining is False


@pytest.mark.parametrize("name", ["no-such", "%00", "..%2f..", "<b>", "é" * 90])
def test_a_name_that_is_none_is_not_found(admin_page, node, name):
    assert admin_page.get(f"/nodes/{name}").status_code == 404
    assert admin_page.post(f"/nodes/{name}/drain").status_code == 404
    assert admin_page.post("/nodes/bench-1/explode").status_code == 404


def test_a_heartbeat_moves_the_card_of_its_node_alone(owner, node):
    other = Node.objects.create(name="second", host="h", started_at=timezone.now(), heartbeat_at=timezone.now())
    source = NodesSource(owner)
    assert "nodes" in targets(source.snapshot())
    assert source.update() == []
    Node.objects.filter(pk=other.pk).update(heartbeat_at=timezone.now() + timedelta(seconds=2))
    assert targets(source.update()) == {f"node-{other.pk}"}
    Node.objects.filter(pk=other.pk).delete()
    assert targets(source.update()) == {"nodes", "nodes-figures"}


def test_a_node_that_fell_silent_shows_so_without_a_word_from_it(owner, node, settings):
    source = NodesSource(owner)
    source.snapshot()
    settings.LEASE_SECONDS = -1
    html = source.update()[0].data
    assert "Not heard of" in html
    assert source.rhythm and source.rhythm <= 10


def test_the_page_of_a_node_follows_what_is_done_to_it(administrator, node):
    source = NodeSource.open(administrator, str(node.pk), {})
    source.snapshot()
    nodes.drain(node, administrator)
    assert targets(source.update()) == {"node-head", "node-events", "node-use"}


def test_thirty_nodes_cost_no_more_queries_than_one(admin_page, node, django_assert_max_num_queries):
    now = timezone.now()
    for number in range(30):
        made = Node.objects.create(name=f"n{number}", host="h", started_at=now, heartbeat_at=now)
        Slot.objects.create(node=made, index=0, device="cpu", queue=f"q{number}")
        nodes.note(made, "started", None)
    with django_assert_max_num_queries(8):
        html = admin_page.get("/nodes").content.decode()
    assert html.count('data-testid="node"') == 31
