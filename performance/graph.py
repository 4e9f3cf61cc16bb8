"""What this room knows of a version's story: experiments that it took part in, and retraining that it came of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db.models import QuerySet
from django.urls import reverse

from performance.models import Experiment, Retraining
from registry.access import models_for
from registry.graph.parts import JOB, VERSION, ids, job_node, version_node
from registry.graph.walk import Edge, Node, Part, User
from registry.models import RouteArm

RETRAINING = "retraining"
MOST = 200


def origins(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """A job was made by a retraining, which was to find a better version than the champion of then."""
    for row in _retrainings(user).filter(job__in=ids(nodes, JOB)):
        yield Edge(_retraining(row), job_node(row.job_id or 0), "made")
    for row in _retrainings(user).filter(pk__in=ids(nodes, RETRAINING)).select_related("champion__model"):
        if row.champion:
            yield Edge(version_node(row.champion), _retraining(row), "was champion at")


def offspring(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """Experiments that versions took part in, and what was trained again while one of them was the champion."""
    own = {int(node.id): node for node in nodes if node.kind == VERSION}
    seen = models_for(user).order_by().values("pk")
    arms = RouteArm.objects.filter(version__in=own, route__experiment__model__in=seen)
    for arm in arms.select_related("route__experiment").order_by("-pk")[:MOST]:
        yield Edge(own[arm.version_id], _experiment(arm.route.experiment), "took part in")
    for row in _retrainings(user).filter(champion__in=own)[:MOST]:
        yield Edge(own[row.champion_id or 0], _retraining(row), "was champion at")
    made = _retrainings(user).filter(pk__in=ids(nodes, RETRAINING), job__isnull=False)
    for row in made.select_related("challenger__model"):
        job = job_node(row.job_id or 0)
        yield Edge(_retraining(row), job, "made")
        if row.challenger:
            yield Edge(job, version_node(row.challenger), "made")


def _retrainings(user: User) -> QuerySet[Retraining]:
    return Retraining.objects.filter(model__in=models_for(user).order_by().values("pk")).order_by("-pk")


def _retraining(row: Retraining) -> Node:
    address = reverse("retraining-one", args=[row.pk])
    return Node(RETRAINING, row.pk, f"Retraining {row.pk}", row.get_status_display(), address)


def _experiment(row: Experiment) -> Node:
    return Node("experiment", row.pk, row.name, row.get_status_display(), reverse("experiment", args=[row.pk]))


PART = Part(origins, offspring)
