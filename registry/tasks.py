"""Background tasks: doorways to the verbs. They take an id and nothing else."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from registry import artifacts, exporting, integrity, loading, merging
from registry.logged import retention, spool
from registry.models import ModelVersion


def run_merge(merge_id: int) -> None:
    merging.take_up(merge_id)


def recheck(version_id: int, user_id: int) -> None:
    version = ModelVersion.objects.select_related("model").filter(pk=version_id).first()
    by = get_user_model().objects.filter(pk=user_id).first()
    if version is not None and by is not None and version.artifact:
        integrity.recheck(version, by)


def find_damage(version_id: int) -> None:
    """Find out whose bytes are others, of a version that could not be loaded and of those below it."""
    if version := ModelVersion.objects.select_related("model").filter(pk=version_id).first():
        loading.find_damage(version)


def take_up_predictions() -> int:
    """Put down what processes left on the disk that died while the database was away; returns how many predictions."""
    return spool.take_up()


def remove_old_predictions() -> int:
    """Remove predictions and outcomes that are older than their policy; returns how many."""
    return retention.run()


def lay_out(version_id: int) -> None:
    """Lay the files of a deployed version out for the model server."""
    if version := ModelVersion.objects.filter(pk=version_id, status=ModelVersion.Status.READY).first():
        artifacts.with_bases(version)


def run_export(export_id: int) -> None:
    exporting.take_up(export_id)
