"""The model card of a version: what is known of it, put together for whoever is to use it or to answer for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from datasets.gating import gates
from engine.catalogue import RECIPES
from engine.report import Table
from registry import figures, reports
from registry.cards import limits, notes
from registry.lineage import lineage
from registry.models import AliasChange, ModelVersion
from registry.promotion import held_out

BY = "By "  # how recipes call the tables that tell a figure apart by class, group or series
MOST_GROUPS = 100
MOST_NAMES = 50


@dataclass(frozen=True)
class Metric:
    """A figure of a version, of the baseline, and of the version before; None where there is none."""

    name: str
    title: str
    value: float | None
    baseline: float | None
    before: float | None


def card(
    version: ModelVersion, user: AbstractBaseUser | AnonymousUser, report: reports.Report | None = None
) -> dict[str, Any]:
    """What is known of a version, as far as `user` may see it; plain values, as the API gives them."""
    report = reports.report_of(version) if report is None else report
    recipe = RECIPES.get(version.model.recipe)
    tree = lineage(version, user)
    before = _before(version)
    metrics = _metrics(version, before)
    groups = _groups(report)
    data = _data(version) if tree["up"]["dataset_version"] else None
    return {
        "version": {
            "id": version.pk, "name": str(version), "number": version.number, "model": version.model.name,
            "standing": version.standing, "trained_at": version.created_at, "owner": version.model.owner.get_username(),
            "subject": str(version.model.subject) if version.model.subject else None,
        },
        "task": {
            "recipe": version.model.recipe, "title": recipe.title if recipe else version.model.recipe,
            "summary": recipe.summary if recipe else "", "takes": recipe.takes if recipe else None,
            "answers_with": recipe.output if recipe else None,
        },
        "data": data,
        "settings": version.config,
        "seed": version.seed,
        "metrics": [asdict(metric) for metric in metrics],
        "version_before": {"id": before.pk, "number": before.number} if before else None,
        "groups": groups,
        "limits": limits.limits(version, data, metrics, groups),
        "notes": notes.on_card(version),
        "environment": version.environment,
        "code": version.code,
        "lineage": {
            "base_version": tree["up"]["base_version"], "job": version.source_job_id,
            "base_model": str(version.config.get("base_model") or "") or None,
            "led_to": [{"id": child["id"], "name": child["name"]} for child in tree["down"]["versions"]],
        },
        "names": _names(version),
        "files": version.artifact,
    }  # fmt: skip


def _data(version: ModelVersion) -> dict[str, Any] | None:
    frozen = version.dataset_version
    if frozen is None:
        return None
    dataset = frozen.dataset
    return {
        "dataset": dataset.name, "dataset_id": dataset.pk, "version": frozen.number, "modality": dataset.modality,
        "content_hash": frozen.content_hash, "counts": frozen.counts,
        "examples": held_out.examples(version), "classes": frozen.classes[:MOST_GROUPS],
        "split_rule": frozen.split_rule, "split_seed": frozen.seed, "frozen_at": frozen.created_at,
        "left_out": frozen.left_out, "left_out_in_words": gates.in_words(frozen.left_out) if frozen.left_out else "",
        # As they are now: what a gate left out when it was frozen stands in `left_out`.
        "gates": {"approvals": dataset.approvals, "governed": dataset.governed}, "metadata": dataset.metadata,
    }  # fmt: skip


def _metrics(version: ModelVersion, before: ModelVersion | None) -> list[Metric]:
    earlier = before.metrics if before else {}
    rows = figures.shown(version.metrics, version.model.recipe).rows
    return [Metric(row.name, row.title, row.value, row.baseline, earlier.get(row.name)) for row in rows]


def _groups(report: reports.Report) -> list[dict[str, Any]]:
    """The tables of the report that tell figures apart by class, group or series."""
    found = [block for block in report.blocks if isinstance(block, Table) and block.title.startswith(BY)]
    return [
        {"title": block.title, "note": block.note, "columns": block.columns, "rows": block.rows[:MOST_GROUPS],
         "rows_in_all": len(block.rows)}
        for block in found
    ]  # fmt: skip


def _before(version: ModelVersion) -> ModelVersion | None:
    """The ready or deleted version before it, whose figures are known."""
    rows = ModelVersion.objects.filter(model=version.model_id, number__lt=version.number).exclude(metrics={})
    return rows.order_by("-number").first()


def _names(version: ModelVersion) -> list[dict[str, Any]]:
    changes = AliasChange.objects.filter(after=version).select_related("actor").order_by("pk")[:MOST_NAMES]
    return [
        {"name": change.alias, "how": change.kind, "at": change.at, "reason": change.reason,
         "by": change.actor.get_username() if change.actor else None}
        for change in changes
    ]  # fmt: skip
