"""Pages of searches."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible, visible
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, done, number_in, page_of, refused, show
from datasets import fitting
from datasets.models import Dataset
from engine.catalogue import RECIPES
from jobs import blueprints, columns, new_checks, parts
from jobs import forms as settings
from jobs.models import Job, Search
from jobs.search import forms, overview, verbs
from jobs.search.parallel import parallel

PER_PAGE = 50
MORE = 10  # trials that are offered


@require_safe
def searches(request: HttpRequest) -> HttpResponse:
    page = page_of(request, visible(overview.listed(), request.user))
    page.object_list = overview.with_counts(list(page.object_list))
    return show(request, "jobs/search/searches.html", "jobs/search/_searches.html", {"page": page})


@require_safe
def search(request: HttpRequest, pk: int) -> HttpResponse:
    row = _find(request, pk)
    overview.with_counts([row])
    trials = list(row.trials.select_related("job").order_by("number"))
    context = {
        "search": row,
        "pictures": [drawn for narrow in (False, True) if (drawn := parallel(row, trials, narrow))],
        "course": overview.course(row, trials),
        "weights": overview.weights(row),
        "page": page_of(request, overview.best_first(row, trials), PER_PAGE),
        "settings": list(row.space),
        "titles": {name: schema.get("title", name) for name, schema in overview.properties(row.recipe).items()},
        "events": row.events.select_related("actor").order_by("-id")[:20],
        "can_promote": bool(row.best and row.best.artifact and not row.version_id),
    }
    return show(request, "jobs/search/search.html", "jobs/search/_search.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A search from scratch, or around the settings of a job that the address names."""
    if request.method == "POST" and "look" not in request.POST:
        try:
            made = verbs.create(request.user, **_wanted(request))
        except ProblemError as problem:
            context = _context(request, request.POST) | new_checks.told(request.POST.get("recipe", ""), problem)
            return render(request, "jobs/search/new.html", context, status=problem.status)
        return done(request, f"'{made.name}' has begun: its first trials are being made.", _page(made))
    # The form asks for itself again when data or recipe change.
    again = request.GET if "settings_of" in request.GET else None
    typed = request.POST if request.method == "POST" else again
    return show(request, "jobs/search/new.html", "jobs/search/_new.html", _context(request, typed))


@require_http_methods(["GET", "HEAD", "POST"])
def action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """Cancel, make more trials, make a version; asked by GET, says what it means."""
    row = _find(request, pk)
    if verb == "more" and request.method != "POST":
        context = {"search": row, "trials": MORE, "most": max(1, verbs.MOST_TRIALS - row.trials.count())}
        context["most_at_once"] = verbs.MOST_AT_ONCE
        return show(request, "jobs/search/more.html", "jobs/search/_more.html", context)
    if verb not in (*QUESTIONS, "more"):
        raise Http404
    if request.method != "POST":
        line, button, icon = QUESTIONS[verb]
        asked = {"title": f"{button}?", "lines": [line], "button": button, "icon_name": icon}
        asked |= {"action": reverse("search-action", args=[pk, verb]), "back": _page(row), "keep": "Leave it"}
        return show(request, "confirm.html", "parts/confirm.html", asked)
    try:
        said, go_to = _act(request, row, verb)
    except ProblemError as problem:
        return refused(request, problem, _page(row))
    return done(request, said, go_to)


QUESTIONS = {
    "cancel": (
        "No further trial is made, and those that run are cancelled. What was found stays.",
        "End the search",
        "x",
    ),
    "promote": ("The best trial so far becomes a version of a model.", "Make a version of the best", "flag"),
}


def _act(request: HttpRequest, row: Search, verb: str) -> tuple[str, str]:
    if verb == "cancel":
        verbs.cancel(row, request.user)
        return f"'{row.name}' has ended.", _page(row)
    if verb == "more":
        wanted = {name: _count(request.POST, name) for name in ("trials", "at_once") if name in request.POST}
        made = verbs.extend(row, request.user, **{"trials": MORE, **wanted})
        return f"'{row.name}' makes more trials, {made.wanted:,} in all, {made.at_once} at a time.", _page(row)
    version = verbs.promote(row, request.user)
    return f"{version} was made of the best trial.", reverse("version", args=[version.pk])


