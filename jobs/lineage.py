"""Where a job's result comes from, and what was made from it."""

from __future__ import annotations

from typing import Any

from common.revision import revision
from datasets.models import Dataset, DatasetVersion, Template
from jobs import runs
from jobs.generation import prompts
from jobs.generation.shown import makes_examples
from jobs.models import FineTuning, Job
from registry.models import ModelVersion


def lineage(job: Job) -> dict[str, Any]:
    """A tree: `comes_from` lists what went in (data, base version, code, environment), `led_to` what came out."""
    version = job.model_version
    return {
        **_node("job", job.pk, job.name, status=job.status, recipe=job.recipe, seed=job.seed),
        "comes_from": _sources(job),
        "led_to": [*([_version(version)] if version else []), *_started(job)],
    }


def _sources(job: Job) -> list[dict[str, Any]]:
    sources: list[dict[str, Any]] = [*_retraining(job), *_trigger(job)]
    if frozen := job.dataset_version:
        data = _node("dataset", frozen.dataset_id, frozen.dataset.name, modality=frozen.dataset.modality)
        if sheets := _sheets(frozen):
            data["comes_from"] = sheets
        sources.append(
            _node(
                "dataset_version",
                frozen.pk,
                str(frozen),
                content_hash=frozen.content_hash,
                counts=frozen.counts,
                split_seed=frozen.seed,
                comes_from=[data],
            )
        )
    if base := job.base_version:
        sources.append(_node("model_version", base.pk, str(base)))
    sources += _prompts(job)
    code = job.model_version.code if job.model_version else revision()
    sources.append(_node("code", None, f"TrainHub {code.get('trainhub', '')}", **code))
    if job.environment:
        versions = {"Python": job.environment.get("python"), "torch": job.environment.get("torch")}
        versions |= dict(sorted((job.environment.get("libraries") or {}).items()))
        name = ", ".join(f"{title} {version}" for title, version in versions.items() if version)
        sources.append(_node("environment", None, name, **job.environment))
    return sources


def _prompts(job: Job) -> list[dict[str, Any]]:
    """Of a run that generates: the template that made its prompts, and the sheet whose rows it was given."""
    event = job.events.filter(kind="created").first() if makes_examples(job) else None
    made = (event.details or {}).get(prompts.NAME) if event else None
    if not made:
        return []
    there = Template.objects.filter(pk=made["template"]).exists() and Dataset.objects.filter(pk=made["sheet"]).exists()
    sheet = _node("sheet", made["sheet"], made["sheet_name"])
    name = made["template_name"]
    return [_node("prompts", made["template"], name, prompts=made["prompts"], there=there, comes_from=[sheet])]


def _trigger(job: Job) -> list[dict[str, Any]]:
    """The examples that started it by themselves, and the run whose example reached the threshold."""
    made = FineTuning.objects.filter(job=job).select_related("generated_by", "rule__subject").first()
    if made is None:
        return []
    maker = made.generated_by
    came = [_node("job", maker.pk, maker.name, recipe=maker.recipe)] if maker else []
    session = runs.recorded([made.session_id]).get(made.session_id)
    return [
        _node(
            "trigger", made.pk, f"{made}: {made.examples} new examples", rule=str(made.rule or "Automatic training"),
            number=made.number, examples=made.examples, threshold=made.threshold, session_id=str(made.session_id),
            session=session, job=maker.pk if maker else None, at=made.at.isoformat(), comes_from=came,
        )
    ]  # fmt: skip


def _retraining(job: Job) -> list[dict[str, Any]]:
    """Of a model that is trained again: what asked for it, as the room above wrote it into the job's story."""
    event = job.events.filter(kind="triggered", details__has_key="retraining").first()
    if event is None:
        return []
    told = event.details
    facts = {key: told.get(key) for key in ("trigger", "evidence", "reason", "asked_by", "approved_by", "champion")}
    return [
        _node("retraining", told["retraining"], f"Retraining {told['retraining']}", at=event.at.isoformat(), **facts)
    ]


def _started(job: Job) -> list[dict[str, Any]]:
    """Fine-tunings that an example of this job started."""
    found = FineTuning.objects.filter(generated_by=job).select_related("job").order_by("-id")[:50]
    return [
        _node("job", one.job_id, one.job.name, status=one.job.status, recipe=one.job.recipe, fine_tuning=one.number)
        for one in found
    ]


def _sheets(frozen: DatasetVersion) -> list[dict[str, Any]]:
    """Of a training sheet: the sheets that its pairs were made from, each with the template that made them."""
    made = frozen.dataset.rendered_from.filter(made__gt=0, created_at__lte=frozen.created_at).select_related("sheet")
    return [
        _node(
            "sheet", one.sheet_id, one.sheet.name, rendering=one.pk, pairs=one.made,
            comes_from=[_node("template", one.template_id, one.rendered_by.get("name", ""), sheet=one.sheet_id)],
        )
        for one in made.order_by("id")[:20]
    ]  # fmt: skip


def _version(version: ModelVersion) -> dict[str, Any]:
    # Only the owner's own: a page of this job is drawn once for all who may see it.
    children = version.children.filter(model__owner_id=version.model.owner_id).select_related("model", "merged_by")[:50]
    return _node(
        "model_version",
        version.pk,
        str(version),
        metrics=version.metrics,
        led_to=[_node("model_version", child.pk, str(child), merged=hasattr(child, "merged_by")) for child in children],
    )


def _node(kind: str, key: int | None, name: str, **facts: Any) -> dict[str, Any]:
    return {"kind": kind, "id": key, "name": name, **facts}
