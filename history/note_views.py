"""The forms of a session's note, tags and star."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import mark_safe

from common.access import get_visible
from common.errors import ProblemError
from common.pages import done, form_of, partial, refused, toasts, wants_fragment
from history import notes
from history.models import Session
from history.reading import sessions


def _find(request: HttpRequest, pk: int) -> Session:
    return get_visible(sessions(request.user), request.user, "user", pk=pk)


@form_of("session")
def note(request: HttpRequest, pk: int) -> HttpResponse:
    """The note and the tags as they were typed."""
    found = _find(request, pk)
    given = {"note": request.POST.get("note"), "tags": request.POST.get("tags")}
    tags = None if given["tags"] is None else notes.split(given["tags"])
    try:
        notes.change(found, note=given["note"], tags=tags)
    except ProblemError as problem:
        return refused(request, problem, reverse("session", args=[pk]))
    if not wants_fragment(request):
        return done(request, "Note and tags saved.", reverse("session", args=[pk]))
    messages.success(request, "Note and tags saved.")
    drawn = render_to_string("history/_marks.html", {"session": found}, request)
    return HttpResponse(mark_safe(partial(f"#session-marks-{pk}", drawn) + toasts(request)))


@form_of("session")
def star(request: HttpRequest, pk: int) -> HttpResponse:
    """The star, on or off as the button says."""
    found = notes.change(_find(request, pk), starred=request.POST.get("starred") == "1")
    if not wants_fragment(request):
        return redirect("session", pk=pk)
    drawn = render_to_string("history/_star.html", {"session": found}, request)
    return HttpResponse(mark_safe(partial(f".session-star-{pk}", drawn)))
