"""What people do with searches: begin, end, extend, and make a version of the best trial."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ConflictError, InvalidInputError
from common.revision import revision
from datasets.models import Dataset, DatasetVersion
from engine import catalogue
from engine.recipe import Recipe
from jobs import bases, blueprints, control, creation, room
from jobs.models import Job, Search, SearchEvent, Trial
from jobs.needs import Needs
from jobs.outbox import ADVANCE
from jobs.search import space as spaces
from jobs.search.sampling import CANCELLED
from jobs.states import ACTIVE, MAX_PRIORITY
from registry import versions
from registry.models import ModelVersion

MOST_TRIALS = 1000
MOST_AT_ONCE = 64


def create(
    owner: AbstractBaseUser,
    *,
    recipe: str,
    space: Any,
    name: str = "",
    config: dict[str, Any] | None = None,
    dataset: Dataset | None = None,
    dataset_version: DatasetVersion | None = None,
    base_version: ModelVersion | None = None,
    trials: int = 20,
    at_once: int = 2,
    metric: str | None = None,
    higher_is_better: bool | None = None,
    prune: bool = True,
    sampler: str = Search.Sampler.TPE,
    seed: int = 0,
    resources: dict[str, Any] | None = None,
    priority: int = 0,
    split: dict[str, Any] | None = None,
) -> Search:
    """Begin a search; its first trials are made in the background.

    A dataset is frozen once, so that all trials learn from the same version (`split` as for a job). `metric` is the
    recipe's own goal unless given, with `higher_is_better` of it. Raises InvalidInputError and what
    `creation.create_job` raises.
    """
    checked = creation.check_config(recipe, config or {})
    about = catalogue.recipe(recipe)
    where = spaces.read(recipe, space)
    _check_counts(trials, at_once)
    better = _better(about, metric, higher_is_better)
    if sampler not in Search.Sampler.values:
        message = f"There is no sampler '{sampler[:40]}'."
        hint = f"Choose one of: {', '.join(Search.Sampler.values)}."
        raise InvalidInputError(message, hint, fields={"sampler": [message]})
    if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
        hint = f"Use a number from {-MAX_PRIORITY} to {MAX_PRIORITY}."
        raise InvalidInputError("The priority is out of range.", hint, fields={"priority": [hint]})
    needs = Needs.read(resources or {})
    creation.check_parts(owner, recipe, None, None, base_version)
    bases.check_one(recipe, checked, base_version)
    frozen = creation.freeze(owner, recipe, checked, dataset, dataset_version, split or {}, creation.check_seed(seed))
    room.check(recipe, checked, needs, base_version=base_version, version=frozen)
    with transaction.atomic():
        bases.hold(recipe, checked, base_version)
        row = Search.objects.create(
            owner=owner,
            name=blueprints.clean_name(name.strip() or _default_name(about.title, frozen)),
            recipe=recipe,
            config={key: value for key, value in checked.items() if key not in where},
            space=where,
            metric=(metric or about.goal)[:100],
            higher_is_better=better,
            wanted=trials,
            at_once=min(at_once, trials),
            prune=prune,
            sampler=sampler,
            seed=seed,
            dataset_version=frozen,
            base_version=base_version,
            resources=needs.stored(),
            priority=priority,
        )
        note(row, "created", owner, f"{trials} trials of {about.title}, over {', '.join(where)}.")
        enqueue(ADVANCE, row.pk)
    return row


def cancel(search: Search, by: AbstractBaseUser) -> Search:
    """End a search: no further trial is made, and those that wait or run are cancelled. Twice changes nothing."""
    with transaction.atomic():
        row = locked(search.pk)
        if row.status == Search.Status.RUNNING:
            end(row, Search.Status.CANCELLED, by)
        elif row.status != Search.Status.CANCELLED or not row.trials.filter(state=Trial.State.RUNNING).exists():
            return row
    settle(row, by)
    return row


def settle(search: Search, by: AbstractBaseUser) -> None:
    """Cancel what still runs of a search that was cancelled, and write its trials down as ended. Asked again after a
    death in between, it does the rest."""
    for job in list(Job.objects.filter(trial__search=search, status__in=ACTIVE)):
        try:
            control.cancel(job, by, f"Its search '{search.name}' was cancelled."[:200])
        except ConflictError:
            continue  # it has just ended by itself
    with transaction.atomic():
        if locked(search.pk).status == Search.Status.CANCELLED:
            search.trials.filter(state=Trial.State.RUNNING).update(state=Trial.State.FAILED, reason=CANCELLED)


@transaction.atomic
def extend(search: Search, by: AbstractBaseUser, trials: int, at_once: int | None = None) -> Search:
    """Make so many more trials, and run `at_once` of them at a time from now on. A search that has ended goes on, with
    what its trials have shown."""
    row = locked(search.pk)
    if row.status == Search.Status.FAILED:
        raise ConflictError(f"The search has failed: {row.reason}", "Begin a new one with other settings.")
    made = row.trials.count()
    if isinstance(trials, bool) or not 1 <= trials <= MOST_TRIALS - made:
        message = f"Ask for 1 to {max(1, MOST_TRIALS - made):,} more trials."
        raise InvalidInputError(message, "A search has at most 1,000 trials.", fields={"trials": [message]})
    if at_once is not None:
        _check_counts(trials, at_once)
        row.at_once = at_once
    row.wanted = (made if row.status != Search.Status.RUNNING else row.wanted) + trials
    row.at_once = min(row.at_once, row.wanted)  # one that was cancelled early has made fewer than it was to run at once
    row.status, row.ended_at, row.reason = Search.Status.RUNNING, None, ""
    row.save(update_fields=["wanted", "at_once", "status", "ended_at", "reason"])
    pace = "" if at_once is None else f", {row.at_once} at a time"
    note(row, "extended", by, f"{trials} more trials{pace}.")
    enqueue(ADVANCE, row.pk)
    return row


@transaction.atomic
def promote(search: Search, by: AbstractBaseUser | None) -> ModelVersion:
    """A version of the best trial so far; the same one when it was made before.

    ConflictError when no trial has completed, or the recipe makes no model.
    """
    row = locked(search.pk)
    best = row.best
    if best is None or best.job is None:
        raise ConflictError("No trial of this search has completed yet.", "Wait for the first one.")
    if best.job.model_version:
        return best.job.model_version
    if not best.artifact:
        raise ConflictError(f"The recipe {row.recipe} makes no model.", "Search with a recipe that trains one.")
    job = best.job
    version = versions.register(
        owner=row.owner,
        model=None,
        name=row.name,
        recipe=row.recipe,
        subject=row.dataset_version.dataset.subject if row.dataset_version else None,
        config=job.config,
        metrics={name: value for name, value in job.metrics.items() if not name.startswith("best/")},
        artifact=best.artifact,
        dataset_version=row.dataset_version,
        base_version=row.base_version,
        source_job_id=job.pk,
        seed=job.seed,
        code=revision(),
        environment=job.environment,
    )
    Job.objects.filter(pk=job.pk, model_version__isnull=True).update(model_version=version)
    row.version = version
    row.save(update_fields=["version"])
    note(row, "promoted", by, f"Made {version} of trial {best.number}.")
    return version


def locked(pk: int) -> Search:
    """The search, held until the transaction ends; whoever changes it or its trials holds it."""
    return Search.objects.select_for_update(of=("self",), no_key=True).select_related("dataset_version").get(pk=pk)


def end(search: Search, status: str, by: AbstractBaseUser | None, reason: str = "") -> None:
    """Close a running search that the caller holds."""
    changed = Search.objects.filter(pk=search.pk, status=Search.Status.RUNNING).update(
        status=status, reason=reason[:500], ended_at=Now()
    )
    if changed:
        search.refresh_from_db(fields=["status", "reason", "ended_at"])
        note(search, status, by, reason)


def note(search: Search, kind: str, by: AbstractBaseUser | None, message: str = "") -> None:
    SearchEvent.objects.create(search=search, kind=kind, actor=by, message=message[:500])


def _check_counts(trials: int, at_once: int) -> None:
    wrong: dict[str, list[str]] = {}
    if isinstance(trials, bool) or not 1 <= trials <= MOST_TRIALS:
        wrong["trials"] = [f"Make from 1 to {MOST_TRIALS:,} trials."]
    if isinstance(at_once, bool) or not 1 <= at_once <= MOST_AT_ONCE:
        wrong["at_once"] = [f"Run from 1 to {MOST_AT_ONCE} at a time."]
    if wrong:
        raise InvalidInputError(next(iter(wrong.values()))[0], "Correct the marked fields.", fields=wrong)


def _better(about: Recipe, metric: str | None, higher: bool | None) -> bool:
    """Whether a higher value is better: said of a metric that is named, known of the recipe's own goal."""
    if metric and higher is None:
        message = f"Say whether a higher value of '{metric[:100]}' is better."
    elif not metric and higher not in (None, about.higher_is_better):
        known = "higher" if about.higher_is_better else "lower"
        message = f"No metric is named, and of {about.name}'s own goal, {about.goal}, a {known} value is better."
    else:
        return about.higher_is_better if higher is None else higher
    hint = "Name the metric that the search should go by, and whether a higher value of it is better."
    raise InvalidInputError(message, hint, fields={"higher_is_better": [message]})


def _default_name(title: str, version: DatasetVersion | None) -> str:
    about = f" on {version.dataset.name}" if version else ""
    return f"Search: {title}{about}"[:200]
