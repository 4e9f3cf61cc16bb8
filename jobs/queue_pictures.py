"""What the page of the queue shows: one page of the order, however long it is, and what runs or is held beside it.

Each part costs a few index scans and the rows that are shown; nothing reads the queue into memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.core.paginator import Page, Paginator
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string

from common.access import visible
from common.pages import clean, number_in
from jobs import overview, presentation
from jobs.models import Job
from jobs.queue import ready
from jobs.reasons import places_of, waiting_reasons
from jobs.states import Priority, Status

PER_PAGE = 50
MOST_RUNNING = 50
MOST_HELD = 50
MOST_OWNERS = 200
HELD = (Status.PAUSED, Status.PENDING)
PARTS = {"queue-figures": "_queue_figures", "queue-running": "_queue_running", "queue-line": "_queue_line",
         "queue-held": "_queue_held"}  # fmt: skip


@dataclass(frozen=True)
class View:
    """Which part of the queue an address asks for. Only administrators choose among owners."""

    page: int = 1
    search: str = ""
    owner: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str], user: Any) -> View:
        """What the address asks for; nonsense counts as not asked."""
        page = number_in(query.get("page", "")[:9]) or 1
        owner = number_in(query.get("owner")) if getattr(user, "is_staff", False) else None
        return cls(page, clean(query.get("search", "")).strip()[:200], owner)

    @property
    def query(self) -> str:
        """The part of the address that says so: '?page=2&search=fox', or nothing."""
        return self.at(self.page)

    def at(self, page: int) -> str:
        """The same for another page."""
        given = {"page": page if page > 1 else None, "search": self.search, "owner": self.owner}
        query = urlencode({name: value for name, value in given.items() if value})
        return f"?{query}" if query else ""

    @property
    def filtered(self) -> bool:
        return bool(self.search or self.owner)

    def narrow(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """The jobs that the filters leave."""
        if self.owner:
            jobs = jobs.filter(owner_id=self.owner)
        return overview.found_by(jobs, self.search) if self.search else jobs


def queue(user: Any, view: View) -> dict[str, Any]:
    """The queue as `user` may see it: their own jobs (administrators: everyone's) with their true places."""
    total = ready().order_by().count()
    page, places = _page(user, view, total)
    jobs = list(page.object_list)
    held = list(_held(user, view)[: MOST_HELD + 1])
    reasons = waiting_reasons([*jobs, *held])
    free, busy = overview.free_and_busy()
    running = list(_running(user)[:MOST_RUNNING])
    return {
        "viewer": user,
        "view": view,
        "page": page,
        "rows": [
            {"job": job, "place": places.get(job.pk), "reason": reasons.get(job.pk, ""), "first": first, "last": last}
            for job, (first, last) in zip(jobs, _ends(page, view), strict=True)
        ],
        "total": total,
        "others": total - page.paginator.count if not view.filtered else 0,
        "held": [{"job": job, "reason": reasons.get(job.pk, "")} for job in held[:MOST_HELD]],
        "more_held": len(held) > MOST_HELD,
        "held_count": _held_count(user) if view.filtered or len(held) > MOST_HELD else len(held),
        "running": [{"job": job, "where": _where(job), "actions": presentation.actions(job)} for job in running],
        "free": free,
        "busy": busy,
        "levels": Priority.choices,
    }


def parts(user: Any, view: View) -> dict[str, str]:
    """{id of an element: its content}, drawn the same for the page and for its stream."""
    context = queue(user, view)
    return {key: render_to_string(f"jobs/{name}.html", context) for key, name in PARTS.items()}


def owners(user: Any) -> list[tuple[int, str]]:
    """People with jobs that have not ended, for the administrators' filter: (id, name)."""
    if not user.is_staff:
        return []
    people = get_user_model().objects.filter(jobs__status__in=[Status.QUEUED, *HELD]).distinct()
    return list(people.order_by("username").values_list("pk", "username")[:MOST_OWNERS])


def exported(user: Any, view: View, most: int) -> tuple[list[Job], dict[int, int]]:
    """The first `most` jobs in their order, and their places."""
    jobs = list(view.narrow(visible(overview.queue_order(), user))[:most])
    return jobs, {pk: before + 1 for pk, before in places_of([job.pk for job in jobs]).items()}


def _page(user: Any, view: View, total: int) -> tuple[Page, dict[int, int]]:
    """One page, its jobs in their order with all that a row shows, and their places among everyone's."""
    found = view.narrow(visible(ready(), user))
    whole = getattr(user, "is_staff", False) and not view.filtered
    paginator = Paginator(found.values_list("pk", flat=True), PER_PAGE)
    if whole:
        paginator.count = total
    page = paginator.get_page(view.page)
    ids = list(page.object_list)  # ids alone come from the index, also far down
    rows = Job.objects.select_related(*overview.RELATED).in_bulk(ids)
    page.object_list = [rows[pk] for pk in ids if pk in rows and rows[pk].status == Status.QUEUED]
    if whole:
        return page, {pk: place for place, pk in enumerate(ids, page.start_index())}
    return page, {pk: before + 1 for pk, before in places_of(ids).items()} if ids else {}


def _ends(page: Page, view: View) -> list[tuple[bool, bool]]:
    """Of each row, whether it is the first and the last that may be moved in its priority; False where unknown.

    A page shows all jobs among which its viewer moves one, in their order, unless it is filtered.
    """
    levels = [None if job.interrupted else job.priority for job in page.object_list]
    if not levels:
        return []
    before = [... if page.has_previous() else None, *levels[:-1]]
    behind = [*levels[1:], ... if page.has_next() else None]
    return [
        (not view.filtered and over not in {level, ...}, not view.filtered and under not in {level, ...})
        for over, level, under in zip(before, levels, behind, strict=True)
    ]


def _held(user: Any, view: View) -> QuerySet[Job]:
    """Paused jobs, which wait for a person, before pending ones, the next to come first."""
    held = view.narrow(visible(Job.objects.filter(status__in=HELD), user)).select_related(*overview.RELATED)
    return held.order_by("status", F("not_before").asc(nulls_last=True), "pk")


def _held_count(user: Any) -> int:
    return visible(Job.objects.filter(status__in=HELD), user).order_by().count()


def _running(user: Any) -> QuerySet[Job]:
    running = visible(Job.objects.filter(status=Status.RUNNING), user).select_related(*overview.RELATED)
    open_one = Q(attempts__ended_at__isnull=True)
    return running.filter(open_one).annotate(
        node_name=F("attempts__slot__node__name"), node_devices=F("attempts__devices")
    ).order_by("attempt_started_at", "pk")  # fmt: skip


def _where(job: Any) -> str:
    """'node-a, cuda:0, cuda:1'."""
    return ", ".join([job.node_name or "a node that is gone", *(job.node_devices or [])])
