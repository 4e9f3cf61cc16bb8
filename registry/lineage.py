"""Where a version comes from, and what was made from it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from datasets.models import DatasetVersion
from registry.models import ModelVersion
from registry.versions import listed

MAX_CHILDREN = 200


def lineage(version: ModelVersion, user: AbstractBaseUser) -> dict[str, Any]:
    """The version's origins and offspring, as far as `user` may see them.

    `up` holds the dataset version with its dataset, the base version, the job, code and environment;
    `down` the versions that were trained from it.
    """
    base = version.base_version
    children = visible(listed(), user, "model__owner").filter(base_version=version).order_by("id")
    return {
        "version": describe(version),
        "up": {
            "dataset_version": _dataset_version(version.dataset_version, user),
            "base_version": describe(base) if base and _may_see(base.model.owner_id, user) else None,
            "job": version.source_job_id,
            "seed": version.seed,
            "config": version.config,
            "code": version.code,
            "environment": version.environment,
        },
        "down": {"versions": [describe(child) for child in children[:MAX_CHILDREN]]},
    }


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
        "created_at": version.created_at,
    }


def _dataset_version(version: DatasetVersion | None, user: AbstractBaseUser) -> dict[str, Any] | None:
    if version is None or not _may_see(version.dataset.owner_id, user):
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


def _may_see(owner_id: int, user: AbstractBaseUser) -> bool:
    return bool(user.is_staff or owner_id == user.pk)
