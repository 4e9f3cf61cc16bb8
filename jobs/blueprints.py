"""Requests for jobs that are kept: checked when they are saved, and again each time that they are used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from common.access import get_visible
from common.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from common.uniqueness import one_name
from datasets.freezing import versions
from datasets.freezing.splits import CONTENT, KEY
from datasets.models import Dataset, DatasetVersion, Subject
from jobs import bases, columns, creation, limits, room, template_rules
from jobs.generation import sources
from jobs.models import Job, JobTemplate
from jobs.needs import Needs
from jobs.priorities import read_priority
from registry.models import Model, ModelVersion

# What a request may point at: key → rows, path to their owner. Kept as ids.
ROWS: dict[str, tuple[Any, str]] = {
    "dataset": (Dataset.objects, "owner"),
    "dataset_version": (DatasetVersion.objects.select_related("dataset__subject"), "dataset__owner"),
    "subject": (Subject.objects, "owner"),
    "model": (Model.objects, "owner"),
    "base_version": (ModelVersion.objects, "model__owner"),
    "save_to": (Dataset.objects, "owner"),
}
VALUES = (
    "recipe", "name", "config", "validation_fraction", "test_fraction", "split_by", "split_key", "seed",
    "priority", "resources", "preemptible", "max_seconds", "phase_seconds", "stall_seconds",
)  # fmt: skip
MAX_NAME = 200


def check(owner: AbstractBaseUser, given: dict[str, Any], asked: Sequence[str] = ()) -> dict[str, Any]:
    """A request as it is kept, complete with its recipe's settings; rows are named by their ids.

    `given` holds what `creation.create_job` takes, without times and jobs to wait for. Raises what create_job raises
    for a request that can't be used, except what passes by itself: limits, and a model or subject that is busy. Values
    that will be `asked` for anew may be missing, or unusable.
    """
    unknown = sorted(set(given) - set(ROWS) - set(VALUES))
    if unknown:
        raise InvalidInputError(f"'{unknown[0][:40]}' can't be kept.", f"Use {', '.join([*VALUES, *ROWS])}.")
    kept = {key: value for key, value in given.items() if value not in (None, "", {})}
    recipe = kept.get("recipe", "")
    given_config = kept.get("config", {})
    with _unless_asked(asked):
        kept["config"] = creation.check_config(recipe, given_config)
    kept["resources"] = Needs.read(kept.get("resources", {})).stored()
    kept["priority"] = read_priority(kept.get("priority", 0))
    for key in {"max_seconds", "stall_seconds"} & set(kept):
        kept[key] = limits.seconds(kept[key], key)
    if "phase_seconds" in kept:
        kept["phase_seconds"] = limits.phase_seconds(kept["phase_seconds"])
    fractions = kept.get("validation_fraction", 0.1), kept.get("test_fraction", 0.0)
    rule = kept.get("split_by", CONTENT), kept.get("split_key", KEY)
    versions.check_split(*fractions, kept.get("seed", 0), *rule)
    found = rows(owner, kept)
    with _unless_asked(asked):
        creation.check_data(owner, recipe, found.get("dataset"), found.get("dataset_version"))
    with _unless_asked(asked):
        creation.check_parts(owner, recipe, found.get("subject"), found.get("model"), found.get("base_version"))
    with _unless_asked(asked):
        creation.check_target(owner, recipe, found.get("save_to"))
    if kept.setdefault("config", {}) is not given_config:  # it is complete
        _check_settings(owner, kept, found, asked)
    return kept


def _check_settings(owner: AbstractBaseUser, kept: dict[str, Any], found: dict[str, Any], asked: Sequence[str]) -> None:
    """Whether the settings suit what they are about: the data, the base, whom they name, and the hub's devices."""
    recipe, config = kept["recipe"], kept["config"]
    base, dataset, version = (found.get(key) for key in ("base_version", "dataset", "dataset_version"))
    with _unless_asked(asked):
        columns.check(recipe, config, dataset, version)
    with _unless_asked(asked):
        bases.check_one(recipe, config, base)
    with _unless_asked(asked):
        sources.check(owner, recipe, config)
    with _unless_asked(asked):
        needs = Needs.read(kept["resources"])
        room.check(recipe, config, needs, base_version=base, dataset=dataset, version=version)


@contextmanager
def _unless_asked(asked: Sequence[str]) -> Iterator[None]:
    """Let a problem pass that is about nothing but values that will be asked for anew."""
    try:
        yield
    except ProblemError as problem:
        if not problem.fields or not set(problem.fields) <= set(asked):
            raise


def start(owner: AbstractBaseUser, kept: dict[str, Any], now: datetime, number: int = 1, **options: Any) -> Job:
    """Make a job of a kept request. A dataset is frozen as it is now. Raises as `creation.create_job` does.

    In its name {date} and {time} stand for `now`, in the zone that it is given in, and {number} for `number`.
    """
    wanted = {key: value for key, value in kept.items() if key not in ROWS}
    name = named(wanted.pop("name", ""), now, number)
    return creation.create_job(owner, **wanted, **rows(owner, kept), name=name, **options)[0]


def named(name: str, now: datetime, number: int = 1) -> str:
    """A kept name with what its {date}, {time} and {number} stand for."""
    name = name.replace("{date}", f"{now:%Y-%m-%d}").replace("{time}", f"{now:%H:%M}")
    return name.replace("{number}", str(number))


