"""Pages about items: the list with its filters, one item, changes of one or many, and their undoing."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from common.access import get_visible
from common.downloads import download
from common.errors import InvalidInputError, ProblemError
from common.pages import clean, csv_response, done, form_of, number_in, partial, refused, show, wants_fragment
from datasets import overview
from datasets.items import browse, confirming, edits, exporting, filters, removing, usage
from datasets.items.edits import Undone
from datasets.models import Dataset, Edit, Governance, Item, Modality, QualityRun, Review
from datasets.reasons import ASIDE_WORDS, FIELD_WORDS
from datasets.rendering import pages as sheet_pages

PER_PAGE = {Modality.TEXT: 24, Modality.AUDIO: 24, Modality.TABLE: 24}
MAX_CHOSEN = 1000


def listing(request: HttpRequest, dataset: Dataset) -> dict[str, Any]:
    """What the list of items shows: a page of those that fit, how many there are, and the filters."""
    wanted = _looked_for(request.GET, dataset)
    sort = request.GET.get("sort", "id")
    sort = sort if sort in browse.SORTS else "id"
    part = browse.page(
        dataset, wanted, sort=sort, after=request.GET.get("after", ""), before=request.GET.get("before", ""),
        size=PER_PAGE.get(Modality(dataset.modality), browse.PAGE),
    )  # fmt: skip
    return {
        "part": part, "counted": browse.total(dataset, wanted), "wanted": wanted, "active": wanted.active(),
        "asked": [(name, value) for name, value in _query(request.GET).items() if name in wanted.active()],
        "sort": sort, "sorts": browse.SORT_NAMES.items(), "reviews": Review.choices, "decisions": Governance.choices,
        "aside_words": ASIDE_WORDS.items(), "codes": _codes(dataset), "more": wanted.active() - {"search", "label"},
    }  # fmt: skip


def export(request: HttpRequest, dataset: Dataset) -> HttpResponseBase:
    """All items that fit the filters: what is known of them as CSV, or their files and labels as a zip archive."""
    wanted = _looked_for(request.GET, dataset)
    if request.GET["export"] == "zip":
        return download(request, exporting.of_items(dataset, wanted), exporting.TYPE, f"dataset-{dataset.pk}.zip")
    return csv_response(request, f"dataset-{dataset.pk}", browse.EXPORTED, browse.exported(dataset, wanted))


@require_safe
def item(request: HttpRequest, pk: int, item_id: int) -> HttpResponse:
    """One item, large: its content, what is known of it, and what can be changed."""
    found = _find_item(request, pk, item_id)
    dataset = found.dataset
    if dataset.modality == Modality.TABLE and request.GET.get("rows") and wants_fragment(request):
        return render(request, "datasets/_rows.html", {"item": found, **sheet_pages.rows(found, request.GET)})
    before, after = browse.neighbours(found)
    context = {
        "dataset": dataset, "item": found, "before": before, "after": after, "aside_words": ASIDE_WORDS.items(),
        "findings": found.findings.select_related("dismissed_by").order_by("-points", "id")[:50],
        "votes": found.votes.select_related("reviewer").order_by("-id")[:20],
        "decisions": found.decisions.select_related("by").order_by("-id")[:5],
        "versions": usage.versions_with(found), "subjects": usage.subjects(request.user),
        "labels": overview.label_counts(dataset, 200), "changes": usage.changes(found),
        **(sheet_pages.context(found, request.GET) if dataset.modality == Modality.TABLE else {}),
    }  # fmt: skip
    return show(request, "datasets/item.html", "datasets/_item.html", context)


@form_of("dataset-item")
def change(request: HttpRequest, pk: int, item_id: int) -> HttpResponse:
    """The form of one item."""
    found = _find_item(request, pk, item_id)
    values: dict[str, Any] = {}
    for name in ("label", "caption", "group", "aside"):
        if name in request.POST:
            values[name] = clean(request.POST[name])
    if "subject" in request.POST:
        values["subject"] = number_in(request.POST["subject"])
    if content := _content(request.POST):
        values["content"] = content
    made = edits.change_item(found, request.user, values)
    text = "Nothing had to be changed." if not made else f"{', '.join(FIELD_WORDS[one.field] for one in made)} changed."
    return said(request, text, made[-1] if made else None, reverse("dataset-item", args=[pk, item_id]))


@form_of("dataset")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """What the list does with the chosen items, or with all that fit its filters; asks first before all of them."""
    dataset = _find(request, pk)
    form = request.POST
    if form.get("action") == "remove":
        return _remove(request, dataset)
    field, value = _asked(form)
    if form.get("all") == "1":
        wanted = filters.read(dataset, _query(form))
        if form.get("sure") != "1":
            return _question(request, dataset, wanted, field, value)
        items: Any = confirming.confirmed(dataset, wanted, form)
    else:
        items = _chosen(form)
    made = edits.edit_items(dataset, request.user, items, field=field, value=value)
    return said(request, _told(made), made if made.count else None, reverse("dataset", args=[pk]))


@require_POST
def undo(request: HttpRequest, pk: int, edit_id: int) -> HttpResponse:
    found = get_visible(Edit.objects.filter(dataset=pk), request.user, "dataset__owner", pk=edit_id)
    undone = edits.undo(found, request.user)
    return done(request, _undone(undone), reverse("dataset", args=[pk]), stay=True)


def _remove(request: HttpRequest, dataset: Dataset) -> HttpResponse:
    """Remove the chosen items, or all that fit, for good; always asks first."""
    every = request.POST.get("all") == "1"
    wanted = filters.read(dataset, _query(request.POST)) if every else filters.Filters()
    ids = [] if every else _chosen(request.POST)
    if request.POST.get("sure") != "1":
        context = removing.question(dataset, request.POST, browse.total(dataset, wanted) if every else len(ids))
        return _ask(request, context)
    upto = number_in(request.POST.get(confirming.LATEST)) or 0
    items = confirming.confirmed(dataset, wanted, request.POST) if every else (pk for pk in ids if pk <= upto)
    go_to = reverse("dataset", args=[dataset.pk])
    try:
        text = removing.remove(dataset, request.user, items)
    except ProblemError as problem:
        return refused(request, problem, go_to)
    return done(request, text, go_to, stay=request.POST.get("leave") != "1")


def _chosen(form: QueryDict) -> list[int]:
    items = [number for text in form.getlist("item")[:MAX_CHOSEN] if (number := number_in(text))]
    if not items:
        raise InvalidInputError("No item is chosen.", "Choose items by their boxes, then press the button again.")
    return items


def _find(request: HttpRequest, pk: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=pk)


def _find_item(request: HttpRequest, pk: int, item_id: int) -> Item:
    items = Item.objects.filter(dataset=pk).select_related("dataset", "dataset__owner", "subject", "source")
    return get_visible(items.defer("dataset__owner__password"), request.user, "dataset__owner", pk=item_id)


def _query(given: QueryDict) -> dict[str, str]:
    """The filters of a form or an address; '-' stands for every class."""
    return {name: clean(given[name]) for name in filters.NAMES if name in given and given[name] != "-"}


def _looked_for(given: QueryDict, dataset: Dataset) -> filters.Filters:
    """The filters of the address of a list; a class that is gone leaves the list whole."""
    query = _query(given)
    if "label" in query and not dataset.label_counts.filter(label=query["label"]).exists():
        del query["label"]
    return filters.read(dataset, query, lenient=True)


def _codes(dataset: Dataset) -> list[str]:
    """What the latest check found anything of."""
    run = dataset.quality_runs.filter(status=QualityRun.Status.COMPLETED).order_by("-id").first()
    counts = run.summary.get("counts") if run else None
    return sorted(counts) if isinstance(counts, dict) else []


def _asked(form: QueryDict) -> tuple[str, Any]:
    """Field and value of the button that was pressed."""
    action = form.get("action", "")
    if action in {"label", "caption", "group"}:
        return action, clean(form.get(f"to_{action}", ""))  # the filters have the plain names
    if action == "aside":
        return "aside", "by_hand"
    if action == "back":
        return "aside", ""
    raise InvalidInputError("This can't be done with items.", "Use the buttons of the list.")


def _content(form: QueryDict) -> dict[str, Any]:
    """A row's content from the fields of its form; empty when the form has none."""
    if "text" in form:
        return {"text": clean(form["text"]).replace("\r\n", "\n")}
    if "prompt" in form:
        parts = ("system", "prompt", "completion")
        said = {name: clean(form.get(name, "")).replace("\r\n", "\n") for name in parts}
        return {name: text for name, text in said.items() if text or name != "system"}
    if "role" in form:
        pairs = zip(form.getlist("role"), form.getlist("said"), strict=False)
        return {"messages": [{"role": role, "content": clean(said).replace("\r\n", "\n")} for role, said in pairs]}
    return {}


