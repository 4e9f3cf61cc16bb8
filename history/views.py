"""The page of what has happened: figures, and every finished run."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_safe

from common.access import get_visible
from common.pages import chosen, csv_response, ordering, page_of, search_text, show
from engine.catalogue import RECIPES
from history.models import Session
from history.reading import sessions
from history.statistics import statistics

SORTS = {"started": "started_at", "name": "name", "time": "total_seconds", "outcome": "outcome"}
OUTCOMES = [("completed", "Completed"), ("failed", "Failed"), ("cancelled", "Cancelled")]
EXPORTED = 10_000
COLUMNS = (
    "session_id",
    "name",
    "kind",
    "recipe",
    "outcome",
    "started_at",
    "completed_at",
    "total_seconds",
    "best_model",
)


@require_safe
def history(request: HttpRequest) -> HttpResponseBase:
    outcome = chosen(request, "outcome", [value for value, _ in OUTCOMES])
    recipe = chosen(request, "recipe", RECIPES)
    search = search_text(request)
    since, until = _day(request, "since"), _day(request, "until")
    asked, field = ordering(request, SORTS, "-started")
    found = _filtered(sessions(request.user), outcome, recipe, search, since, until).order_by(field, "-id")
    if request.GET.get("export") == "csv":
        return csv_response(request, "history", list(COLUMNS), found.values_list(*COLUMNS)[:EXPORTED])
    context = {
        "page": page_of(request, found), "figures": statistics(found), "ordering": asked, "search": search,
        "outcome": outcome, "outcomes": OUTCOMES, "recipe": recipe, "recipes": RECIPES.values(),
        "since": request.GET.get("since", "") if since else "", "until": request.GET.get("until", "") if until else "",
        "filtered": bool(outcome or recipe or search or since or until),
    }  # fmt: skip
    return show(request, "history/history.html", "history/_list.html", context)


@require_safe
def session(request: HttpRequest, pk: int) -> HttpResponse:
    """One run; HTMX gets the inside of the row that opens in place."""
    found = get_visible(sessions(request.user).select_related("job"), request.user, "user", pk=pk)
    return show(request, "history/session.html", "history/_session.html", {"session": found})


def _filtered(
    rows: QuerySet[Session], outcome: str, recipe: str, search: str, since: datetime | None, until: datetime | None
) -> QuerySet[Session]:
    if outcome:
        rows = rows.filter(outcome=outcome)
    if recipe:
        rows = rows.filter(recipe=recipe)
    if search:
        rows = rows.filter(name__icontains=search)
    if since:
        rows = rows.filter(started_at__gte=since)
    return rows.filter(started_at__lt=until + timedelta(days=1)) if until else rows


def _day(request: HttpRequest, name: str) -> datetime | None:
    """The beginning of a day from the address; None when it is none."""
    try:
        day = parse_date(request.GET.get(name, "")[:10])
        # The first and last days of the calendar leave no room for time zones.
        return timezone.make_aware(datetime(day.year, day.month, day.day)) if day and 1900 < day.year < 9000 else None
    except ValueError:
        return None
