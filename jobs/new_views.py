"""The page that starts a job: data, then recipe, then settings."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible, visible
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, number_in, show
from datasets import overview
from datasets.freezing.splits import CONTENT, GIVEN, KEY, RULE_WORDS
from datasets.models import Dataset, DatasetVersion
from engine.catalogue import RECIPES, Recipe
from jobs import blueprints, forms, placing
from jobs.creation import create_job
from jobs.models import Job, JobTemplate, Slot
from jobs.needs import DEVICES
from jobs.states import Status
from registry.models import Model

DEVICE_WORDS = {"any": "Whatever is free", "cpu": "CPU", "cuda": "GPU"}
DEFAULTS = {"validation_fraction": "0.1", "test_fraction": "0", "seed": "0"} | {
    "split_by": CONTENT, "split_key": KEY, **placing.DEFAULTS,
}  # fmt: skip


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    if request.method == "POST" and "look" not in request.POST:
        return _create(request)
    typed = request.POST if request.method == "POST" else request.GET
    values = {key: clean(value) for key, value in typed.items()}
    # The form asks for itself again when data or recipe change, and its address keeps what was sent.
    context = _context(request, values, values if "settings_of" in values else None)
    return show(request, "jobs/new.html", "jobs/_new.html", context)


@require_safe
def split(request: HttpRequest) -> HttpResponse:
    """How many items each set would get with these fractions."""
    values = {key: clean(value) for key, value in request.GET.items()}
    dataset = _dataset(request, values)
    return render(request, "parts/split.html", _split(dataset, DEFAULTS | values))


def _create(request: HttpRequest) -> HttpResponse:
    values = {key: clean(value) for key, value in request.POST.items()}
    try:
        job, created = create_job(request.user, **_wanted(request, values))
    except ProblemError as problem:
        context = _context(request, values, values)
        context |= _told(values.get("recipe", ""), problem, context["groups"])
        context["placing_wrong"] = not set(problem.fields).isdisjoint(placing.FIELDS)
        context["first_priority"] = context.get("first_wrong") == "priority"
        return render(request, "jobs/new.html", context, status=problem.status)
    if created:
        messages.success(request, _said(job))
    return redirect("job", pk=job.pk)


def _said(job: Job) -> str:
    """Where a new job stands, and what comes next."""
    if job.status == Status.PENDING:
        return f"'{job.name}' waits. {job.waiting_for}"
    return f"'{job.name}' is in the queue. It starts as soon as a device is free."


def _told(recipe: str, problem: ProblemError, groups: Mapping[str, list[forms.Setting]]) -> dict[str, Any]:
    """What the form says about a problem: in the words of its fields, with the first wrong one named."""
    if recipe not in RECIPES or not problem.fields:
        return {"problem": problem, "errors": problem.fields}
    errors = forms.explained(recipe, problem.fields)
    order = [setting.key for settings in groups.values() for setting in settings]
    first = next((key for key in order if key in errors), next(iter(errors)))
    if problem.message.startswith((f"{first}: ", *(f"{key.removeprefix(forms.PREFIX)}: " for key in errors))):
        title = forms.title(recipe, first)
        problem = InvalidInputError(f"{title}: {errors[first][0]}" if title else errors[first][0], problem.hint)
    return {"problem": problem, "errors": errors, "first_wrong": first}


def _has_gpu() -> bool:
    """Whether a node that is up has a GPU to run jobs on."""
    slots = Slot.objects.filter(enabled=True, device__startswith="cuda").select_related("node")
    return any(slot.node.is_up for slot in slots)


def _wanted(request: HttpRequest, values: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks `create_job` for. Raises InvalidInputError for figures that are none."""
    recipe = values.get("recipe", "")
    if recipe not in RECIPES:
        raise InvalidInputError("Choose a recipe.", "It says what is trained.", fields={"recipe": ["Choose one."]})
    needs_data = RECIPES[recipe].modality is not None
    model = number_in(values.get("model"))
    return {
        "recipe": recipe,
        "dataset": _dataset(request, values) if needs_data else None,
        "name": values.get("name", "")[:200],
        "config": forms.read(recipe, values),
        "validation_fraction": _fraction(values, "validation_fraction") if needs_data else None,
        "test_fraction": _fraction(values, "test_fraction") if needs_data else None,
        "split_by": values.get("split_by") or None if needs_data else None,
        "split_key": _split_key(values) if needs_data else None,
        "seed": _whole(values, "seed", 0, 2**63 - 1),
        "model": get_visible(Model.objects.all(), request.user, pk=model) if model else None,
        **placing.read(values, request.user),
        "idempotency_key": values.get("idempotency_key", "")[:64],
    }


def _dataset(request: HttpRequest, values: Mapping[str, str]) -> Dataset | None:
    pk = number_in(values.get("dataset"))
    return visible(Dataset.objects.all(), request.user).filter(pk=pk).first() if pk else None


def _split_key(values: Mapping[str, str]) -> str | None:
    """The key of the metadata that gives the parts; None where they are split another way."""
    return values.get("split_key", "").strip() or None if values.get("split_by") == GIVEN else None


