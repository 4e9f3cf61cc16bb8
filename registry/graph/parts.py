"""What this room and the one below know of a version's story: data, jobs by their number, versions, names, answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection
from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse

from common.access import visible
from common.wording import moment_utc
from datasets.models import Dataset, DatasetVersion, Rendering
from registry.access import Action, may, versions_for
from registry.graph.walk import Edge, Node, Part, User
from registry.models import AliasChange, Model, ModelVersion

VERSION, JOB, FROZEN, DATASET, TEMPLATE = "model_version", "job", "dataset_version", "dataset", "template"
COUNTED = 10_000  # predictions are counted no further
NEWEST = 200
ANSWERED = """
    SELECT v.id, p.many FROM unnest(%s::bigint[]) AS v(id) CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM (SELECT 1 FROM registry_prediction WHERE version_id = v.id LIMIT %s) few
    ) p WHERE p.many > 0 ORDER BY v.id
"""


def ids(nodes: Sequence[Node], kind: str) -> list[int]:
    """The ids of those nodes that are of a kind."""
    return [int(node.id) for node in nodes if node.kind == kind]


def version_node(version: ModelVersion) -> Node:
    address = reverse("version", args=[version.pk])
    return Node(VERSION, version.pk, str(version), version.model.recipe, address, version.standing)


def job_node(pk: int, name: str = "", detail: str = "") -> Node:
    return Node(JOB, pk, name or f"Job {pk}", detail, reverse("job", args=[pk]))


def data_origins(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """Frozen data came from its dataset; pairs came from the rows of a sheet and a template."""
    rows = DatasetVersion.objects.filter(pk__in=ids(nodes, FROZEN)).select_related("dataset")
    for frozen in visible(rows, user, "dataset__owner"):
        yield Edge(_dataset(frozen.dataset), _frozen(frozen), "frozen as")
    made = Rendering.objects.filter(target__in=ids(nodes, DATASET), made__gt=0)
    made = made.select_related("sheet", "template", "target").order_by("id")[:NEWEST]
    for one in made:
        if user.is_staff or one.sheet.owner_id == user.pk:
            name = str(one.rendered_by.get("name") or one.template)
            address = reverse("sheet-template", args=[one.sheet_id, one.template_id])
            target = _dataset(one.target)
            yield Edge(_dataset(one.sheet), target, f"{one.made:,} rows became pairs of")
            yield Edge(Node(TEMPLATE, one.template_id, name, "template", address), target, "made the pairs")


def nothing(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    return ()


def version_origins(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """A version came from a job, which learned from data and may have started from another version."""
    rows = list(versions_for(user).filter(pk__in=ids(nodes, VERSION)))
    may_see = set(versions_for(user).filter(pk__in=[row.base_version_id for row in rows]).values_list("pk", flat=True))
    for row in rows:
        node = version_node(row)
        through = _through(row, node)
        if through != node:
            yield Edge(through, node, "made")
        if row.dataset_version and (user.is_staff or row.dataset_version.dataset.owner_id == user.pk):
            yield Edge(_frozen(row.dataset_version), through, "data of")
        if row.base_version and row.base_version_id in may_see:
            yield Edge(version_node(row.base_version), through, _based(row))


def version_offspring(nodes: Sequence[Node], user: User) -> Iterable[Edge]:
    """Versions that started from it, the names it had, and how much it answered."""
    keys = ids(nodes, VERSION)
    for child in versions_for(user).filter(base_version__in=keys).order_by("-pk")[:NEWEST]:
        node = version_node(child)
        through = _through(child, node)
        yield Edge(version_node(child.base_version), through, _based(child))
        if through != node:
            yield Edge(through, node, "made")
    own = {int(node.id): node for node in nodes if node.kind == VERSION}
    for change in _changes(keys):
        yield Edge(own[change.after_id], _name(change), change.get_kind_display().lower())
    counted = _counted_for(keys, user)
    for pk, many in _answered(keys).items():
        words = f"{many:,}{' or more' if many == COUNTED else ''} logged" if pk in counted else ""
        yield Edge(own[pk], Node("predictions", pk, "Predictions", words), "answered")


def _changes(keys: list[int]) -> QuerySet[AliasChange]:
    """With the moment `until` at which the name went on; None while it has not."""
    later = AliasChange.objects.filter(model=OuterRef("model"), alias=OuterRef("alias"), pk__gt=OuterRef("pk"))
    until = Subquery(later.order_by("pk").values("at")[:1])
    return AliasChange.objects.filter(after__in=keys).annotate(until=until).order_by("-pk")[:NEWEST]


def _name(change: Any) -> Node:
    """A name that a version had: from when until when."""
    title, at, until = change.get_alias_display(), change.at, change.until
    if until is None:
        return Node("name", change.pk, title, f"since {moment_utc(at)}", brief=f"since {at:%-d %b %H:%M}")
    end = f"{until:%H:%M}" if until.date() == at.date() else f"{until:%-d %b}"
    said = f"from {moment_utc(at)} to {moment_utc(until)}"
    return Node("name", change.pk, title, said, brief=f"{at:%-d %b %H:%M} – {end}")


def _answered(keys: list[int]) -> dict[int, int]:
    """How many predictions of each version are logged, of those that have some; counted no further than `COUNTED`."""
    with connection.cursor() as cursor:
        cursor.execute(ANSWERED, [keys, COUNTED])
        return dict(cursor.fetchall())


def _counted_for(keys: list[int], user: User) -> set[int]:
    """The versions of which somebody may see how much they answered."""
    if may(user, Action.SEE_PREDICTIONS, Model()):
        return set(keys)
    return set(ModelVersion.objects.filter(pk__in=keys, model__owner=user.pk).values_list("pk", flat=True))


def _through(row: ModelVersion, node: Node) -> Node:
    """The job that made a version; of one that no job made, the version itself."""
    return job_node(row.source_job_id, detail=row.model.recipe) if row.source_job_id else node


def _based(row: ModelVersion) -> str:
    return "merged as" if hasattr(row, "merged_by") else "base of"


def _frozen(frozen: DatasetVersion) -> Node:
    address = reverse("dataset-version", args=[frozen.dataset_id, frozen.number])
    return Node(FROZEN, frozen.pk, str(frozen), frozen.content_hash[:10], address)


def _dataset(dataset: Dataset) -> Node:
    return Node(DATASET, dataset.pk, dataset.name, dataset.modality, reverse("dataset", args=[dataset.pk]))


DATA = Part(data_origins, nothing)
VERSIONS = Part(version_origins, version_offspring)
