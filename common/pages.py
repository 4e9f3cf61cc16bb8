"""What page views share: pages of lists, sorting, toasts, and answers that suit HTMX and plain forms alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import chain
from typing import Any

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_http_methods

from common.downloads import download
from common.errors import ProblemError

PER_PAGE = 25
ID_MAX = 2**63 - 1
NUMBERS = frozenset({int, float, bool})  # cells that can be no formula
WRITTEN = 1 << 16  # characters of a table that are written at once
View = Callable[..., HttpResponseBase]


def page_of(
    request: HttpRequest, rows: QuerySet[Any] | list[Any], per_page: int = PER_PAGE, paginator: type = Paginator
) -> Page:
    """The page that the address asks for; the nearest one when it asks for nonsense."""
    return paginator(rows, per_page).get_page(request.GET.get("page", "1")[:9])


def ordering(request: HttpRequest, allowed: dict[str, str], default: str) -> tuple[str, str]:
    """(what the address asks for, the field for `order_by`). Only `allowed` keys reach the database."""
    asked = request.GET.get("sort", default)
    key = asked.removeprefix("-")
    if key not in allowed:
        asked, key = default, default.removeprefix("-")
    return asked, ("-" if asked.startswith("-") else "") + allowed[key]


def chosen(request: HttpRequest, name: str, allowed: Iterable[str]) -> str:
    """A filter's value from the address; '' when it is none of the allowed ones."""
    value = request.GET.get(name, "")
    return value if value in set(allowed) else ""


def clean(text: str) -> str:
    """Text from a form without what PostgreSQL can't store: NUL and halves of surrogate pairs."""
    return text.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")


def search_text(request: HttpRequest, name: str = "search") -> str:
    """What was typed into the search field, at most 200 characters."""
    return clean(request.GET.get(name, "")).strip()[:200]


def number_in(text: str | None) -> int | None:
    """An id or count from a form or address; None when it is none, or more than the database holds."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= ID_MAX else None


def wants_fragment(request: HttpRequest) -> bool:
    """Whether HTMX asks for a part of the page. A restored history entry is a whole page."""
    htmx = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.history_restore_request


def show(request: HttpRequest, page: str, fragment: str, context: dict[str, Any]) -> HttpResponse:
    """One view, two templates: the page includes the fragment; HTMX gets the fragment alone."""
    return render(request, fragment if wants_fragment(request) else page, context)


def partial(target: str, html: str, swap: str = "innerMorph") -> SafeString:
    """HTML that HTMX puts into `target` (a selector), wherever it arrives from."""
    # Morphing keeps white space at the ends as text nodes, which would grow with each message.
    body = mark_safe(html.strip())
    return format_html('<hx-partial hx-target="{}" hx-swap="{}">{}</hx-partial>', target, swap, body)


def toasts(request: HttpRequest) -> SafeString:
    """The waiting messages as toasts for a page that is already open."""
    html = render_to_string("parts/toasts.html", {"messages": messages.get_messages(request)})
    return partial("#toasts", html, "beforeend")


def done(request: HttpRequest, message: str, go_to: str, *, stay: bool = False) -> HttpResponse:
    """After an action: the next page. With `stay`, HTMX gets a toast alone.

    The page that stays is told by its stream what changed. An answer that carried it, too, could arrive after
    something newer, and put the page back.
    """
    messages.success(request, message)
    if not wants_fragment(request):
        return redirect(go_to)
    if stay:
        return HttpResponse(toasts(request))
    response = HttpResponse()
    response.headers["HX-Redirect"] = go_to
    return response


def refused(request: HttpRequest, problem: ProblemError, go_to: str) -> HttpResponse:
    """An action that was refused: told on the page that it belongs to. HTMX gets a toast, from the middleware."""
    if wants_fragment(request):
        raise problem
    messages.error(request, f"{problem.message} {problem.hint}".strip())
    return redirect(go_to)


def form_of(page: str) -> Callable[[View], View]:
    """A view that takes the form of `page`, a page of the same arguments.

    Its answer can stay in the address bar; whoever opens that address again gets the page.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def answer(request: HttpRequest, **key: Any) -> HttpResponseBase:
            return view(request, **key) if request.method == "POST" else redirect(page, **key)

        return require_http_methods(["GET", "HEAD", "POST"])(answer)

    return wrap


def csv_response(
    request: HttpRequest, name: str, header: Sequence[str], rows: Iterable[Iterable[Any]]
) -> StreamingHttpResponse:
    """A table as a CSV download. Cells that a spreadsheet would run as formulas are made harmless."""
    return download(request, _written(chain([header], rows)), "text/csv; charset=utf-8", f"{name}.csv")


def _written(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Some hundred rows at a time by one writer: a writer for each row takes longer than what it writes."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        cells = [cell if type(cell) in NUMBERS else harmless(cell) for cell in row]
        if any(type(cell) is str and "\r" in cell for cell in cells):
            out.write(csv_line(cells))
        else:
            writer.writerow(cells)
        if out.tell() >= WRITTEN:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def csv_line(cells: Iterable[Any]) -> str:
    """A line of CSV whose cells a spreadsheet takes for no formulas."""
    out = io.StringIO()
    # Python quotes a carriage return only where it is part of a line's end, and readers would end the row at it.
    csv.writer(out, lineterminator="\r\n").writerow([harmless(cell) for cell in cells])
    return out.getvalue().removesuffix("\r\n") + "\n"


def harmless(cell: Any) -> Any:
    """A text that starts like a formula gets an apostrophe in front; numbers stay numbers."""
    if cell is None:
        return ""
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"}:
        try:
            float(cell)
        except ValueError:
            return f"'{cell}"
    return cell
