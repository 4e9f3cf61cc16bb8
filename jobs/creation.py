"""Making jobs: the request is checked as a whole, then one row with its first event is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, connection, transaction
from pydantic import ValidationError

from common.access import get_visible
from common.errors import ConflictError, InvalidInputError
from common.wording import moment_utc
from datasets.freezing import versions
from datasets.gating import gates
from datasets.models import Dataset, DatasetVersion, Subject
from engine import catalogue, refusals
from engine.protocol import EngineError
from jobs import bases, columns, conflicts, estimates, labels, limits, room
from jobs.generation import prompts, saving, sources
from jobs.lifecycle import record
from jobs.models import AfterFailure, Dependency, Job
from jobs.needs import Needs
from jobs.places import new_place
from jobs.queue import knock_on_commit
from jobs.states import MAX_PRIORITY, Status
from jobs.waiting import reason_to_wait
from registry.models import Model, ModelVersion

MAX_SEED = 2**63 - 1
MAX_NEEDED = 20
CLOCKS_DIFFER = timedelta(minutes=5)


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
    split_by: str | None = None,
    split_key: str | None = None,
    seed: int | None = None,
    priority: int = 0,
    subject: Subject | None = None,
    model: Model | None = None,
    base_version: ModelVersion | None = None,
    save_to: Dataset | None = None,
    prompts_from: dict[str, Any] | None = None,
    resources: dict[str, Any] | None = None,
    preemptible: bool = False,
    not_before: datetime | None = None,
    after: Sequence[Job] = (),
    after_failure: str = AfterFailure.CANCEL,
    max_seconds: float | None = None,
    phase_seconds: dict[str, float] | None = None,
    stall_seconds: float | None = None,
    alone: bool = True,
    idempotency_key: str = "",
) -> tuple[Job, bool]:
    """Queue a job, or let it wait for its time (`not_before`) or for other jobs to end (`after`).

    Returns the job, and whether it was made now (False: the same key was used before). A dataset is frozen into a
    version first (`validation_fraction` defaults to 0.1, `split_by` to "content"), which takes in only items that
    passed the dataset's gates. Raises InvalidInputError for settings that the recipe
    refuses, ConflictError when the model or subject is busy, a limit is reached or the key belongs to another
    request. A job that is not `alone`, such as a search's trial, shares its data with others that run beside it, so it
    is about no subject. `prompts_from` names a template of training sheets (and the sheet, and how many) that makes the
    prompts of a run which generates, see `jobs.generation.prompts`.
    """
    seed = check_seed(seed)
    whole, prompted_by = prompts.into(owner, recipe, config or {}, prompts_from)
    checked = check_config(recipe, whole)
    needs = Needs.read(resources or {})
    timing = {
        "preemptible": preemptible,
        "after_failure": check_after_failure(after_failure),
        "max_seconds": None if max_seconds is None else limits.seconds(max_seconds, "max_seconds"),
        "phase_seconds": limits.phase_seconds(phase_seconds or {}),
        "stall_seconds": None if stall_seconds is None else limits.seconds(stall_seconds, "stall_seconds"),
        "not_before": not_before,
    }
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        raise InvalidInputError(
            "The priority is out of range.", f"Use a number from {-MAX_PRIORITY} to {MAX_PRIORITY}."
        )
    request = (recipe, dataset, dataset_version, name, config, validation_fraction, test_fraction, seed, priority)
    waits_for = sorted({job.pk for job in after})
    # What is not given is left out, so that the digests of requests from before there was such a thing hold.
    keys = [*([split_key] if split_key else []), *([{"save_to": save_to.pk}] if save_to else [])]
    keys += [{"prompts_from": prompts_from}] if prompts_from else []
    digest = _digest(*request, subject, model, base_version, needs.stored(), timing, waits_for, split_by, *keys)
    if idempotency_key and (earlier := _earlier(owner, idempotency_key, digest)):
        return earlier, False
    check_time(not_before)
    split = {"validation_fraction": validation_fraction, "test_fraction": test_fraction}
    split |= {"split_by": split_by, "split_key": split_key or None}
    version = freeze(owner, recipe, checked, dataset, dataset_version, split, seed)
    check_parts(owner, recipe, subject, model, base_version)
    bases.check_one(recipe, checked, base_version)
    sources.check(owner, recipe, checked)
    check_target(owner, recipe, save_to)
    room.check(recipe, checked, needs, base_version=base_version, version=version)
    needed = _needed(owner, waits_for, after_failure)
    subject = subject or (version.dataset.subject if version and alone else None)
    base = base_version.pk if base_version else None
    expected = estimates.estimate(recipe, checked, version, resources=needs.stored(), base_version=base)
    try:
        with transaction.atomic():
            limits.check_room(owner, subject)
            bases.hold(recipe, checked, base_version)
            now: datetime = _now()
            later = not_before if not_before and not_before > now else None
            reason = reason_to_wait(needed, after_failure, later)
            status = Status.PENDING if reason else Status.QUEUED
            job = Job.objects.create(
                owner=owner,
                name=(name.strip() or _default_name(recipe, version))[:200],
                recipe=recipe,
                config=checked,
                seed=seed,
                dataset_version=version,
                subject=subject,
                model=model,
                base_version=base_version,
                save_to=save_to,
                resources=needs.stored(),
                lane=needs.lane,
                priority=priority,
                position=new_place(owner.pk, priority, needs.devices),
                status=status,
                waiting_for=reason,
                queued_at=None if reason else now,
                idempotency_key=idempotency_key,
                request_digest=digest,
                estimate=expected.stored(),
                **timing | {"not_before": later},
            )
            Dependency.objects.bulk_create(Dependency(job=job, needs=other) for other in needed)
            details = {prompts.NAME: prompted_by} if prompted_by else None
            record(job, "created", move=("", status), actor=owner, message=reason or "Queued.", details=details)
            knock_on_commit()
    except (IntegrityError, ConflictError) as error:
        # The same request, sent twice, may itself have taken the last place that a limit leaves.
        if idempotency_key and (earlier := _earlier(owner, idempotency_key, digest)):
            return earlier, False
        if isinstance(error, ConflictError):
            raise
        raise conflicts.busy(model, subject, recipe) from error
    job.refresh_from_db()
    return job, True


def check_config(recipe: str, config: dict[str, Any]) -> dict[str, Any]:
    """The complete configuration with defaults. Raises InvalidInputError naming wrong fields as `config.<field>`."""
    try:
        model = catalogue.config_class(recipe)
    except EngineError as error:
        raise InvalidInputError(error.message, error.hint, fields={"recipe": [error.message]}) from None
    try:
        complete = model.model_validate(config).model_dump(mode="json")
    except ValidationError as error:
        told = refusals.problems(error, model)
        fields = {f"config.{name}" if name else "config": [reason] for name, reason in told.items()}
        first = next(iter(fields.items()))
        raise InvalidInputError(
            f"{first[0].removeprefix('config.')}: {first[1][0]}", "Correct the marked settings.", fields=fields
        ) from None
    bases.check_folder(recipe, complete)
    return complete


def check_after_failure(given: str) -> str:
    if given not in AfterFailure.values:
        raise InvalidInputError(
            "What happens when a job before it fails is not known.",
            f"Choose one of: {', '.join(AfterFailure.values)}.",
            fields={"after_failure": ["unknown"]},
        )
    return str(given)


def _needed(owner: AbstractBaseUser, waits_for: Sequence[int], after_failure: str) -> list[Job]:
    """The jobs after which this one starts; those that can't complete any more are refused now, in words."""
    if len(waits_for) > MAX_NEEDED:
        raise InvalidInputError(
            f"A job can start after {MAX_NEEDED} others at most.", "Name fewer.", fields={"after": ["too many"]}
        )
    needed = [get_visible(Job.objects.all(), owner, pk=pk) for pk in waits_for]
    for job in needed:
        if job.status in {Status.FAILED, Status.CANCELLED} and after_failure == AfterFailure.CANCEL:
            state = "has failed" if job.status == Status.FAILED else "was cancelled"
            raise InvalidInputError(
                f"Job {job.pk} '{job.name}' {state}, so a job after it would never start.",
                "Retry that one first, or let this one start all the same: after_failure 'run' or 'wait'.",
                fields={"after": [f"job {job.pk} {state}"]},
            )
    return needed


