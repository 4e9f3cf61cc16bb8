"""What the deployments in force mean: which versions shall be loaded now, and how often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from registry.models import Alias, AliasChange, Deployment, ModelVersion

KEPT = timedelta(hours=24)  # for which a version stays warm that a name was taken from: it may be wanted back


@dataclass(frozen=True)
class Wish:
    version_id: int
    replicas: int
    kept: bool = False  # only warm: it was in use lately


def wishes() -> list[Wish]:
    """What all models need, once for each version."""
    open_ones = list(Deployment.objects.filter(ended_at=None))
    named = now_named({one.model_id for one in open_ones if one.alias})
    found: dict[int, int] = {}
    for one in open_ones:
        version = one.version_id or named.get((one.model_id, one.alias))
        if version:
            found[version] = max(found.get(version, 0), one.replicas)
    warm = {version for version in _lately(open_ones) if version not in found}
    return [*(Wish(version, replicas) for version, replicas in found.items()), *(Wish(v, 1, True) for v in warm)]


def now_named(models: Iterable[int]) -> dict[tuple[int, str], int]:
    """The versions that have names of these models: (model, name) → version."""
    rows = Alias.objects.filter(model__in=list(models)).values_list("model", "name", "version")
    return {(model, name): version for model, name, version in rows}


def versions(wanted: Iterable[Wish]) -> dict[int, ModelVersion]:
    """Those of the wanted versions that can be loaded."""
    rows = ModelVersion.objects.select_related("model", "base_version__base_version")
    ids = [wish.version_id for wish in wanted]
    return {one.pk: one for one in rows.filter(pk__in=ids, status=ModelVersion.Status.READY, damaged_at=None)}


def _lately(deployments: Iterable[Deployment]) -> set[int]:
    """The versions that names in use were last taken from."""
    pairs = {(one.model_id, one.alias) for one in deployments if one.alias}
    changes = AliasChange.objects.filter(
        model__in={model for model, _ in pairs}, before__isnull=False, at__gt=Now() - KEPT
    )
    latest = changes.order_by("model", "alias", "-id").distinct("model", "alias")
    return {
        before for model, alias, before in latest.values_list("model", "alias", "before") if (model, alias) in pairs
    }
