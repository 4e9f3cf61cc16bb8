"""Pages of reviewers: what waits for them, and one item after the other, by keyboard."""

from __future__ import annotations

from typing import Any, BinaryIO

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from common.errors import InvalidInputError, NotFoundError
from common.files import store
from common.pages import clean, form_of, number_in, page_of, show, toasts, wants_fragment
from datasets import formats
from datasets.models import Dataset, Item, Modality
from datasets.reviewing import reviews

AHEAD = 3  # items whose pictures are loaded before they are asked for
LISTED = 50
OPENING = 16 << 10  # bytes of a text that are shown at once
FURTHER = 128 << 10  # bytes of it that are shown with each step further


@require_safe
def waiting(request: HttpRequest) -> HttpResponse:
    """The datasets that this person reviews, those with work for them first."""
    page = page_of(request, reviews.with_work(request.user), LISTED)
    return show(request, "datasets/reviews.html", "datasets/_reviews.html", {"page": page, "counted": reviews.COUNTED})


@require_safe
def review(request: HttpRequest, pk: int) -> HttpResponse:
    dataset = reviews.find(request.user, pk)
    context = _context(request, dataset, after=number_in(request.GET.get("after")) or 0)
    return render(request, "datasets/_review.html" if wants_fragment(request) else "datasets/review.html", context)


@form_of("dataset-review")
def vote(request: HttpRequest, pk: int) -> HttpResponse:
    """A verdict on one item; the answer is the next one."""
    dataset = reviews.find(request.user, pk)
    typed = {name: clean(value) for name, value in request.POST.items()}
    key = number_in(typed.get("item"))
    if key is None:
        raise InvalidInputError("The form does not say which item is meant.", "Reload the page and try again.")
    item = reviews.find_item(request.user, pk, key)
    verdict, reason = typed.get("verdict", ""), typed.get("reason", "")
    reviews.vote(item, request.user, verdict, reason, round=number_in(typed.get("round")))
    return _go_on(request, dataset, after=item.pk)


@form_of("dataset-review")
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take back the last vote; the answer shows that item again."""
    dataset = reviews.find(request.user, pk)
    item = reviews.undo(dataset, request.user)
    messages.success(request, f"Your vote on '{item.name[:80]}' is taken back.")
    return _go_on(request, dataset, after=item.pk - 1)


@require_safe
def text(request: HttpRequest, pk: int, item_id: int) -> HttpResponse:
    """More of a text, from the byte that the address names; HTMX puts it behind what is shown already."""
    item = reviews.find_item(request.user, pk, item_id)
    if _shown(item.dataset, item) != Modality.TEXT:
        raise NotFoundError("The item is no document.", "Look at it on the page of the review.")
    start = min(number_in(request.GET.get("from")) or 0, item.bytes)
    with store().open(item.sha256) as file:
        context = {"dataset": item.dataset, "item": item, "text": _part(item, file, start, FURTHER), "start": start}
    return show(request, "datasets/review_text.html", "datasets/_review_text.html", context)


def _opening(item: Item) -> dict[str, Any] | None:
    """The beginning of a text; None when its file is missing from the store."""
    try:
        with store().open(item.sha256) as file:
            return _part(item, file, 0, OPENING)
    except NotFoundError:
        return None


def _part(item: Item, file: BinaryIO, start: int, size: int) -> dict[str, Any]:
    words, end = formats.text_part(file, start, size)
    return {"words": words, "end": end, "left": item.bytes - end}


def _go_on(request: HttpRequest, dataset: Dataset, after: int) -> HttpResponse:
    if not wants_fragment(request):
        return redirect(f"{reverse('dataset-review', args=[dataset.pk])}?after={after}")
    answer = render(request, "datasets/_review.html", _context(request, dataset, after=after))
    answer.write(toasts(request))
    return answer


def _context(request: HttpRequest, dataset: Dataset, after: int) -> dict[str, Any]:
    owns = dataset.owner_id == request.user.pk or request.user.is_staff
    found = reviews.upcoming(dataset, request.user, 1 + AHEAD, after)
    states = reviews.states(dataset)
    item, ahead = (found[0], found[1:]) if found else (None, [])
    shown = _shown(dataset, item) if item else ""
    return {
        "dataset": dataset, "item": item, "states": states, "total": sum(states.values()),
        "decided": sum(states.values()) - states["none"], "waiting": reviews.waiting_count(dataset, request.user),
        "counted": reviews.COUNTED, "owns": owns,
        "section": "" if owns else reverse("reviews"),
        "shown": shown, "text": _opening(item) if item and shown == Modality.TEXT else None,
        "votes": _votes(item) if item else [],
        "ahead": [_address(dataset, row) for row in ahead if dataset.modality == Modality.IMAGE],
        "address": _address(dataset, item) if item else "",
    }  # fmt: skip


def _shown(dataset: Dataset, item: Item) -> str:
    """Which part of the page shows the item."""
    if item.content is not None:
        return "messages" if "messages" in item.content else "row"
    return str(dataset.modality)


def _address(dataset: Dataset, item: Item) -> str:
    """Where the browser gets the item from: the file itself, or a preview of what browsers can't show."""
    part = "content" if item.media_type in formats.INLINE else "preview"
    return f"/api/v1/datasets/{dataset.pk}/review/{item.pk}/{part}"


def _votes(item: Item) -> list[Any]:
    """What others said of the item in this round: a reason helps whoever looks next."""
    return list(item.votes.filter(round=item.review_round, withdrawn_at__isnull=True).select_related("reviewer"))
