"""The audit trail as a page, for administrators."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from accounts import chain, trail
from common.errors import InvalidInputError
from common.pages import clean, csv_response, page_of, show


@require_safe
def audit(request: HttpRequest) -> HttpResponseBase:
    trail.check_reader(request.user)
    asked = {name: clean(request.GET.get(name, "")).strip()[:150] for name in trail.NAMES}
    problem = None
    try:
        rows = trail.entries(asked)
    except InvalidInputError as error:
        problem, rows = error, trail.entries({})
    if request.GET.get("export") == "csv" and problem is None:
        return csv_response(request, "audit", trail.COLUMNS, rows.values_list(*trail.COLUMNS).iterator(2000))
    page = page_of(request, rows)
    told = [(entry, trail.kind_in_words(entry), trail.in_words(entry)) for entry in page]
    context = {
        "page": page, "asked": asked, "problem": problem, "filtered": any(asked.values()), "head": chain.head(),
        "rows": told, "section": "/settings", "hub": trail.HUB,
    }  # fmt: skip
    return show(request, "accounts/audit.html", "accounts/_audit.html", context)
