"""A version's reproductions on its page."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.errors import ProblemError
from common.pages import done, form_of, refused, show
from jobs import reproducing
from jobs.models import Reproduction
from registry.access import get_version

SHOWN = 10


@require_safe
def reproductions(request: HttpRequest, pk: int) -> HttpResponse:
    version = get_version(request.user, pk)
    rows = Reproduction.objects.filter(version=version).select_related("job", "asked_by")[:SHOWN]
    owns = version.model.owner_id == request.user.pk or request.user.is_staff
    context = {"version": version, "rows": rows, "why_not": reproducing.why_not(version), "owns": owns}
    return show(request, "jobs/reproductions.html", "jobs/_reproductions.html", context | {"section": "/models"})


@form_of("version")
def reproduce(request: HttpRequest, pk: int) -> HttpResponse:
    version = get_version(request.user, pk)
    try:
        made = reproducing.reproduce(version, request.user)
    except ProblemError as problem:
        return refused(request, problem, reverse("version", args=[pk]))
    said = f"{version} is trained again; both results are compared on its page."
    return done(request, said, reverse("job", args=[made.job_id]))
