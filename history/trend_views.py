"""The page of the trends."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from common.errors import NotFoundError
from common.pages import chosen, csv_response, show
from engine.catalogue import RECIPES
from history import filters
from history.models import Session
from history.trend_charts import charts
from history.trends import BY, PERIODS, trends
from history.views import people


@require_safe
def page(request: HttpRequest) -> HttpResponseBase:
    """The charts that fit the filters; `csv` asks for the numbers of one of them."""
    wanted = filters.read(request.GET, request.user, lenient=True)
    period, by = chosen(request, "period", PERIODS) or "week", chosen(request, "by", BY) or "recipe"
    developed = trends(request.user, wanted, period=period, by=by)
    found = charts(developed)
    if key := request.GET.get("csv", ""):
        chart = next((chart for chart in found if chart.key == key), None)
        if chart is None:
            raise NotFoundError("There is no such chart of these runs.", "Download it from its place on the page.")
        return csv_response(request, f"trend-{chart.key}", chart.header, chart.rows)
    context = {
        "charts": found, "trends": developed, "wanted": wanted, "query": wanted.query(), "period": period,
        "periods": PERIODS, "by": by, "bys": BY, "recipes": RECIPES.values(), "kinds": Session.Kind.choices,
        "modalities": filters.MODALITIES, **people(request),
    }  # fmt: skip
    return show(request, "history/trends.html", "history/_trends.html", context)
