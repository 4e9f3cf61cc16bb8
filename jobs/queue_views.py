"""The page of the queue, and one action on many jobs, from there and from the list of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe

from common.access import get_visible, visible
from common.by_id import ById
from common.errors import InvalidInputError
from common.pages import (
    csv_response,
    form_of,
    number_in,
    page_of,
    partial,
    toasts,
    wants_fragment,
)
from jobs import placing, presentation, queue_pictures, views
from jobs.batch import PRIORITY, Refusal, Result, act
from jobs.control import VERBS
from jobs.models import Job
from jobs.places import Move, move_in_queue
from jobs.queue_pictures import View
from jobs.reasons import places_of
from jobs.states import ACTIVE, Status

EXPORTED = 10_000
TOLD_REFUSALS = 3


@require_safe
def queue(request: HttpRequest) -> HttpResponseBase:
    view = View.read(request.GET.dict(), request.user)
    if request.GET.get("export") == "csv":
        return _csv(request, view)
    if wants_fragment(request):  # a filter was changed: the parts, and the stream that follows them
        drawn = "".join(partial(f"#{key}", html) for key, html in queue_pictures.parts(request.user, view).items())
        stream = render_to_string("jobs/_queue_stream.html", {"view": view})
        return HttpResponse(mark_safe(drawn + partial("#stream", stream, "outerHTML")))
    context = queue_pictures.queue(request.user, view) | {"owners": queue_pictures.owners(request.user)}
    return render(request, "jobs/queue.html", context)


@form_of("jobs")
def batch(request: HttpRequest) -> HttpResponse:
    """One action on the chosen jobs, or, by `one` = 'up:12', on a single one. Those that refuse are named."""
    one, _, key = request.POST.get("one", "").partition(":")
    if one in set(Move):
        _move(request, Move(one), get_visible(Job.objects.all(), request.user, pk=number_in(key)))
    elif one in VERBS:
        job = get_visible(Job.objects.all(), request.user, pk=number_in(key))
        messages.success(request, presentation.said(one, VERBS[one](job, request.user)))
    elif request.POST.get("action") == "cancel" and "sure" not in request.POST and _chosen(request):
        return _ask(request)
    elif request.POST.get("action") == "compare" and _chosen(request):
        return _compare(request)
    else:
        _do_many(request, request.POST.get("action", ""))
    return _after_batch(request)


def _chosen(request: HttpRequest) -> list[int]:
    return [number for key in request.POST.getlist("job") if (number := number_in(key)) is not None]


def _compare(request: HttpRequest) -> HttpResponse:
    """To the page that compares the chosen jobs, which another room has."""
    address = f"{reverse('history-compare')}?runs={','.join(map(str, _chosen(request)))}"
    return HttpResponse(headers={"HX-Redirect": address}) if wants_fragment(request) else redirect(address)


def _ask(request: HttpRequest) -> HttpResponse:
    """What is lost when these jobs are cancelled; in a dialog, or on a page of its own."""
    ids = _chosen(request)
    jobs = list(visible(Job.objects.filter(pk__in=ids, status__in=ACTIVE), request.user).order_by("-current_step"))
    target = request.POST.get("next", "")
    kept = [("action", "cancel"), ("sure", "1"), ("next", target), *(("job", pk) for pk in ids)]
    context = presentation.question_of_many(jobs) | {"action": reverse("jobs-batch"), "back": _back(request, target)}
    context |= {"kept": [(name, str(value)) for name, value in kept]}
    if not wants_fragment(request):
        return render(request, "confirm.html", context)
    return HttpResponse(partial("#dialog", render_to_string("parts/confirm.html", context, request), "innerHTML"))


def _move(request: HttpRequest, where: Move, job: Job) -> None:
    messages.success(request, moved(where, job, move_in_queue(job, request.user, where), request.user))


def moved(where: str, before: Job, after: Job, by: Any) -> str:
    """What a move by a person came to."""
    place = places_of([after.pk]).get(after.pk) if after.status == Status.QUEUED else None
    changed = after.event_count != before.event_count
    return presentation.said_of_move(where, after, changed, None if place is None else place + 1, by.is_staff)


def _do_many(request: HttpRequest, action: str) -> None:
    ids = _chosen(request)
    try:
        if not ids:
            raise InvalidInputError("No job was chosen.", "Tick the jobs first.")
        result = act(request.user, action, ids, value=_priority(request, action))
    except InvalidInputError as problem:
        messages.warning(request, f"{problem.message} {problem.hint}")
        return
    _tell(request, action, result)


def _priority(request: HttpRequest, action: str) -> int | None:
    return placing.priority(request.POST.dict()) if action == PRIORITY else None


def _tell(request: HttpRequest, action: str, result: Result) -> None:
    if result.refused:
        messages.error(request, _refusals(result.refused))
    if result.done:
        messages.success(request, presentation.said_of_many(action, result.done))


def _refusals(refused: list[Refusal]) -> str:
    """Why some jobs were left as they are: the first few in full."""
    told = [refusal.problem.message for refusal in refused[:TOLD_REFUSALS]]
    if len(refused) == 1:
        told.append(refused[0].problem.hint)
    if len(refused) > TOLD_REFUSALS:
        told.append(f"The same goes for {len(refused) - TOLD_REFUSALS} more.")
    return " ".join(told)


def _after_batch(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    if not wants_fragment(request):
        return redirect(_back(request, target))
    # The queue page is told by its stream; the list of jobs has none.
    return HttpResponse(mark_safe(toasts(request) + _list_part(request, target)))


def _back(request: HttpRequest, target: str) -> str:
    """The page that the form stood on, if it is one of this hub."""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}) and target.startswith("/")
    return target if safe else reverse("jobs")


def _list_part(request: HttpRequest, target: str) -> str:
    """The list of jobs as the open page filters it; empty when the page is another one."""
    path, _, query = target.partition("?")
    if path != reverse("jobs"):
        return ""
    request.GET = QueryDict(query)  # type: ignore[assignment]
    found, context = views.filtered(request)
    return partial(
        "#list",
        render_to_string("jobs/_list.html", context | {"page": page_of(request, found, paginator=ById)}, request),
    )


def _csv(request: HttpRequest, view: View) -> HttpResponseBase:
    jobs, places = queue_pictures.exported(request.user, view, EXPORTED)

    def rows() -> Iterator[list[Any]]:
        for job in jobs:
            yield [
                places.get(job.pk), job.pk, job.name, job.owner.get_username(), job.recipe, job.priority,
                str(presentation.needs(job)), job.preemptible, job.queued_at.isoformat() if job.queued_at else None,
            ]  # fmt: skip

    header = ["place", "id", "name", "owner", "recipe", "priority", "needs", "preemptible", "queued_at"]
    return csv_response(request, "queue", header, rows())
