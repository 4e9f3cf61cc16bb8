"""What the form of a new job says of time and cost, as it is filled in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common.access import visible
from common.errors import ProblemError
from common.pages import clean, number_in
from datasets.freezing import sizes
from datasets.gating import gates
from datasets.models import Dataset, Modality
from engine.catalogue import RECIPES
from jobs import estimates, forms, lending, new_fields, placing
from jobs.creation import check_config


@require_safe
def expected(request: HttpRequest) -> HttpResponse:
    """The estimate for what is typed; nothing while it is no request for a job."""
    typed = placing.DEFAULTS | lending.filled(request.user, {key: clean(value) for key, value in request.GET.items()})
    recipe = typed.get("recipe", "")
    told = ""
    if recipe in RECIPES:
        try:
            config = check_config(recipe, forms.read(recipe, typed))
            resources = {"device": placing.device(typed), "devices": placing.devices(typed)}
            base = new_fields.row(typed, "base_version", request.user)
            about = {"examples": examples(request, typed), "resources": resources}
            about["base_version"] = base.pk if base else None
            guess = estimates.estimate(recipe, config, **about)
            told = f"It takes {guess}." if guess.seconds is not None else f"How long it takes: {guess.reason}."
        except ProblemError:
            pass  # the form says so when it is sent
    return render(request, "jobs/_expected.html", {"told": told})


def examples(request: HttpRequest, typed: dict[str, str]) -> int | None:
    """How many items would be trained on, about; the rows of tables."""
    key = number_in(typed.get("dataset"))
    dataset = visible(Dataset.objects.all(), request.user).filter(pk=key).first() if key else None
    if dataset is None:
        return None
    if dataset.modality == Modality.TABLE:
        return max(1, sizes.rows_of([dataset.pk])[dataset.pk])
    try:
        held_out = sum(float(typed.get(name) or 0) for name in ("validation_fraction", "test_fraction"))
    except ValueError:
        held_out = 0.0
    kept = 1 - held_out if 0 <= held_out < 1 else 1.0
    return max(1, round(gates.trainable(dataset).count() * kept))