def _question(request: HttpRequest, dataset: Dataset, wanted: filters.Filters, field: str, value: Any) -> HttpResponse:
    counted, word = browse.total(dataset, wanted), FIELD_WORDS[field].lower()
    what = {"aside": "Set aside" if value else "Take back"}.get(field, f"Change the {word} of")
    lines = [
        f"{counted} item{'s' * (str(counted) != '1')} fit your filters."
        + ("" if counted.exact else " How many exactly is said when it is done.")
    ]
    if field == "aside" and value:
        lines.append("Items that are set aside stay in the dataset, and no job is trained on them.")
    elif field != "aside":
        lines.append(f"Their {word} becomes '{value}'." if value else f"Their {word} is taken away.")
    lines.append("It can be undone, item by item.")
    context = {
        "title": f"{what} all that fit?", "lines": lines, "action": reverse("dataset-items-edit", args=[dataset.pk]),
        "back": reverse("dataset", args=[dataset.pk]), "keep": "Leave them", "button": f"{what} {counted}",
        "icon_name": "archive", "kept": confirming.kept(dataset, request.POST, counted),
    }  # fmt: skip
    return _ask(request, context)


def _ask(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """A question: in the dialog of the open page, or as a page."""
    if wants_fragment(request):
        return HttpResponse(partial("#dialog", render_to_string("parts/confirm.html", context, request), "innerHTML"))
    return render(request, "confirm.html", context)


def _told(made: Edit) -> str:
    if not made.count:
        return "Nothing had to be changed: the items are like that already."
    items = f"{made.count:,} item{'s' * (made.count != 1)}"
    if made.field == "aside":
        return (
            f"{items} set aside; no job is trained on {'them' if made.count != 1 else 'it'}."
            if made.value
            else f"{items} taken back."
        )
    word = FIELD_WORDS[made.field].lower()
    return f"{items}: {word} " + (f"is now '{str(made.value)[:60]}'." if made.value else "taken away.")


def _undone(undone: Undone) -> str:
    if not undone.restored:
        return "That was undone before; nothing was changed now."
    text = f"{undone.restored:,} item{'s are' if undone.restored != 1 else ' is'} as before."
    if undone.left:
        names = ", ".join(f"'{kept.name[-40:]}'" for kept in undone.kept[:3])
        text += f" {undone.left:,} left as they are, since they were changed again: {names}"
        text += " and others." if undone.left > len(undone.kept[:3]) else "."
    return text


def said(request: HttpRequest, text: str, made: Edit | None, go_to: str) -> HttpResponse:
    """A toast with a button that undoes the edit; without JavaScript the page of it lists the latest changes."""
    if not wants_fragment(request):
        return done(request, text, go_to)
    context = {"text": text, "edit": made}
    return HttpResponse(
        partial("#toasts", render_to_string("datasets/_undo_toast.html", context, request), "beforeend")
    )