def _fraction(values: Mapping[str, str], name: str) -> float:
    text = values.get(name, "").strip().replace(",", ".") or DEFAULTS[name]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise InvalidInputError(
            "A share must be from 0 to below 1.", "Write for example 0.1 for a tenth.",
            fields={name: ["Write a number from 0 to below 1, such as 0.1."]},
        )  # fmt: skip
    return value


def _whole(values: Mapping[str, str], name: str, low: int, high: int) -> int:
    text = values.get(name, "").strip() or DEFAULTS[name]
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdecimal() and len(text) < 21):
        value = None
    else:
        value = int(text)
    if value is None or not low <= value <= high:
        message = f"Write a whole number from {low} to {high}."
        raise InvalidInputError(f"The {name} is out of range.", message, fields={name: [message]})
    return value


def _context(request: HttpRequest, values: Mapping[str, str], typed: Mapping[str, str] | None) -> dict[str, Any]:
    """The form: filled with what was typed, else from the job `from` or a template, else with defaults."""
    start = {} if typed is not None else _start(request, values)
    filled = {**DEFAULTS, "name": "", "recipe": "", "dataset": "", "model": ""} | start.get("values", {}) | dict(values)
    datasets = list(visible(Dataset.objects.filter(status=Dataset.Status.ACTIVE), request.user)[:200])
    if datasets and not start and "dataset" not in values:
        filled["dataset"] = str(datasets[0].pk)  # the newest: most likely what was just added
    dataset = _dataset(request, filled)
    fitting = _fitting(dataset)
    recipe = filled["recipe"] if filled["recipe"] in {entry.name for entry in fitting} else fitting[0].name
    same = start.get("recipe") == recipe
    config = start.get("config", {}) if same else {}
    # Settings of another recipe were typed: the new one begins with its defaults.
    known = typed if typed is not None and typed.get("settings_of") == recipe else None
    return {
        "values": filled,
        "datasets": datasets,
        "dataset": dataset,
        "recipes": fitting,
        "recipe": RECIPES[recipe],
        "groups": forms.groups(recipe, config, known),
        "models": visible(Model.objects.filter(recipe=recipe), request.user).order_by("name")[:200],
        "has_gpu": _has_gpu(),
        "split_rules": RULE_WORDS.items(),
        "devices": [(name, DEVICE_WORDS[name]) for name in DEVICES],
        "parent": start.get("job"),
        "template": start.get("template"),
        **placing.shown(filled),
        "idempotency_key": filled.get("idempotency_key") or uuid.uuid4().hex,
        **_split_at_first(dataset, filled, bool(RECIPES[recipe].modality)),
    }


def _start(request: HttpRequest, values: Mapping[str, str]) -> dict[str, Any]:
    """What another job (`from`) or a template (`template`) lends to this one."""
    if (key := number_in(values.get("template"))) is not None:
        template = get_visible(JobTemplate.objects.all(), request.user, pk=key)
        kept, source = template.request, {"template": template}
    elif (key := number_in(values.get("from"))) is not None:
        job = get_visible(Job.objects.select_related("dataset_version", "model_version"), request.user, pk=key)
        kept, source = blueprints.of_job(job), {"job": job}
    else:
        return {}
    lent = {"recipe": kept["recipe"], "name": kept.get("name", ""), "seed": str(kept.get("seed", 0))}
    lent |= {key: str(kept.get(key, "")) for key in ("model", "dataset")} | placing.lent(kept)
    if frozen := kept.get("dataset_version"):
        version = DatasetVersion.objects.filter(pk=frozen).first()
        lent["dataset"] = str(version.dataset_id) if version else ""
    fractions = ("validation_fraction", "test_fraction")
    lent |= {name: f"{kept[name]:g}" for name in fractions if kept.get(name) is not None}
    lent |= {"split_by": kept.get("split_by", CONTENT), "split_key": kept.get("split_key", KEY)}
    return {"values": lent, "config": kept["config"], "recipe": kept["recipe"], **source}


def _fitting(dataset: Dataset | None) -> list[Recipe]:
    """Recipes for this kind of data; without data, those that need none."""
    modality = dataset.modality if dataset else None
    return [recipe for recipe in RECIPES.values() if recipe.modality == modality]


def _split_at_first(dataset: Dataset | None, values: Mapping[str, str], used: bool) -> dict[str, Any]:
    """The counts that the form opens with; of a large dataset they come after the page."""
    if not used:
        return {}
    if dataset and dataset.item_count > overview.SPLIT_AT_ONCE:
        return {"dataset": dataset, "counts": None, "split_later": True}
    return _split(dataset, values)


def _split(dataset: Dataset | None, values: Mapping[str, str]) -> dict[str, Any]:
    if dataset is None:
        return {"counts": None}
    try:
        return {"dataset": dataset} | overview.split(
            dataset, validation_fraction=_fraction(values, "validation_fraction"),
            test_fraction=_fraction(values, "test_fraction"), seed=_whole(values, "seed", 0, 2**63 - 1),
            split_by=values["split_by"] or CONTENT, split_key=values["split_key"].strip() or KEY,
        )  # fmt: skip
    except ProblemError as problem:
        return {"counts": None, "split_problem": problem}
