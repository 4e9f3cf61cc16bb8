"""What jobs know of a version's story: what they asked, and which examples started them by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from common.access import visible
from jobs.models import FineTuning, Job
from registry.graph.parts import JOB, ids, job_node, nothing
from registry.graph.walk import Edge, Node, Part, User


def origins(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """A fine-tuning was started by the examples of another run."""
    made = FineTuning.objects.filter(job__in=ids(nodes, JOB), generated_by__isnull=False)
    seen = set(visible(Job.objects.all(), user).filter(fine_tunings__in=made).values_list("pk", flat=True))
    for one in made.select_related("job", "generated_by"):
        if one.generated_by_id in seen:
            maker = job_node(one.generated_by_id, one.generated_by.name, one.generated_by.recipe)
            yield Edge(maker, job_node(one.job_id), f"{one.examples:,} examples started")


def closed(nodes: Sequence[Node], user: User) -> Iterable[Node]:
    """Jobs of others, which a person with a role for models knows of and can't open; and those that are gone."""
    jobs = [node for node in nodes if node.kind == JOB]
    open_to = set(visible(Job.objects.filter(pk__in=ids(jobs, JOB)), user).values_list("pk", flat=True)) if jobs else ()
    return [node for node in jobs if int(node.id) not in open_to]


PART = Part(origins, nothing, closed)
