"""Making jobs: the request is checked as a whole, then one row with its first event is written."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from pydantic import ValidationError

from common.access import get_visible
from common.errors import ConflictError, InvalidInputError
from datasets import versions
from datasets.models import Dataset, DatasetVersion, Subject
from engine import catalogue
from engine.protocol import EngineError
from jobs.lifecycle import record
from jobs.models import Job
from jobs.queue import knock_on_commit
from jobs.states import ACTIVE, Status
from registry.models import Model, ModelVersion

DEVICES = ("any", "cpu", "cuda")
MAX_SEED = 2**63 - 1
MAX_PRIORITY = 1000


def create_job(
    owner: AbstractBaseUser,
    *,
    recipe: str,
    dataset: Dataset | None = None,
    dataset_version: DatasetVersion | None = None,
    name: str = "",
    config: dict[str, Any] | None = None,
    validation_fraction: float | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    priority: int = 0,
    subject: Subject | None = None,
    model: Model | None = None,
    base_version: ModelVersion | None = None,
    resources: dict[str, Any] | None = None,
    idempotency_key: str = "",
) -> tuple[Job, bool]:
    """Queue a job; the job, and whether it was made now (False: the same key was used before).

    A dataset is frozen into a version first (`validation_fraction` defaults to 0.1). Raises
    InvalidInputError for settings that the recipe refuses, ConflictError when the model or subject is busy
    or the key belongs to another request.
    """
    seed = _seed(seed)
    checked = check_config(recipe, config or {})
    wanted = check_resources(resources or {})
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInputError(
            "The priority is out of range.", f"Use a number from {-MAX_PRIORITY} to {MAX_PRIORITY}."
        )
    request = (recipe, dataset, dataset_version, name, config, validation_fraction, test_fraction, seed, priority)
    digest = _digest(*request, subject, model, base_version, wanted)
    if idempotency_key and (earlier := _earlier(owner, idempotency_key, digest)):
        return earlier, False
    version = _version(owner, recipe, dataset, dataset_version, validation_fraction, test_fraction, seed)
    _check_parts(owner, recipe, subject, model, base_version)
    try:
        with transaction.atomic():
            job = Job.objects.create(
                owner=owner,
                name=(name.strip() or _default_name(recipe, version))[:200],
                recipe=recipe,
                config=checked,
                seed=seed,
                dataset_version=version,
                subject=subject or (version.dataset.subject if version else None),
                model=model,
                base_version=base_version,
                resources=wanted,
                priority=priority,
                status=Status.QUEUED,
                queued_at=Now(),
                total_steps=None,
                idempotency_key=idempotency_key,
                request_digest=digest,
            )
            record(job, "created", move=("", Status.QUEUED), actor=owner, message="Queued.")
            knock_on_commit()
    except IntegrityError as error:
        if idempotency_key and (earlier := _earlier(owner, idempotency_key, digest)):
            return earlier, False
        raise _busy(model, subject or (version.dataset.subject if version else None), recipe) from error
    job.refresh_from_db()
    return job, True


def check_config(recipe: str, config: dict[str, Any]) -> dict[str, Any]:
    """The complete configuration with defaults. Raises InvalidInputError naming wrong fields as `config.<field>`."""
    try:
        model = catalogue.config_class(recipe)
    except EngineError as error:
        raise InvalidInputError(error.message, error.hint, fields={"recipe": [error.message]}) from None
    try:
        return model.model_validate(config).model_dump(mode="json")
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for problem in error.errors():
            name = f"config.{problem['loc'][0]}" if problem["loc"] else "config"
            reason = problem["msg"].removeprefix("Value error, ")
            if reason not in fields.setdefault(name, []):
                fields[name].append(reason)
        first = next(iter(fields.items()))
        raise InvalidInputError(
            f"{first[0].removeprefix('config.')}: {first[1][0]}", "Correct the marked settings.", fields=fields
        ) from None


def check_resources(resources: dict[str, Any]) -> dict[str, Any]:
    """What a job may ask of a slot: {"device": "any" | "cpu" | "cuda"}."""
    unknown = set(resources) - {"device"}
    device = resources.get("device", "any")
    if unknown or device not in DEVICES:
        raise InvalidInputError(
            "The resources are not valid.",
            f"Give a device: one of {', '.join(DEVICES)}.",
            fields={"resources": [f"unknown: {', '.join(sorted(map(str, unknown)))}" if unknown else "unknown device"]},
        )
    return {"device": device}


def _seed(seed: int | None) -> int:
    if seed is None:
        return 0
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InvalidInputError(
            "The seed is out of range.", "Use a whole number from 0.", fields={"seed": ["out of range"]}
        )
    return seed


def _version(
    owner: AbstractBaseUser,
    recipe: str,
    dataset: Dataset | None,
    version: DatasetVersion | None,
    validation_fraction: float | None,
    test_fraction: float | None,
    seed: int,
) -> DatasetVersion | None:
    modality = catalogue.recipe(recipe).modality
    if modality is None:
        if dataset or version:
            raise InvalidInputError(f"The recipe {recipe} uses no data.", "Leave the dataset out.")
        return None
    chosen = version.dataset if version else dataset
    if chosen is None:
        message = f"The recipe {recipe} needs a dataset of modality {modality}."
        raise InvalidInputError(message, "Choose a dataset.", fields={"dataset": ["This field is required."]})
    get_visible(Dataset.objects.all(), owner, pk=chosen.pk)
    if chosen.modality != modality:
        message = f"The recipe {recipe} trains on {modality}, and '{chosen.name}' holds {chosen.modality}."
        raise InvalidInputError(message, "Choose another dataset or recipe.", fields={"dataset": [message]})
    if version:
        _check_classes(recipe, chosen, len(version.classes), 0)
        return version
    labels = chosen.items.order_by().values_list("label", flat=True).distinct()
    unlabelled = chosen.items.filter(label="").count()
    _check_classes(recipe, chosen, len(set(labels[:3]) - {""}), unlabelled)
    return versions.freeze(
        chosen,
        owner,
        validation_fraction=0.1 if validation_fraction is None else validation_fraction,
        test_fraction=test_fraction or 0.0,
        seed=seed,
    )


def _check_classes(recipe: str, dataset: Dataset, classes: int, unlabelled: int) -> None:
    """A recipe that names classes needs two of them, and one for every item."""
    if catalogue.recipe(recipe).output != "labels" or dataset.status != Dataset.Status.ACTIVE:
        return
    if classes < 2:
        found = "one class only" if classes else "no classes"
        message = f"'{dataset.name}' has {found}, and {recipe} needs at least two."
    elif unlabelled:
        message = f"{unlabelled} {'item' if unlabelled == 1 else 'items'} of '{dataset.name}' have no class."
    else:
        return
    hint = "Put the images into one folder per class, such as cats/1.png and dogs/7.png, and upload them again."
    raise InvalidInputError(message, hint, fields={"dataset": [message]})


def _check_parts(
    owner: AbstractBaseUser,
    recipe: str,
    subject: Subject | None,
    model: Model | None,
    base_version: ModelVersion | None,
) -> None:
    if subject:
        get_visible(Subject.objects.all(), owner, pk=subject.pk)
    if base_version:
        get_visible(ModelVersion.objects.all(), owner, "model__owner", pk=base_version.pk)
    if model:
        get_visible(Model.objects.all(), owner, pk=model.pk)
        if model.recipe != recipe:
            raise InvalidInputError(
                f"The model '{model.name}' is made by {model.recipe}, not by {recipe}.",
                "Choose another model, or leave it out to start a new one.",
                fields={"model": ["made by another recipe"]},
            )


def _busy(model: Model | None, subject: Subject | None, recipe: str) -> ConflictError:
    """Which job is in the way, in words."""
    in_the_way = Job.objects.filter(status__in=ACTIVE)
    job = (in_the_way.filter(model=model).first() if model else None) or (
        in_the_way.filter(subject=subject, recipe=recipe).first() if subject else None
    )
    what = f"the model '{model.name}'" if model else f"the subject '{subject.name}'" if subject else "this"
    if job is None:
        return ConflictError("Another request was faster.", "Send the request again.")
    return ConflictError(
        f"Job {job.pk} '{job.name}' is {job.status} for {what}; only one at a time is allowed.",
        f"Wait for it, or cancel it: see /jobs/{job.pk}.",
        job=job.pk,
    )


def _earlier(owner: AbstractBaseUser, key: str, digest: str) -> Job | None:
    job = Job.objects.filter(owner=owner, idempotency_key=key).first()
    if job and job.request_digest != digest:
        raise ConflictError(
            f"The Idempotency-Key was used before, for job {job.pk}, with another request.",
            "Use a new key for a new request.",
            job=job.pk,
            earlier={"name": job.name, "recipe": job.recipe, "config": job.config, "seed": job.seed},
        )
    return job


def _digest(recipe: str, *parts: Any) -> str:
    plain = [getattr(part, "pk", part) for part in parts]
    return hashlib.sha256(json.dumps([recipe, *plain], sort_keys=True, default=str).encode()).hexdigest()


def _default_name(recipe: str, version: DatasetVersion | None) -> str:
    title = catalogue.recipe(recipe).title
    return f"{title}: {version.dataset.name}" if version else title
