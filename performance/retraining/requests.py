"""The request of a retraining's job: as the champion was trained, or as a template says, on the data wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from common.errors import InvalidInputError
from common.wording import moment_utc, number
from datasets.freezing import versions
from datasets.gating import gates
from datasets.models import Dataset, DatasetVersion, Item, Modality
from engine.catalogue import RECIPES
from jobs import blueprints, creation, template_rules
from jobs.models import JobTemplate
from jobs.schedules import database_now
from performance.models import Retraining, RetrainingPolicy
from performance.retraining import arrivals
from performance.retraining.lines import champion_of, job_of
from registry.models import Model, ModelVersion

Window = RetrainingPolicy.Window
SPLIT = ("validation_fraction", "test_fraction", "split_by", "split_key")
DATA = ("dataset", "dataset_version", *SPLIT)
LEAST_SINCE = 100  # items or rows since a drift began; fewer teach too little of what is new


def check(model: Model, policy: RetrainingPolicy) -> None:
    """InvalidInputError, in words, when there is nothing that says how the model is trained."""
    if not model.owner.is_active:
        raise InvalidInputError(
            f"The account of {model.owner.get_username()}, who owns {model}, is switched off.",
            "An administrator can switch it on.",
        )
    if model.recipe not in RECIPES:
        raise InvalidInputError(f"There is no recipe {model.recipe} any more.", "Install it again, or use another.")
    base(model, policy.template, champion_of(model))


def base(model: Model, template: JobTemplate | None, champion: ModelVersion | None) -> dict[str, Any]:
    """What is kept of how the model is trained. InvalidInputError when nothing is."""
    if template is not None:
        template_rules.unattended(template)
        return {"name": ""} | template.request
    job = job_of(champion)
    if job is None:
        what = f"{champion} was made by no job of this hub" if champion else f"{model} has no version that is ready"
        raise InvalidInputError(
            f"{what}, so nothing says how to train it again.",
            "Train a version by a job, or name a template in the retraining policy of the model.",
        )
    return blueprints.of_job(job)


def request_of(row: Retraining) -> dict[str, Any]:
    """The request, as `jobs.blueprints` keeps one. Raises as `base`."""
    template = JobTemplate.objects.filter(pk=row.plan.get("template")).first() if row.plan.get("template") else None
    if row.plan.get("template") and template is None:
        raise InvalidInputError("The template of the policy is gone.", "Choose another one in the policy.")
    kept = base(row.model, template, row.champion)
    given = {"model": row.model_id, "dataset": row.plan.get("dataset"), "name": f"Retraining {row.pk}: {row.model}"}
    left = {key: value for key, value in blueprints.altered(kept, given).items() if key != "save_to"}
    return left | {"name": left["name"][: blueprints.MAX_NAME]}


def freeze(row: Retraining, request: dict[str, Any]) -> tuple[DatasetVersion | None, str]:
    """The data that the job learns from (None where its recipe needs none), and why they are of another window than its
    plan says ('': they are not). Raises as `creation.freeze`, and InvalidInputError when nothing lies in the window."""
    owner, recipe = row.model.owner, request["recipe"]
    found = blueprints.rows(owner, {key: request[key] for key in ("dataset", "dataset_version") if key in request})
    config = creation.check_config(recipe, request.get("config", {}))
    split = {name: request.get(name) for name in SPLIT}
    seed = creation.check_seed(request.get("seed"))
    dataset = found.get("dataset")
    if dataset and _by_rows(dataset, row.champion):
        split |= {"validation_fraction": 0.0, "test_fraction": 0.0}
    plan, why = settled(row.plan, row.evidence, dataset)
    if plan.get("window", Window.ALL) == Window.ALL or dataset is None:
        return creation.freeze(owner, recipe, config, dataset, found.get("dataset_version"), split, seed), why
    items = in_window(dataset, plan, row.champion)
    if not gates.trainable(dataset).filter(pk__in=items).exists():
        raise InvalidInputError(
            f"Nothing of '{dataset.name}' lies in the window: {window_words(plan)}.",
            "Add data, or choose a wider window in the retraining policy.",
        )
    creation.check_data(owner, recipe, dataset, None)
    given = {name: value for name, value in split.items() if value is not None}
    return versions.freeze(dataset, owner, seed=seed, only=items, **given), why


def _by_rows(dataset: Dataset, champion: ModelVersion | None) -> bool:
    """Whether the rows of tables are divided by the recipe, as those of the champion were, and not file by file: a file
    that came since would else be learned from as a whole or not at all."""
    if dataset.modality != Modality.TABLE or champion is None or champion.dataset_version is None:
        return False
    counts = champion.dataset_version.counts
    return not (counts.get("train") and counts.get("validation"))


def settled(plan: dict[str, Any], evidence: dict[str, Any], dataset: Dataset | None) -> tuple[dict[str, Any], str]:
    """The plan with the window that can be used, by what started the retraining; and why it is another one than was
    wanted, in words ('': it is not). Since a drift began there must be one, and enough that came since."""
    if plan.get("window") != Window.DRIFT or dataset is None:
        return plan, ""
    everything = plan | {"window": Window.ALL}
    if not (began := evidence.get("began")):
        return everything, "No drift started it, so it learns from all of the dataset."
    since = datetime.fromisoformat(began)
    count = arrivals.count(dataset, since)
    if count >= LEAST_SINCE:
        return plan | {"since": began}, ""
    unit = "rows" if dataset.modality == Modality.TABLE else "items"
    few = f"{number(count)} of its {unit} came since the drift began on {moment_utc(since)}, fewer than {LEAST_SINCE}"
    return everything, f"Only {few}: it learns from all of the dataset."


def in_window(dataset: Dataset, plan: dict[str, Any], champion: ModelVersion | None) -> QuerySet[Item]:
    """The ids of the items in the window of a plan that was `settled`."""
    window, count = plan["window"], plan.get("window_count")
    rows = dataset.items.order_by("-pk")
    if window == Window.DRIFT:
        rows = rows.filter(created_at__gt=datetime.fromisoformat(plan["since"]))
    if window == Window.DAYS:
        rows = rows.filter(created_at__gt=database_now() - timedelta(days=count or 1))
    if window == Window.ITEMS:
        newest = (
            gates.trainable(dataset).order_by("-pk").values_list("pk", flat=True)[count - 1 : count] if count else []
        )
        rows = rows.filter(pk__gte=next(iter(newest), 0))
    if window == Window.SINCE and champion and champion.dataset_version:
        rows = rows.filter(created_at__gt=champion.dataset_version.created_at)
    return rows.order_by().values("pk")


def window_words(plan: dict[str, Any]) -> str:
    """'items of the last 30 days'."""
    count = plan.get("window_count")
    one = count == 1
    return {
        Window.DAYS: "items of the last day" if one else f"items of the last {number(count)} days",
        Window.ITEMS: "the newest item" if one else f"the newest {number(count)} items",
        Window.SINCE: "items that came since the champion's data",
        Window.DRIFT: _since_drift(plan.get("since")),
    }.get(plan.get("window", ""), "all items")


def _since_drift(began: str | None) -> str:
    if began:
        return f"items that came since the drift began on {moment_utc(datetime.fromisoformat(began))}"
    return f"items that came since the drift began, or all without one or with fewer than {LEAST_SINCE}"
