"""The page of what has happened: figures, and every finished run."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.views.decorators.http import require_safe

from common.access import get_visible, visible
from common.pages import chosen, number_in, show
from datasets.models import Subject
from engine.catalogue import RECIPES
from history import browsing, exporting, filters, notes
from history.filters import Filters
from history.models import SavedView, Session
from history.reading import sessions
from history.rows import rows_of
from history.saved_views import query
from jobs.automatic import settings as automatic
from jobs.automatic import threshold

OUTCOMES = [("completed", "Completed"), ("failed", "Failed"), ("cancelled", "Cancelled")]
SIZES = ("25", "50", "100", "200")
CHOICES = 300  # subjects and users offered by name; others are reached by their own pages


@require_safe
def history(request: HttpRequest) -> HttpResponseBase:
    wanted = filters.read(request.GET, request.user, lenient=True)
    if form := chosen(request, "export", exporting.FORMATS):
        return exporting.response(request, browsing.matching(request.user, wanted), form, "history")
    sort = chosen(request, "sort", browsing.SORT_NAMES) or browsing.NEWEST
    size = chosen(request, "size", SIZES) or SIZES[0]
    part = browsing.page(
        request.user, wanted, sort=sort, size=int(size),
        after=number_in(request.GET.get("after")), before=number_in(request.GET.get("before")),
    )  # fmt: skip
    figures = browsing.figures(request.user, wanted)
    context = {
        "part": part, "rows": rows_of(part.ids), "total": browsing.total(request.user, wanted, sort, figures),
        "figures": figures, "wanted": wanted, "query": wanted.query(),
        "has_cost": bool(settings.DEVICE_HOUR_PRICE), "ordering": sort,
        "only": "" if sort.removeprefix("-") in {"started", "name"} else sort.removeprefix("-"),
        "size": size, "sizes": SIZES, "outcomes": OUTCOMES, "recipes": RECIPES.values(), "kinds": Session.Kind.choices,
        "modalities": filters.MODALITIES, "more": wanted.active() - {"search", "outcome", "recipe", "model"},
        "views": _views(request, wanted, sort), **people(request),
        "bar": lambda: _bar(request),  # of the whole page: a list that is filtered has none
    }  # fmt: skip
    return show(request, "history/history.html", "history/_list.html", context)


@require_safe
def session(request: HttpRequest, pk: int) -> HttpResponse:
    """One run; HTMX gets the inside of the row that opens in place."""
    found = get_visible(sessions(request.user).select_related("job", "subject"), request.user, "user", pk=pk)
    context = {"session": found, "limits": {"note": notes.NOTE, "tags": notes.TAGS * (notes.TAG + 2)}}
    return show(request, "history/session.html", "history/_session.html", context)


def _bar(request: HttpRequest) -> dict[str, Any] | None:
    """How far the next fine-tuning of one's own examples is; None where none was settled."""
    rule = automatic.of(request.user)
    return threshold.bar(rule) if rule.dataset_id else None


def people(request: HttpRequest) -> dict[str, Any]:
    """What a choice offers by name: one's own subjects and tags; for administrators all subjects, and the users."""
    users = get_user_model().objects.order_by("username") if request.user.is_staff else ()
    return {
        "subjects": visible(Subject.objects.order_by("name"), request.user)[:CHOICES],
        "users": users[:CHOICES] if users else [],
        "tags": browsing.tags_in_use(request.user),
    }


def _views(request: HttpRequest, wanted: Filters, sort: str) -> list[dict[str, Any]]:
    """One's saved views; `here` is the one that the page shows."""
    shown = {"filters": wanted.query(), "sort": sort}
    return [
        {
            "view": view,
            "query": query(view),
            "here": shown == {"filters": view.filters, "sort": view.sort or browsing.NEWEST},
        }
        for view in SavedView.objects.filter(owner=request.user)
    ]
