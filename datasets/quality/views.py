"""The page of a dataset's quality: score and reasons, findings side by side, and what can be done about them."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from common.access import get_visible
from common.errors import InvalidInputError, NotFoundError
from common.pages import chosen, done, form_of, number_in, page_of, show, wants_fragment
from datasets import overview
from datasets.items import edits
from datasets.items import views as item_views
from datasets.models import Dataset, Edit, Finding
from datasets.quality import acts, report, runs
from datasets.quality import live as quality_live
from datasets.quality.codes import CHECKS, Check
from datasets.quality.serializers import DISMISS, RESTORE, SET_ASIDE, TAKE_ROWS_BACK

PER_PAGE = 12
PAGE = "dataset-quality"


@require_safe
def quality(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    codes = [check.code for check in quality_live.suiting(dataset.modality) if not check.whole]
    code = chosen(request, "code", codes)
    dismissed = bool(chosen(request, "state", {"dismissed"}))
    page = page_of(request, report.findings(dataset, code or None, dismissed=dismissed), PER_PAGE)
    context: dict[str, Any] = {
        "dataset": dataset, "page": page, "groups": report.groups(dataset, list(page)), "code": code,
        "dismissed": dismissed, "titles": {check.code: check.title for check in CHECKS.values()},
    }  # fmt: skip
    if wants_fragment(request):
        return render(request, "datasets/quality/_findings.html", context)
    context |= quality_live.context(dataset) | {"choices": [CHECKS[one] for one in codes]}
    return render(request, "datasets/quality/quality.html", context)


@form_of(PAGE)
def check(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    runs.start_run(dataset, request.user)
    return _done(request, dataset, "The check goes on in the background; watch it here.")


@form_of(PAGE)
def settings(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = _find(request, pk)
    by_itself = bool(request.POST.get("by_itself"))
    runs.change(dataset, request.user, by_itself=by_itself)
    told = "It is checked after each import." if by_itself else "It is checked only when you ask for it."
    return _done(request, dataset, told)


@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, code: str, action: str) -> HttpResponse:
    """Set aside, take rows back or dismiss everything of a kind; asked by GET, it says how many and asks back."""
    dataset = _find(request, pk)
    about = acts.check_of(code)
    keep = request.POST.get("keep") or request.GET.get("keep") or acts.BEST
    if action not in {SET_ASIDE, TAKE_ROWS_BACK, DISMISS, RESTORE}:
        raise NotFoundError("There is no such action.", "Go back to the page of the dataset's quality.")
    if request.method != "POST":
        context = _question(dataset, about, action, keep) | {
            "action": request.path, "back": _address(dataset), "icon_name": "check", "kept": [("keep", keep)],
        }  # fmt: skip
        return show(request, "confirm.html", "parts/confirm.html", context)
    return _done(request, dataset, _acted(request, dataset, code, action, keep))


@form_of(PAGE)
def finding(request: HttpRequest, pk: int) -> HttpResponse:
    """Dismiss or restore one finding."""
    dataset = _find(request, pk)
    number = request.POST.get("finding", "")
    rows = Finding.objects.filter(dataset=dataset, pk=int(number) if number.isdecimal() and len(number) < 19 else 0)
    restores = request.POST.get("action") == RESTORE
    changed = (acts.restore if restores else acts.dismiss)(dataset, request.user, rows)
    if not changed:
        raise InvalidInputError("That finding is gone.", "The list is new by now; look again.")
    return _done(request, dataset, "It counts again." if restores else "Dismissed: it is no fault, and stays that.")


@form_of(PAGE)
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Give an item the class that a check believes; an edit, which can be undone."""
    dataset = _find(request, pk)
    number = number_in(request.POST.get("finding"))
    found = Finding.objects.filter(dataset=dataset, code="mislabelled", pk=number).first()
    if found is None:
        raise InvalidInputError("That finding is gone.", "The list is new by now; look again.")
    label = found.details["label"]
    made = edits.edit_items(dataset, request.user, [found.item_id], field="label", value=label)
    if not made.count:
        return _done(request, dataset, f"It has the class '{label[:60]}' already.")
    runs.ask(dataset, request.user)
    text = f"1 item: class is now '{label[:60]}'. It is checked again."
    return item_views.said(request, text, made, _address(dataset))


@form_of(PAGE)
def undo(request: HttpRequest, pk: int, edit_id: int) -> HttpResponse:
    dataset = _find(request, pk)
    edit = get_visible(Edit.objects.filter(dataset=dataset, field="aside"), request.user, "dataset__owner", pk=edit_id)
    undone = acts.undo(edit, request.user)
    return _done(request, dataset, f"{undone.restored:,} item{'s' * (undone.restored != 1)} taken back.")


def _acted(request: HttpRequest, dataset: Dataset, code: str, action: str, keep: str) -> str:
    if action == SET_ASIDE:
        return f"{_counted(acts.set_aside(dataset, request.user, code, keep=keep))} set aside."
    if action == TAKE_ROWS_BACK:
        return f"{_counted(acts.take_rows_back(dataset, request.user, code))} taken back; it is checked again."
    verb, rows = (acts.dismiss, report.findings(dataset, code))
    if action == RESTORE:
        verb, rows = acts.restore, report.findings(dataset, code, dismissed=True)
    count = verb(dataset, request.user, rows.order_by())
    return f"{count:,} finding{'s' * (count != 1)} {'dismissed' if action == DISMISS else 'count again'}."


def _question(dataset: Dataset, about: Check, action: str, keep: str) -> dict[str, Any]:
    """What the dialog says: how many, and how it is taken back."""
    if action == SET_ASIDE:
        would = acts.would_set_aside(dataset, about.code, keep)
        if not (would.items or would.rows):
            return {"title": "There is nothing to set aside", "lines": [], "button": "", "keep": "Close"}
        stays = f" Of each group the {keep} one stays." if about.code in acts.SINGLED else ""
        lines = [f"They are no longer trained on, and nothing is deleted.{stays}", "You can take them back here."]
        return {"title": f"Set {_counted(would)} aside?", "lines": lines, "button": "Set aside", "keep": "Leave them"}
    if action == TAKE_ROWS_BACK:
        lines = ["Rows that were set aside for this are trained on again, and the dataset is checked again."]
        return {"title": "Take rows back?", "lines": lines, "button": "Take back", "keep": "Leave them"}
    count = report.findings(dataset, about.code, dismissed=action == RESTORE).count()
    number = f"{count:,} finding{'s' * (count != 1)}"
    if action == RESTORE:
        lines = [f"'{about.title}' counts again where it was dismissed."]
        return {"title": f"Restore {number}?", "lines": lines, "button": "Restore", "keep": "Leave them"}
    lines = [f"'{about.title}' then takes no points from these items, also after the next check."]
    return {"title": f"Dismiss {number}?", "lines": lines, "button": "Dismiss", "keep": "Keep them"}


def _counted(done: acts.Done) -> str:
    parts = [
        f"{count:,} {name}{'s' * (count != 1)}" for count, name in ((done.items, "item"), (done.rows, "row")) if count
    ]
    return " and ".join(parts) or "0 items"


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)


def _address(dataset: Dataset) -> str:
    return reverse(PAGE, args=[dataset.pk])


def _done(request: HttpRequest, dataset: Dataset, message: str) -> HttpResponse:
    return done(request, message, _address(dataset), stay=True)
