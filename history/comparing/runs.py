"""Which runs are compared: read from an address, found among what a person may see, told alike whatever they are."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q, QuerySet

from common.access import visible
from common.errors import InvalidInputError, NotFoundError
from common.numbers import BIGINT_MAX
from datasets.models import DatasetVersion
from engine.catalogue import RECIPES
from history.models import Session
from jobs.estimates import Estimate
from jobs.models import Attempt, Job
from jobs.states import Status
from registry.models import ModelVersion

LEAST, MOST = 2, 50
# A job by its number, a model version as v7, a record of the history as s7.
KEY = re.compile(r"([vs]?)([0-9]{1,19})")


@dataclass(frozen=True)
class Stretch:
    """A time at work: one attempt. `end` None while it goes on."""

    start: datetime
    end: datetime | None


@dataclass(frozen=True)
class Run:
    """What is compared of a run. `job` None: a version that no job made."""

    key: int
    name: str
    recipe: str
    config: dict[str, Any]
    seed: int
    metrics: dict[str, Any]
    data: DatasetVersion | None
    base: str
    environment: dict[str, Any]
    code: dict[str, Any]
    job: Job | None = None
    version: ModelVersion | None = None
    work: list[Stretch] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)  # of the last attempt

    @property
    def estimate(self) -> Estimate:
        return Estimate.of(self.job) if self.job else Estimate()

    @property
    def examples_per_step(self) -> float | None:
        """How many examples a step learns from; None where the recipe does not say."""
        batch = self.config.get("batch_size")
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            return None
        kind = RECIPES.get(self.recipe)
        count = self.data.counts.get("train") if self.data else None
        # Classifiers of files see all of them each epoch, in batches of one size.
        return count / math.ceil(count / batch) if kind and kind.labelled and count else float(batch)


def read_keys(texts: Iterable[str]) -> list[str]:
    """The runs that an address names, each once, in their order. InvalidInputError for what names none."""
    named = (part.strip() for text in texts for part in text.split(","))
    keys = list(dict.fromkeys(part for part in named if part))
    for key in keys:
        known = KEY.fullmatch(key)
        if not known or int(known[2]) > BIGINT_MAX:
            hint = "Give job numbers by comma; v7 stands for model version 7, s7 for record 7 of the history."
            raise _invalid(f"'{key[:40]}' names no run.", hint)
    if len(keys) > MOST:
        raise _invalid(f"{len(keys):,} runs are too many to compare at once.", f"Choose up to {MOST}.")
    return keys


def find(user: AbstractBaseUser, keys: Sequence[str], least: int = LEAST) -> list[Run]:
    """The runs of these keys (see `read_keys`), in their order; as many queries for two as for fifty.

    NotFoundError for one that `user` may not see, InvalidInputError for fewer than `least`, for one that has not
    begun, and for what no job of the hub made.
    """
    ids = list(dict.fromkeys(_job_ids(user, keys)))
    found = {job.pk: job for job in visible(_jobs().filter(pk__in=ids), user)}
    for pk in ids:
        if pk not in found:
            raise _unknown(f"job {pk}")
        if found[pk].started_at is None:
            raise _invalid(f"Job {pk} has not begun to run.", "Wait until it has, or leave it out.")
    if len(ids) < least:
        words = "One run alone has nothing to be compared with." if ids else "No run was chosen."
        raise _invalid(words, f"Choose {LEAST} to {MOST} runs.")
    attempts: dict[int, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(job__in=ids).order_by("job", "number"):
        attempts.setdefault(attempt.job_id, []).append(attempt)
    return [of_job(found[pk], attempts.get(pk, [])) for pk in ids]


def recent(user: AbstractBaseUser, search: str = "") -> QuerySet[Job]:
    """Runs to choose among, the newest first: by a part of their name, their number or their recipe."""
    rows = visible(Job.objects.filter(started_at__isnull=False), user).select_related("owner", "model_version")
    if search:
        by_number = Q(pk=int(search)) if search.isascii() and search.isdecimal() and len(search) < 19 else Q()
        recipes = [name for name, kind in RECIPES.items() if search.lower() in f"{name} {kind.title}".lower()]
        rows = rows.filter(Q(name__icontains=search) | Q(recipe__in=recipes) | by_number)
    return rows.defer("owner__password", "failure_traceback").order_by("-created_at", "-pk")


def of_job(job: Job, attempts: Sequence[Attempt]) -> Run:
    version = job.model_version
    return Run(
        key=job.pk, name=job.name, recipe=job.recipe, config=job.config, seed=job.seed, metrics=job.metrics,
        data=job.dataset_version, base=_base(job.base_version, job.config), environment=job.environment,
        code=version.code if version else {}, job=job, version=version,
        work=[Stretch(attempt.started_at, attempt.ended_at) for attempt in attempts],
        devices=list(attempts[-1].devices) if attempts else [],
    )  # fmt: skip


def of_version(version: ModelVersion, job: Job | None = None) -> Run:
    """A version as a run; with its job, where that is still there."""
    if job is not None:
        return replace(of_job(job, list(job.attempts.order_by("number"))), version=version, code=version.code)
    return Run(
        key=version.pk, name=str(version), recipe=version.model.recipe, config=version.config, seed=version.seed,
        metrics=version.metrics, data=version.dataset_version, base=_base(version.base_version, version.config),
        environment=version.environment, code=version.code, version=version,
    )  # fmt: skip


def took(run: Run) -> float | None:
    """Seconds at work, without waiting and pauses; None of what no job made."""
    return run.job.elapsed_seconds() if run.job else None


def cost(run: Run) -> float | None:
    """What the time at work cost; None where no price was set when the job was made."""
    return run.estimate.cost_of(took(run))


def ended_well(run: Run) -> bool:
    return run.job is None or run.job.status == Status.COMPLETED


def _jobs() -> QuerySet[Job]:
    related = ("owner", "dataset_version__dataset", "base_version__model", "model_version__model")
    return Job.objects.select_related(*related).defer("owner__password", "failure_traceback")


def _job_ids(user: AbstractBaseUser, keys: Sequence[str]) -> list[int]:
    """The jobs behind the keys; one query for all versions, one for all records."""
    parsed = [(match[1], int(match[2])) for key in keys if (match := KEY.fullmatch(key))]
    versions = [pk for kind, pk in parsed if kind == "v"]
    records = [pk for kind, pk in parsed if kind == "s"]
    of_versions = visible(ModelVersion.objects.filter(pk__in=versions), user, "model__owner") if versions else []
    of_records = visible(Session.objects.filter(pk__in=records), user, "user") if records else []
    known = {
        "v": {version.pk: version.source_job_id for version in of_versions},
        "s": {record.pk: record.job_id for record in of_records},
    }
    return [pk if not kind else _behind(kind, pk, known[kind]) for kind, pk in parsed]


def _behind(kind: str, pk: int, known: dict[int, int | None]) -> int:
    name = f"model version {pk}" if kind == "v" else f"record {pk} of the history"
    if pk not in known:
        raise _unknown(name)
    if (job := known[pk]) is None:
        what = "was not made by a run of its own" if kind == "v" else "was reported by a program or its job is gone"
        raise _invalid(f"{name[0].upper()}{name[1:]} {what}.", "It has no curves or settings to compare: leave it out.")
    return job


def _base(version: ModelVersion | None, config: dict[str, Any]) -> str:
    return str(version) if version else str(config.get("base_model") or "")


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(
        f"There is no {name} for you.", "Check the address. It may have been deleted, or it belongs to someone else."
    )


def _invalid(message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={"runs": [f"{message} {hint}"]})
