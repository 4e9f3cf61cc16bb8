"""The pages of saved views: keep the filters of the history under a name, rename, delete."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from common.access import get_visible
from common.errors import ProblemError
from common.pages import done, form_of, refused, wants_fragment
from history import saved_views
from history.filters import NAMES
from history.models import SavedView


def _find(request: HttpRequest, pk: int) -> SavedView:
    return get_visible(SavedView.objects.select_related("owner").defer("owner__password"), request.user, pk=pk)


def _address(view: SavedView) -> str:
    return f"{reverse('history')}?{saved_views.query(view)}"


@form_of("history")
def create(request: HttpRequest) -> HttpResponse:
    """Keep what the history shows now."""
    given = {name: request.POST[name] for name in NAMES if name in request.POST}
    try:
        view = saved_views.create(request.user, request.POST.get("view_name", ""), given, request.POST.get("sort", ""))
    except ProblemError as problem:
        return refused(request, problem, reverse("history"))
    return done(request, f"Saved as '{view.name}'.", _address(view))


@require_http_methods(["GET", "HEAD", "POST"])
def view(request: HttpRequest, pk: int) -> HttpResponse:
    """One saved view: what it holds, and its name to change."""
    found = _find(request, pk)
    context = {"view": found, "query": saved_views.query(found), "name": found.name, "limit": saved_views.LONGEST}
    if request.method != "POST":
        return render(request, "history/view.html", context)
    try:
        saved_views.change(found, name=request.POST.get("name", ""))
    except ProblemError as problem:
        typed = {"name": request.POST.get("name", "")[:200], "problem": problem}
        return render(request, "history/view.html", context | typed, status=problem.status)
    return done(request, f"It is called '{found.name}' now.", _address(found))


@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    found = _find(request, pk)
    if request.method != "POST":
        context = {
            "title": f"Delete the view '{found.name}'?", "lines": ["The sessions that it shows stay as they are."],
            "action": reverse("history-view-delete", args=[pk]), "back": reverse("history-view", args=[pk]),
            "keep": "Keep it", "button": "Delete the view", "icon_name": "trash", "kept": [],
        }  # fmt: skip
        return render(request, "parts/confirm.html" if wants_fragment(request) else "confirm.html", context)
    saved_views.delete(found)
    return done(request, f"The view '{found.name}' is deleted.", reverse("history"))
