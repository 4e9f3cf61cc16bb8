"""Experiments and retraining stand in the story of the versions that they are about."""

from __future__ import annotations

import pytest
from django.utils import timezone

from performance.graph import PART
from performance.models import Experiment, Retraining
from registry.graph import walk
from registry.graph.parts import version_node
from registry.models import Route, RouteArm
from tests.world import make_job, make_version


@pytest.fixture
def champion(owner):
    return make_version(owner, "Sorter", "text-classification")


def words(found):
    return {(edge.source.name, edge.word, edge.target.name) for edge in found.edges}


def test_what_was_trained_again_stands_between_the_champion_and_what_came_of_it(owner, champion):
    job = make_job(owner, name="Again")
    challenger = make_version(owner, "Sorter", "text-classification", model=champion.model, source_job_id=job.pk)
    row = Retraining.objects.create(
        model=champion.model, kind="manual", status="challenger", champion=champion, job=job, challenger=challenger,
        waits_since=timezone.now(), asked_by=owner,
    )  # fmt: skip
    name = f"Retraining {row.pk}"
    edges = {("Sorter v1", "was champion at", name), (name, "made", f"Job {job.pk}")}
    assert words(walk.graph(challenger, owner)) >= {*edges, (f"Job {job.pk}", "made", "Sorter v2")}
    assert words(walk.graph(champion, owner)) >= {*edges, (f"Job {job.pk}", "made", "Sorter v2")}


def test_an_experiment_is_what_its_versions_took_part_in(owner, stranger, champion):
    now = timezone.now()
    route = Route.objects.create(model=champion.model, salt="s", started_at=now, ended_at=now)
    RouteArm.objects.create(route=route, version=champion, name="control", control=True, weight=1)
    Experiment.objects.create(
        route=route, model=champion.model, name="Which is better?", kind="ab", metric="correct", higher_is_better=True,
        expected=1000, minimum=100, max_days=9, alpha=0.05, margin=0, status="stopped", started_by=owner,
        started_at=now, ended_at=now, due_at=now, counted_until=now,
    )  # fmt: skip
    assert ("Sorter v1", "took part in", "Which is better?") in words(walk.graph(champion, owner))
    assert not list(PART.offspring([version_node(champion)], stranger))