def _wanted(request: HttpRequest) -> dict[str, Any]:
    """What the form asks for. InvalidInputError for figures that are none."""
    typed = request.POST
    recipe = typed.get("recipe", "")
    if recipe not in RECIPES:
        raise InvalidInputError("Choose a recipe.", "It says what is trained.", fields={"recipe": ["Choose one."]})
    source = _source(request, typed.get("from"))
    dataset = _dataset(request, typed.get("dataset")) if RECIPES[recipe].modality else None
    kept = blueprints.of_job(source)["config"] if source and source.recipe == recipe else {}
    wanted: dict[str, Any] = {
        "recipe": recipe,
        "config": _fixed(typed, recipe, kept, _data_of(source) or dataset),
        "name": clean(typed.get("name", ""))[:200],
        "space": forms.read(recipe, typed),
        "trials": _count(typed, "trials"),
        "at_once": _count(typed, "at_once"),
        "prune": "prune" in typed,
    }
    if source and source.recipe == recipe:
        return wanted | {
            "dataset_version": source.dataset_version, "base_version": source.base_version,
            "seed": source.seed, "resources": source.resources,
        }  # fmt: skip
    return wanted | {"dataset": dataset}


def _fixed(typed: Any, recipe: str, kept: dict[str, Any], dataset: Dataset | None) -> dict[str, Any]:
    """The settings that all trials share: what was typed, where the form had them, else those of the job."""
    if typed.get("fixed_of") != recipe:
        return kept
    hidden = parts.divided(recipe, dataset, None).unused
    given = settings.read(recipe, {key: clean(value) for key, value in typed.items()})
    return {name: value for name, value in kept.items() if name in hidden} | given


def _count(typed: Any, name: str) -> int:
    number = number_in(typed.get(name))
    if number is None:
        message = "Write a whole number."
        raise InvalidInputError(message, "Correct the marked field.", fields={name: [message]})
    return number


def _context(request: HttpRequest, typed: Any) -> dict[str, Any]:
    source = _source(request, (typed if typed is not None else request.GET).get("from"))
    datasets = list(visible(Dataset.objects.filter(status=Dataset.Status.ACTIVE), request.user)[:200])
    given = typed if typed is not None else request.GET
    kinds = fitting.trained_on()
    first = next((dataset for dataset in datasets if dataset.modality in kinds), None)
    dataset = _dataset(request, given.get("dataset")) or (first if "dataset" not in given else None)
    fits = list(fitting.recipes(dataset.modality if dataset else None))
    recipe = source.recipe if source else given.get("recipe", "")
    if not source and recipe not in [entry.name for entry in fits]:
        recipe = fits[0].name if fits else ""
    same = typed is not None and typed.get("settings_of") == recipe
    about = _data_of(source) or dataset
    kept = blueprints.of_job(source)["config"] if source and source.recipe == recipe else {}
    fixed = {key: clean(value) for key, value in typed.items()} if same and typed.get("fixed_of") == recipe else None
    divided = parts.divided(recipe, about, None)
    groups = settings.groups(recipe, kept, fixed, None, columns.of(about), divided.unused) if recipe in RECIPES else {}
    return {
        "source": source,
        "datasets": datasets,
        "dataset": dataset,
        "recipes": fits,
        "recipe": RECIPES.get(recipe),
        "groups": groups,
        "fixed_changed": fixed is not None and any(setting.changed for group in groups.values() for setting in group),
        "choices": forms.choices(recipe, typed if same else None) if recipe in RECIPES else [],
        "values": {
            "name": given.get("name", ""),
            "trials": given.get("trials", "20"),
            "at_once": given.get("at_once", "2"),
            "prune": "prune" in typed if same else True,
        },
    }


def _source(request: HttpRequest, key: str | None) -> Job | None:
    if not key:
        return None
    return get_visible(Job.objects.select_related("dataset_version__dataset", "base_version"), request.user, pk=key)


def _data_of(source: Job | None) -> Dataset | None:
    """The data of the job that a search is made around."""
    return source.dataset_version.dataset if source and source.dataset_version else None


def _dataset(request: HttpRequest, key: str | None) -> Dataset | None:
    pk = number_in(key)
    return visible(Dataset.objects.all(), request.user).filter(pk=pk).first() if pk else None


def _find(request: HttpRequest, pk: int) -> Search:
    return get_visible(overview.listed(), request.user, pk=pk)


def _page(search: Search) -> str:
    return reverse("search", args=[search.pk])
