"""What the history knows of a version's story: the record of each run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.urls import reverse

from common.access import visible
from history.models import Session
from registry.graph.parts import JOB, ids, job_node, nothing
from registry.graph.walk import Edge, Node, Part, User

MOST = 200


def offspring(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    rows = visible(Session.objects.filter(job__in=ids(nodes, JOB)), user, "user").order_by("-id")[:MOST]
    for row in rows:
        address = reverse("session", args=[row.pk])
        node = Node("session", row.pk, row.name or f"Run {row.pk}", row.outcome, address)
        yield Edge(job_node(row.job_id or 0), node, "recorded as")


PART = Part(nothing, offspring)
