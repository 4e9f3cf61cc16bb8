"""The page that starts a job: data, then recipe, then settings."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from common.access import visible
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, number_in, show
from datasets import fitting, overview
from datasets.freezing.splits import CONTENT, KEY, RULE_WORDS
from datasets.models import Dataset, Modality, Subject, Template
from engine.catalogue import RECIPES
from jobs import columns, forms, lending, new_checks, new_fields, parts, placing, recommending
from jobs.creation import create_job
from jobs.generation import prompts, sources
from jobs.models import Job, Slot
from jobs.needs import DEVICES
from jobs.states import Status
from jobs.template_rules import REQUIRED
from registry.models import Model
from registry.versions import usable

CHOICES = 200
DEVICE_WORDS = {"any": "Whatever is free", "cpu": "CPU", "cuda": "GPU"}


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
    values = lending.filled(request.user, {key: clean(value) for key, value in request.GET.items()})
    dataset = _dataset(request, values)
    return render(request, "parts/split.html", _split(dataset, new_fields.DEFAULTS | values))


@require_safe
def prompts_shown(request: HttpRequest) -> HttpResponse:
    """What prompts the chosen template makes, or what is wrong with the choice."""
    context: dict[str, Any] = {}
    if asked := prompts.typed({key: clean(value) for key, value in request.GET.items()}):
        try:
            context["made"] = prompts.make(request.user, **asked)
        except ProblemError as problem:
            context["problem"] = problem
    return render(request, "jobs/_prompts.html", context)


def _create(request: HttpRequest) -> HttpResponse:
    posted = {key: clean(value) for key, value in request.POST.items()}
    template = lending.template_of(request.user, posted)
    values = lending.filled(request.user, posted)
    ruled = [partial(lending.check, template, posted)] if template else []
    also = list(ruled)
    if asked := prompts.typed(values):
        also.append(partial(prompts.make, request.user, **asked))
    try:
        for check in ruled:
            check()
        wanted = _wanted(request, values)
        job, created = create_job(
            request.user, **lending.exactly(template, request.user, wanted) if template else wanted
        )
    except ProblemError as first:
        problem = new_checks.everything(first, values, request.user, _dataset(request, values), also)
        context = _context(request, values, values)
        context |= new_checks.told(values.get("recipe", ""), problem)
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


def _has_gpu() -> bool:
    """Whether a node that is up has a GPU to run jobs on."""
    slots = Slot.objects.filter(enabled=True, device__startswith="cuda").select_related("node")
    return any(slot.node.is_up for slot in slots)


def _device_for(asked: str) -> str:
    """The kind of device that a job would run on, as far as it can be said."""
    return "cuda" if asked == "cuda" or (asked == "any" and _has_gpu()) else "cpu"


def _wanted(request: HttpRequest, values: Mapping[str, str]) -> dict[str, Any]:
    """What the form asks `create_job` for. Raises InvalidInputError for figures that are none."""
    recipe = values.get("recipe", "")
    if recipe not in RECIPES:
        raise InvalidInputError("Choose a recipe.", "It says what is trained.", fields={"recipe": ["Choose one."]})
    needs_data = RECIPES[recipe].modality is not None
    prompted = prompts.typed(values) if RECIPES[recipe].makes == "examples" else None
    config = forms.read(recipe, values)
    if prompted:
        config.pop(prompts.SETTING, None)
    return {
        "recipe": recipe,
        "dataset": _dataset(request, values) if needs_data else None,
        "name": values.get("name", "")[:200],
        "config": config,
        "prompts_from": prompted,
        "validation_fraction": new_fields.fraction(values, "validation_fraction") if needs_data else None,
        "test_fraction": new_fields.fraction(values, "test_fraction") if needs_data else None,
        "split_by": values.get("split_by") or None if needs_data else None,
        "split_key": new_fields.split_key(values) if needs_data else None,
        "seed": new_fields.seed(values),
        **{name: new_fields.row(values, name, request.user) for name in new_fields.ROWS},
        **placing.read(values, request.user),
        "idempotency_key": values.get("idempotency_key", "")[:64],
    }


def _dataset(request: HttpRequest, values: Mapping[str, str]) -> Dataset | None:
    pk = number_in(values.get("dataset"))
    return visible(Dataset.objects.all(), request.user).filter(pk=pk).first() if pk else None


def _context(request: HttpRequest, values: Mapping[str, str], typed: Mapping[str, str] | None) -> dict[str, Any]:
    """The form: filled with what was typed, else from the job `from` or a template, else with defaults."""
    template = lending.template_of(request.user, values)
    rule = lending.rules(template)
    start = {} if typed is not None else lending.start(request.user, values)
    empty = dict.fromkeys(("name", "recipe", "dataset", *new_fields.ROWS), "")
    asked_for = dict.fromkeys((name for name, how in rule.items() if how == REQUIRED), "")
    filled = new_fields.DEFAULTS | empty | start.get("values", {}) | asked_for | dict(values) | lending.held(template)
    datasets = list(visible(Dataset.objects.filter(status=Dataset.Status.ACTIVE), request.user)[:200])
    asked = RECIPES.get(filled["recipe"])
    if not start and not rule and "dataset" not in values and not (asked and asked.modality is None):
        filled["dataset"] = _newest(datasets)
    dataset = _dataset(request, filled)
    recipes = lending.recipes(template) or fitting.recipes(dataset.modality if dataset else None)
    recipe = _recipe(filled["recipe"], [entry.name for entry in recipes])
    same = start.get("recipe") == recipe
    config = start.get("config", {}) if same else {}
    # Settings of another recipe were typed: the new one begins with its defaults.
    known = typed if typed is not None and typed.get("settings_of") == recipe else None
    advice = recommending.advice(recipe, dataset, _device_for(filled["device"]))
    counted = _split_at_first(dataset, filled, bool(recipe and RECIPES[recipe].modality))
    divided = parts.divided(recipe, dataset, counted.get("counts"))
    if known is not None and (taken := advice.get(values.get("take", ""))):
        known = {**known, forms.PREFIX + values["take"]: taken.value}
    shown = {**known, **lending.held(template)} if known is not None else None
    groups = forms.groups(recipe, config, shown, advice, columns.of(dataset), divided.unused) if recipe else {}
    return {
        "values": filled,
        "datasets": datasets,
        "dataset": dataset,
        "recipes": recipes,
        "recipe": RECIPES.get(recipe),
        "divided": divided,
        "groups": lending.ruled(groups, rule, known is not None),
        "rules": rule,
        "asked": bool(asked_for),
        "ruled_by": template if rule else None,
        "subjects": _choices(Subject.objects.order_by("name"), request.user, "owner", filled["subject"]),
        "bases": _choices(
            usable().filter(model__recipe=recipe).order_by("-id"),
            request.user,
            "model__owner",
            filled["base_version"],
        ),
        **_examples(request, recipe, filled, {one.name: one.value for some in groups.values() for one in some}),
        "models": visible(Model.objects.filter(recipe=recipe), request.user).order_by("name")[:200],
        "has_gpu": _has_gpu(),
        "split_rules": RULE_WORDS.items(),
        "devices": [(name, DEVICE_WORDS[name]) for name in DEVICES],
        "parent": start.get("job"),
        "template": start.get("template"),
        **placing.shown(filled),
        "idempotency_key": filled.get("idempotency_key") or uuid.uuid4().hex,
        **counted,
    }


def _examples(
    request: HttpRequest, recipe: str, filled: Mapping[str, str], present: Mapping[str, str]
) -> dict[str, Any]:
    """For a recipe that generates: which datasets can take what it makes, and which models it can ask."""
    if not recipe or RECIPES[recipe].makes != "examples":
        return {}
    texts = Dataset.objects.filter(modality=Modality.TEXT).order_by("name")
    return {
        "generates": True,
        "targets": _choices(texts, request.user, "owner", filled["save_to"]),
        "askable": sources.offered(request.user),
        "fitting": sources.fitting(request.user, present),
        "prompt_templates": _choices(
            Template.objects.order_by("name"), request.user, "owner", filled.get("prompts_from.template", "")
        ),
        "sheets": _choices(
            Dataset.objects.filter(modality=Modality.TABLE).order_by("name"),
            request.user,
            "owner",
            filled.get("prompts_from.sheet", ""),
        ),
        "prompts_from": {part: filled.get(f"prompts_from.{part}", "") for part in prompts.PARTS},
    }


def _newest(datasets: list[Dataset]) -> str:
    """The dataset that the form opens with: the newest that can be trained on, most likely what was just added."""
    kinds = fitting.trained_on()
    return next((str(dataset.pk) for dataset in datasets if dataset.modality in kinds), "")


def _recipe(asked: str, fit: list[str]) -> str:
    """The recipe that was asked for where it fits the data, else the first that does; '' where none does."""
    return asked if asked in fit else next(iter(fit), "")


def _choices(rows: QuerySet[Any], user: Any, owner: str, chosen: str) -> list[Any]:
    """Those of the rows that a person may choose; what is chosen is among them, however many there are."""
    found = list(visible(rows, user, owner)[:CHOICES])
    key = number_in(chosen)
    if key is not None and key not in {row.pk for row in found}:
        found += visible(rows.model.objects.all(), user, owner).filter(pk=key)
    return found


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
            dataset, validation_fraction=new_fields.fraction(values, "validation_fraction"),
            test_fraction=new_fields.fraction(values, "test_fraction"), seed=new_fields.seed(values),
            split_by=values["split_by"] or CONTENT, split_key=values["split_key"].strip() or KEY,
        )  # fmt: skip
    except ProblemError as problem:
        return {"counts": None, "split_problem": problem}