def start_from(template: JobTemplate, given: dict[str, Any], now: datetime, number: int = 1, **options: Any) -> Job:
    """Make a job of a template, for its owner, with some values of one's own. Raises as `start`, and
    InvalidInputError for what the template does not allow."""
    template_rules.applied(template, given)
    return start(template.owner, altered(template_rules.without_asked(template), given), now, number, **options)


def altered(kept: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A kept request with some values replaced. Settings are replaced one by one, and data of one kind by the other."""
    changed = {key: value for key, value in given.items() if value is not None}
    if "config" in changed:
        changed["config"] = kept.get("config", {}) | changed["config"]
    data = {"dataset", "dataset_version"}
    left = {key: value for key, value in kept.items() if key not in data or not data & set(changed)}
    return left | changed


def of_job(job: Job, *, newest: bool = True) -> dict[str, Any]:
    """The request that a job was made by. With `newest` it takes the data as they are each time that it is used."""
    found: dict[str, Any] = {key: getattr(job, key) for key in VALUES if hasattr(job, key)}
    found |= {key: getattr(job, f"{key}_id") for key in ("subject", "base_version", "save_to")}
    found["model"] = job.model_id or (job.model_version.model_id if job.model_version else None)
    frozen = job.dataset_version
    if frozen and newest:
        found["dataset"] = frozen.dataset_id
        found |= {"validation_fraction": frozen.validation_fraction, "test_fraction": frozen.test_fraction}
        found |= {"split_by": frozen.split_rule.get("by", CONTENT), "split_key": frozen.split_rule.get("key")}
    elif frozen:
        found["dataset_version"] = frozen.pk
    return {key: value for key, value in found.items() if value is not None}


def save(
    owner: AbstractBaseUser,
    name: str,
    given: dict[str, Any],
    *,
    required: Sequence[str] = (),
    locked: Sequence[str] = (),
) -> JobTemplate:
    """Keep a request under a name of its own. Raises as `check` and `template_rules.check`, ConflictError when the
    name is taken."""
    kept = check(owner, given, required)
    asked, held = template_rules.check(kept, required, locked)
    with _one_name(name):
        return JobTemplate.objects.create(owner=owner, name=clean_name(name), request=kept, required=asked, locked=held)


@transaction.atomic
def change(
    template: JobTemplate,
    *,
    name: str | None = None,
    request: dict[str, Any] | None = None,
    required: Sequence[str] | None = None,
    locked: Sequence[str] | None = None,
) -> JobTemplate:
    """Give a template another name, request or other rules; its schedules use it from their next time on.

    None changes nothing. InvalidInputError for rules that its schedules can't keep.
    """
    row = JobTemplate.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=template.pk).first()
    if row is None:
        raise NotFoundError(f"There is no template {template.pk}.", "It may have been deleted.")
    if name is not None:
        row.name = clean_name(name)
    row.required = list(required) if required is not None else row.required
    row.locked = list(locked) if locked is not None else row.locked
    if request is not None or required is not None:
        row.request = check(row.owner, row.request if request is None else request, row.required)
    row.required, row.locked = template_rules.check(row.request, row.required, row.locked)
    if row.required and (names := _used_by(row)):
        message = f"The template '{row.name}' can't ask for values anew: it {names}, where there is nobody to ask."
        hint = "Delete these first, or let them use another template."
        raise InvalidInputError(message, hint, fields={"required": [f"{message} {hint}"]})
    with _one_name(row.name):
        row.save()
    return row


@transaction.atomic
def delete(template: JobTemplate) -> None:
    """Remove a template. ConflictError while schedules or automatic training use it."""
    row = JobTemplate.objects.select_for_update(of=("self",)).filter(pk=template.pk).first()
    if row is None:
        return
    if names := _used_by(row):
        raise ConflictError(
            f"The template '{row.name}' {names}.", "Delete these first, or let them use another template."
        )
    row.delete()


def _used_by(row: JobTemplate) -> str:
    """Which schedules use it, or whether automatic training does, as words; '' for none."""
    names = list(row.schedules.values_list("name", flat=True)[:4])
    if not names:
        if row.automatic_trainings.exists():
            return "is used by automatic training"
        # Of the room above, which names templates too.
        return "is used by a retraining policy" if row.retraining_policies.exists() else ""
    more = " and more" if len(names) > 3 else ""
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return f"is used by the {'schedule' if len(names) == 1 else 'schedules'} {shown}{more}"


def clean_name(name: str) -> str:
    """A name without spaces at its ends; InvalidInputError when nothing is left or it is too long."""
    name = name.strip()
    if not name or len(name) > MAX_NAME:
        message = "The name is too long." if name else "The name is missing."
        hint = f"Type a name of up to {MAX_NAME} characters."
        raise InvalidInputError(message, hint, fields={"name": [f"{message} {hint}"]})
    return name


def rows(owner: AbstractBaseUser, kept: dict[str, Any]) -> dict[str, Any]:
    """The rows that a request points at; NotFoundError for one that is gone."""
    return {
        key: get_visible(known.all(), owner, path, pk=kept[key]) for key, (known, path) in ROWS.items() if key in kept
    }


def _one_name(name: str) -> AbstractContextManager[None]:
    return one_name(f"There is a template called '{name}' already.", "Choose another name, or change that one.")