def check_time(not_before: datetime | None) -> None:
    """A start that lies behind is a mistake in the date; a little of it may be two clocks that differ."""
    if not_before is None:
        return
    if not_before.tzinfo is None:
        raise InvalidInputError(
            "The time to start has no time zone.",
            "Write it as 2026-03-01T14:00:00Z or 2026-03-01T15:00:00+01:00.",
            fields={"not_before": ["no time zone"]},
        )
    if not_before < _now() - CLOCKS_DIFFER:
        message = f"The time to start, {moment_utc(not_before)}, has passed."
        hint = "Choose a later one, or leave it out to start as soon as a device is free."
        raise InvalidInputError(message, hint, fields={"not_before": [f"{message} {hint}"]})


def _now() -> datetime:
    """The database's time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        return cursor.fetchone()[0]


def check_seed(seed: int | None) -> int:
    if seed is None:
        return 0
    if isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
        raise InvalidInputError(
            "The seed is out of range.", "Use a whole number from 0.", fields={"seed": ["out of range"]}
        )
    return seed


def freeze(
    owner: AbstractBaseUser,
    recipe: str,
    config: dict[str, Any],
    dataset: Dataset | None,
    version: DatasetVersion | None,
    split: dict[str, Any],
    seed: int,
) -> DatasetVersion | None:
    """The frozen version that jobs of this recipe learn from; None where the recipe needs no data. Raises as
    `check_data`, `columns.check` and freezing do."""
    chosen = check_data(owner, recipe, dataset, version)
    if chosen is not None:
        columns.check(recipe, config, chosen, version)
        labels.check_validation(recipe, chosen, version, split, seed)
    if version or chosen is None:
        return version
    given: dict[str, Any] = {name: value for name, value in split.items() if value is not None}
    frozen = versions.freeze(chosen, owner, seed=seed, **given)
    if chosen.approvals or chosen.governed:
        unlabelled = gates.trainable(chosen).filter(label="").count()
        labels.check_classes(recipe, chosen, len(frozen.classes), unlabelled)
    return frozen


def check_data(
    owner: AbstractBaseUser, recipe: str, dataset: Dataset | None, version: DatasetVersion | None
) -> Dataset | None:
    """The dataset that a job of this recipe would use; None where the recipe needs none.

    Raises InvalidInputError for data that does not fit the recipe, NotFoundError for data of someone else.
    """
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
        labels.check_classes(recipe, chosen, len(version.classes), 0)
        return chosen
    if chosen.approvals or chosen.governed:
        return chosen  # what its items are is looked at when it is frozen: the rules may have to look first
    items = gates.trainable(chosen)
    found = items.order_by().values_list("label", flat=True).distinct()
    unlabelled = items.filter(label="").count()
    labels.check_classes(recipe, chosen, len(set(found[:3]) - {""}), unlabelled)
    return chosen


def check_parts(
    owner: AbstractBaseUser,
    recipe: str,
    subject: Subject | None,
    model: Model | None,
    base_version: ModelVersion | None,
) -> None:
    """NotFoundError for what the owner may not see, InvalidInputError for a model of another recipe."""
    if subject:
        get_visible(Subject.objects.all(), owner, pk=subject.pk)
    if base_version:
        get_visible(ModelVersion.objects.all(), owner, "model__owner", pk=base_version.pk)
        bases.check_version(recipe, base_version)
    if model:
        get_visible(Model.objects.all(), owner, pk=model.pk)
        if model.recipe != recipe:
            raise InvalidInputError(
                f"The model '{model.name}' is made by {model.recipe}, not by {recipe}.",
                "Choose another model, or leave it out to start a new one.",
                fields={"model": ["made by another recipe"]},
            )


def check_target(owner: AbstractBaseUser, recipe: str, target: Dataset | None) -> None:
    """NotFoundError for a dataset of someone else, InvalidInputError for one that can't take what the recipe makes."""
    if target is not None:
        get_visible(Dataset.objects.all(), owner, pk=target.pk)
        saving.check_target(recipe, target)


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
