"""What a model is trained from again: its champion, the job that made it, and the dataset."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import BigIntegerField, OuterRef, Subquery
from django.db.models.functions import Coalesce

from datasets.models import Dataset
from jobs.models import Job
from performance.models import Retraining, RetrainingPolicy
from registry.models import Alias, Model, ModelVersion
from registry.models.aliases import Name

KEY = BigIntegerField()
READY = {"status": ModelVersion.Status.READY, "archived_at": None, "damaged_at": None}


@dataclass(frozen=True)
class Line:
    """Where a model stands: the version that is in use, and when its last training that got a job was opened. None:
    there is none."""

    champion: ModelVersion | None
    trained_at: datetime | None


def lines_of(model_ids: Collection[int]) -> dict[int, Line]:
    """Where these models stand, as `champion_of` says of one. Two queries."""
    named = Alias.objects.filter(model=OuterRef("pk"), name=Name.CHAMPION)
    ready = ModelVersion.objects.filter(model=OuterRef("pk"), **READY).order_by("-number")
    trained = Retraining.objects.filter(model=OuterRef("pk"), job__isnull=False).order_by("-pk")
    rows = Model.objects.filter(pk__in=model_ids).annotate(
        champion=Coalesce(Subquery(named.values("version_id")[:1]), Subquery(ready.values("pk")[:1]), output_field=KEY),
        trained_at=Subquery(trained.values("created_at")[:1]),
    )
    found = list(rows.values_list("pk", "champion", "trained_at"))
    versions = ModelVersion.objects.select_related("dataset_version__dataset").defer("metrics", "artifact", "config")
    champions = versions.in_bulk([champion for _, champion, _ in found if champion])
    return {pk: Line(champions.get(champion), trained_at) for pk, champion, trained_at in found}


def champion_of(model: Model) -> ModelVersion | None:
    """The version that is in use: the one called champion, or else the newest that is ready."""
    rows = model.versions.select_related("dataset_version__dataset", "model")
    named = rows.filter(aliases__name=Name.CHAMPION).first()
    return named or rows.filter(**READY).order_by("-number").first()


def job_of(version: ModelVersion | None) -> Job | None:
    """The job that made a version; None where none did."""
    if version is None:
        return None
    return Job.objects.select_related("dataset_version__dataset", "model_version").filter(model_version=version).first()


def dataset_of(policy: RetrainingPolicy) -> Dataset | None:
    """The dataset that the next training would learn from."""
    if policy.dataset is not None:
        return policy.dataset
    if key := dataset_of_template(policy):
        return Dataset.objects.filter(pk=key).first()
    champion = champion_of(policy.model)
    return champion.dataset_version.dataset if champion and champion.dataset_version else None


def dataset_of_template(policy: RetrainingPolicy) -> int | None:
    """The id of the dataset that its template names; None without one."""
    return policy.template.request.get("dataset") if policy.template is not None else None


def datasets_of(policies: Collection[RetrainingPolicy], lines: dict[int, Line]) -> dict[int, Dataset]:
    """By policy what `dataset_of` says of one, where there is one. One query."""
    named = Dataset.objects.in_bulk([key for key in map(dataset_of_template, policies) if key])
    found = {}
    for policy in policies:
        champion = lines[policy.model_id].champion
        if policy.dataset is not None:
            dataset = policy.dataset
        elif key := dataset_of_template(policy):
            dataset = named.get(key)
        else:
            dataset = champion.dataset_version.dataset if champion and champion.dataset_version else None
        if dataset is not None:
            found[policy.pk] = dataset
    return found
