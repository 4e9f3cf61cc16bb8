"""Where a version comes from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import may_see
from datasets.models import DatasetVersion
from registry.access import sees_all, versions_for
from registry.models import AliasChange, Merge, ModelVersion
from registry.models.aliases import Name

MAX_CHILDREN = 200


def lineage(version: ModelVersion, user: AbstractBaseUser) -> dict[str, Any]:
    """The version's origins and offspring, as far as `user` may see them.

    `up` holds the dataset version with its dataset, the base version, the job, code and environment, and of a merged
    version who asked for that, when, and what its adapter had as base; `down` the versions that were made from it.
    """
    base = version.base_version
    merge = getattr(version, "merged_by", None)
    children = versions_for(user).filter(base_version=version).order_by("id")
    return {
        "version": describe(version),
        "up": {
            "dataset_version": _dataset_version(version.dataset_version, user),
            "base_version": _version(base, user),
            "merged": _merged(merge, user) if merge else None,
            "job": version.source_job_id,
            "retraining": _retraining(version),
            "seed": version.seed,
            "config": version.config,
            "code": version.code,
            "environment": version.environment,
        },
        "down": {"versions": [describe(child) for child in children[:MAX_CHILDREN]]},
    }


def origins(keys: Iterable[int]) -> dict[int, tuple[int, dict[str, Any]]]:
    """For each of these versions the one that it descends from in the end, and the settings that made that one: a query
    for each generation."""
    asked = list(keys)
    config: dict[int, dict[str, Any]] = {}
    parents: dict[int, int | None] = {}
    while wanted := {*asked, *filter(None, parents.values())} - parents.keys():
        parents |= dict.fromkeys(wanted)  # of one that is gone meanwhile nothing is known
        rows = ModelVersion.objects.filter(pk__in=wanted).values_list("pk", "base_version", "config")
        for key, parent, made_by in rows:
            parents[key], config[key] = parent, made_by
    found = {}
    for key in asked:
        last = key
        while (parent := parents[last]) is not None:
            last = parent
        found[key] = (last, config.get(last, {}))
    return found


def describe(version: ModelVersion) -> dict[str, Any]:
    """A version as a node of a tree."""
    return {
        "kind": "model_version",
        "id": version.pk,
        "name": str(version),
        "number": version.number,
        "model": version.model_id,
        "recipe": version.model.recipe,
        "status": version.status,
        "standing": version.standing,
        "merged": hasattr(version, "merged_by"),
        "created_at": version.created_at,
    }


def _version(version: ModelVersion | None, user: AbstractBaseUser) -> dict[str, Any] | None:
    return describe(version) if version and (version.model.owner_id == user.pk or sees_all(user)) else None


def _retraining(version: ModelVersion) -> dict[str, Any] | None:
    """Of a version that came of training its model again: what started that, as its first name tells."""
    named = AliasChange.objects.filter(after=version, alias=Name.CHALLENGER, evidence__has_key="retraining")
    evidence = named.order_by("pk").values_list("evidence", flat=True).first()
    if evidence is None:
        return None
    told = {key: evidence.get(key) for key in ("trigger", "evidence", "reason", "approved_by", "champion")}
    return {"kind": "retraining", "id": evidence["retraining"], **told}


def _merged(merge: Merge, user: AbstractBaseUser) -> dict[str, Any]:
    """Who joined an adapter with its base, when, and what the base was: a version, or a model folder of the hub."""
    base = merge.adapter.base_version
    return {
        "by": merge.created_by.get_username(),
        "asked_at": merge.created_at,
        "base_version": _version(base, user),
        "base_model": "" if base else str(merge.adapter.config.get("base_model") or ""),
    }


def _dataset_version(version: DatasetVersion | None, user: AbstractBaseUser) -> dict[str, Any] | None:
    if version is None or not may_see(version.dataset.owner_id, user):
        return None
    return {
        "kind": "dataset_version",
        "id": version.pk,
        "name": str(version),
        "number": version.number,
        "content_hash": version.content_hash,
        "counts": version.counts,
        "created_at": version.created_at,
        "dataset": {
            "kind": "dataset",
            "id": version.dataset_id,
            "name": version.dataset.name,
            "modality": version.dataset.modality,
        },
    }
