"""The button of the new-job form that takes a few steps with what is typed, to see what the run would take."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from common.access import visible
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, number_in, show
from datasets.models import Dataset
from engine.catalogue import RECIPES
from jobs import bases, estimates, expected_views, forms, lending, measuring, new_checks, new_fields, placing
from jobs.creation import check_config, check_data
from jobs.estimates import Estimate


@require_POST
def measure(request: HttpRequest) -> HttpResponse:
    """What a trial found: time, memory and cost, or what to change."""
    typed = placing.DEFAULTS | lending.filled(request.user, {key: clean(value) for key, value in request.POST.items()})
    try:
        context = _measured(request, typed)
    except ProblemError as problem:
        context = new_checks.told(typed.get("recipe", ""), problem)
    return show(request, "jobs/measured.html", "jobs/_measured.html", context)


def _measured(request: HttpRequest, typed: dict[str, str]) -> dict[str, object]:
    recipe = typed.get("recipe", "")
    if recipe not in RECIPES:
        raise InvalidInputError("Choose a recipe first.", "It says what is trained.")
    config = check_config(recipe, forms.read(recipe, typed))
    key = number_in(typed.get("dataset"))
    dataset = visible(Dataset.objects.all(), request.user).filter(pk=key).first() if key else None
    check_data(request.user, recipe, dataset if RECIPES[recipe].modality else None, None)
    base = new_fields.row(typed, "base_version", request.user)
    bases.check_version(recipe, base)
    bases.check_one(recipe, config, base)
    found = measuring.measure(
        recipe, config, dataset=dataset if RECIPES[recipe].modality else None,
        examples=expected_views.examples(request, typed), seed=new_fields.seed(typed),
        resources={"device": placing.device(typed), "devices": placing.devices(typed)}, base_version=base,
    )  # fmt: skip
    guess = Estimate(**{name: value for name, value in found.estimate.items() if name in FIELDS})
    return {"found": found, "guess": guess, "about": estimates.about(guess.seconds) if guess.seconds else ""}


FIELDS = ("seconds", "low", "high", "runs", "device", "devices", "price", "currency", "memory", "measured")
