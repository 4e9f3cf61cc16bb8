"""The story of a version: everything that led to it and came of it, over generations, and no more than one may see."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from datasets.freezing.versions import freeze
from registry import removal
from registry.graph import drawing, walk
from registry.models import AliasChange, Prediction
from tests.api.conftest import Api
from tests.registry.promotion.cast import with_role
from tests.tables import make_table
from tests.world import make_job, make_rendering, make_version


def names(found):
    return {node.name for node in found.nodes}


def words(found):
    return {(edge.source.name, edge.word, edge.target.name) for edge in found.edges}


@pytest.fixture
def family(owner):
    """Pairs made of a sheet, frozen; a base trained on them, its child and grandchild, and a cousin."""
    pairs = make_rendering(make_table(owner, "Machines"), "Pairs").target
    frozen = freeze(pairs, owner)
    base = make_version(owner, "Base", dataset_version=frozen)
    job = make_job(owner, name="Training")
    child = make_version(owner, "Child", base_version=base, dataset_version=frozen, source_job_id=job.pk)
    grandchild = make_version(owner, "Grandchild", base_version=child)
    make_version(owner, "Cousin", dataset_version=frozen)
    return base, child, grandchild, job


def test_a_story_goes_both_ways_over_generations(family, owner):
    base, child, _grandchild, job = family
    AliasChange.objects.create(model=child.model, alias="champion", kind="promoted", after=child, at=timezone.now())
    Prediction.objects.create(
        at=timezone.now(), model=child.model, version=child, input_hash="0" * 64, latency_ms=1, user=owner
    )
    found = walk.graph(child, owner)
    assert names(found) == {
        "Child v1", "Base v1", "Grandchild v1", f"Job {job.pk}", str(base.dataset_version), "Pairs", "Machines",
        "Pairs template", "Champion", "Predictions",
    }, "and no cousin"  # fmt: skip
    assert {
        (str(base.dataset_version), "data of", f"Job {job.pk}"),
        ("Base v1", "base of", f"Job {job.pk}"),
        (f"Job {job.pk}", "made", "Child v1"), ("Child v1", "base of", "Grandchild v1"),
        ("Pairs", "frozen as", str(base.dataset_version)), ("Child v1", "promoted", "Champion"),
    } <= words(found)  # fmt: skip
    down = {node.name for node in found.nodes if node.key not in found.up and node != found.here}
    assert down == {"Grandchild v1", "Champion", "Predictions"}


def test_what_was_deleted_stays_in_the_story_as_deleted(family, owner):
    base, child, *_ = family
    removal.delete(base, owner)
    assert {node.name: node.standing for node in walk.graph(child, owner).nodes}["Base v1"] == "deleted"


def test_the_story_holds_only_what_one_may_see(family, owner, stranger, administrator):
    _base, child, *_ = family
    theirs = make_version(stranger, "Theirs", base_version=child, dataset_version=child.dataset_version)
    assert names(walk.graph(theirs, stranger)) == {"Theirs v1"}
    assert "Theirs v1" not in names(walk.graph(child, owner))
    assert "Theirs v1" in names(walk.graph(child, administrator))
    assert Api(stranger).get(f"versions/{child.pk}/lineage").status_code == 404


def test_a_large_story_is_cut_and_says_so(owner, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(walk, "MOST", 12)
    base = make_version(owner, "Base")
    for number in range(20):
        make_version(owner, f"Child {number}", base_version=base)
    with django_assert_max_num_queries(40):  # two generations, whatever each holds
        found = walk.graph(base, owner)
    assert len(found.nodes) == 12 and found.left_out == 9
    assert Api(owner).get(f"versions/{base.pk}/lineage").json()["graph"]["left_out"] == 9


def test_every_box_stands_right_of_what_led_to_it_and_on_no_other(family, owner):
    found = walk.graph(family[1], owner)
    drawn = drawing.draw(found)
    at = {box.node.key: (box.x, box.y) for box in drawn.boxes}
    assert len(set(at.values())) == len(at) == len(found.nodes)
    assert all(at[edge.source.key][0] < at[edge.target.key][0] for edge in found.edges)
    assert all(x + drawing.WIDTH <= drawn.width and y + drawing.HEIGHT <= drawn.height for x, y in at.values())


def test_names_tell_from_when_to_when_a_version_had_them(family, owner):
    child = family[1]
    begin, end = datetime(2026, 11, 2, 13, 5, tzinfo=UTC), datetime(2026, 11, 2, 14, 30, tzinfo=UTC)

    for at, after, kind in ((begin, child, "promoted"), (end, None, "removed"), (end, child, "promoted")):
        AliasChange.objects.create(model=child.model, alias="champion", kind=kind, after=after, at=at)
    boxes = [box for box in drawing.draw(walk.graph(child, owner)).boxes if box.node.kind == "name"]
    assert {(box.label, box.title, box.node.detail) for box in boxes} == {
        ("Champion", "2 Nov 13:05 – 14:30", "from 2026-11-02 13:05 UTC to 2026-11-02 14:30 UTC"),
        ("Champion", "since 2 Nov 14:30", "since 2026-11-02 14:30 UTC"),
    }


@pytest.mark.parametrize(
    "text", ["Frozen data · 597f6ea28b", "Retraining · WWWWWWWW", "", "日本語の長い名前がここにある", "short"]
)
def test_what_stands_in_a_box_fits_it(text):
    cut = drawing.shortened(text, 10)
    assert sum(map(drawing._width, cut)) <= 10 and (cut == text or (text.startswith(cut[:-1]) and cut.endswith("…")))


def test_the_page_draws_it_and_lists_it(family, owner, client):
    base, child, grandchild, _job = family
    client.force_login(owner)
    page = client.get(f"/versions/{child.pk}/lineage").content.decode()
    assert 'class="story"' in page and page.count('class="box') == len(walk.graph(child, owner).nodes)
    for other in (base, grandchild):
        assert page.count(f'href="/versions/{other.pk}"') == 2, "in the drawing and in the list"
    shown = Api(owner).get(f"versions/{child.pk}/lineage").json()["graph"]
    assert {node["side"] for node in shown["nodes"]} == {"up", "here", "down"}
    assert {"source", "target", "word"} == set(shown["edges"][0])


def test_what_is_left_out_is_counted_once_however_many_ways_lead_to_it(owner, monkeypatch):
    data = walk.Node("data", 1, "Data")
    jobs = [walk.Node("made", number, f"Run {number}") for number in range(3)]
    far = walk.Node("far", 1, "Far")
    base = make_version(owner, "Base")

    def offspring(nodes, user):
        first = [walk.Edge(node, job, "led to") for node in nodes if node.kind == "model_version" for job in jobs]
        second = [walk.Edge(node, one, "led to") for node in nodes if node.kind == "made" for one in (far, data)]
        return [*first, *second, *second]

    monkeypatch.setattr(walk, "_parts", [walk.Part(lambda nodes, user: (), offspring)])
    monkeypatch.setattr(walk, "MOST", 4)
    assert walk.graph(base, owner).left_out == 2, "though three runs led to each of them"
    monkeypatch.setattr(walk, "MOST", 120)
    monkeypatch.setattr(walk, "MOST_EACH", 1)
    assert walk.graph(base, owner).left_out == 3, "two runs, and one of the two things that the first led to"


def test_who_has_a_role_knows_of_jobs_and_answers_without_their_pages_and_counts(family, owner, administrator):
    _base, child, _grandchild, job = family
    Prediction.objects.create(
        at=timezone.now(), model=child.model, version=child, input_hash="0" * 64, latency_ms=1, user=owner
    )

    def seen(user):
        found = walk.graph(child, user)
        edges = {node.key: node.url for edge in found.edges for node in (edge.source, edge.target)}
        nodes = {node.key: node for node in found.nodes}
        assert {key: node.url for key, node in nodes.items()} == edges
        return nodes[f"job:{key}"].url, nodes[f"predictions:{child.pk}"].detail

    key, address = job.pk, f"/jobs/{job.pk}"
    assert seen(owner) == seen(administrator) == (address, "1 logged")
    assert seen(with_role("anna", "Analysts")) == ("", "1 logged")
    assert seen(with_role("bob", "Approvers")) == ("", "")
    job.delete()
    assert seen(owner)[0] == ""
