"""What open pages are told about jobs: the fragments that the pages themselves include, when they changed."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from django.db.models import Max
from django.template.loader import render_to_string

from common.access import get_visible
from common.errors import NotFoundError
from common.pages import number_in, partial
from common.push import Message
from jobs import metrics, node_pictures, overview, pictures, queue_pictures
from jobs.generation import shown
from jobs.models import Job, MetricSeries, Node, ProgressRow
from jobs.presentation import sparklines
from jobs.queue_pictures import View
from jobs.reasons import waiting_reason, waiting_reasons
from jobs.states import ACTIVE, Status

CLOCKS = re.compile(r'(<(?:span class="ticking"|time class="moment")[^>]*>)[^<]*')
LIVE_POINTS = 200  # in one message, over all curves
# What a job waits for moves with nodes and with other people's jobs, which say nothing to the pages of this one.
RHYTHM = 10.0
REASONS_SECONDS = 5.0  # between two looks at it on pages that are drawn many times a second


class Fragments:
    """Remembers what was sent, so that only changed fragments travel."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}

    def changed(self, fragments: dict[str, str]) -> list[Message]:
        """One message with the fragments ({id: html}) that differ from what was sent last; none when none do."""
        fresh = {key: html for key, html in fragments.items() if self.sent.get(key) != _still(html)}
        self.note(fresh)
        return [Message(None, "".join(partial(f"#{key}", html) for key, html in fresh.items()))] if fresh else []

    def note(self, fragments: dict[str, str]) -> None:
        """These count as sent."""
        self.sent |= {key: _still(html) for key, html in fragments.items()}


def _still(html: str) -> str:
    """The fragment without the texts that the browser's clock keeps true."""
    return CLOCKS.sub(r"\1", html)


class JobSource:
    """One job's page, shared by all who may see it. New points of its curves travel as `points` events."""

    rhythm = RHYTHM

    def __init__(self, job: Job) -> None:
        self.pk = job.pk
        self.channel = f"job.{job.pk}"
        self.topics = (f"job.{job.pk}",)
        self.fragments = Fragments()
        self.seen: dict[str, Any] = {}
        self.steps: dict[int, int] | None = None

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> JobSource:
        return cls(get_visible(Job.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        job = self._job()
        if self.steps is None:
            newest = ProgressRow.objects.filter(series__job=job).order_by().values_list("series_id")
            self.steps = dict(newest.annotate(last=Max("step")))
        self.seen = {}
        self.fragments = Fragments()
        return self.fragments.changed(self._fragments(job))

    def update(self) -> list[Message]:
        job = self._job()
        return [*self.fragments.changed(self._fragments(job)), *self._points()]

    def _job(self) -> Job:
        return Job.objects.get(pk=self.pk)

    def _fragments(self, job: Job) -> dict[str, str]:
        """Those that may differ from the last ones: each is drawn again only when what it shows has moved."""
        waiting = "" if job.status == Status.RUNNING else waiting_reason(job)
        state = (job.status, job.request, job.phase, job.event_count, waiting)
        keys = {
            "progress": None,
            "header": state,
            "events": job.event_count,
            "attempts": (job.event_count, job.phase),
            "log": job.log_lines,
            "sample": job.sample,
            "examples": shown.moment(job),
            "report": (job.model_version_id, job.status == Status.COMPLETED),
        }
        wanted = {part for part, key in keys.items() if key is None or self.seen.get(part, ...) != key}
        self.seen = keys
        # Most updates show progress alone, which needs none of the job's relations.
        return pictures.job_parts(pictures.full_job(job) if "header" in wanted else job, wanted)

    def _points(self) -> list[Message]:
        curves: dict[str, list[list[Any]]] = {}
        steps = self.steps if self.steps is not None else {}
        names = dict(MetricSeries.objects.filter(job_id=self.pk).values_list("pk", "name"))
        known = {series_id: steps.get(series_id, -1) for series_id in names}
        for series_id, points in metrics.since_each(known, max(2, LIVE_POINTS // max(1, len(names)))).items():
            steps[series_id] = points[-1].step
            curves[names[series_id]] = [[point.step for point in points], [point.value for point in points]]
        return [Message("points", json.dumps(curves))] if curves else []


class ListSource:
    """Base of the pages that show many jobs of one person; administrators see everyone's."""

    name = ""
    everyone = False  # whether other people's jobs change the page, too

    def __init__(self, user: Any) -> None:
        self.user = user
        self.channel = f"{self.name}.{user.pk}"
        own = "jobs.all" if user.is_staff or self.everyone else f"jobs.{user.pk}"
        self.topics: tuple[str, ...] = (own, "nodes")
        self.fragments = Fragments()

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> ListSource:
        if key != "me":
            raise NotFoundError("There is no such stream.", "Its key is 'me'.")
        return cls(user)

    def snapshot(self) -> list[Message]:
        self.fragments = Fragments()
        return self.update()

    def update(self) -> list[Message]:
        parts = self.parts()  # may begin anew with what was sent
        return self.fragments.changed(parts)

    def parts(self) -> dict[str, str]:
        """{id of an element: its content}."""
        raise NotImplementedError


class CardsSource(ListSource):
    """Pages with a card for each job: a card that changes travels alone; when the set changes, all do."""

    rhythm = RHYTHM

    def __init__(self, user: Any) -> None:
        super().__init__(user)
        self.shape: Any = None
        self.reasons: dict[int, str] = {}
        self.look_at = 0.0  # monotonic

    def snapshot(self) -> list[Message]:
        self.shape = None
        return super().snapshot()

    def parts(self) -> dict[str, str]:
        jobs = self.jobs()
        shape = (self.shape_of(jobs), self._reasons(jobs))
        if shape != self.shape:
            self.shape = shape
            self.fragments = Fragments()
            whole = self.whole(jobs)
            self.fragments.note(self._cards(jobs))  # they are inside
            return whole
        return self._cards(jobs)

    def _reasons(self, jobs: list[Job]) -> dict[int, str]:
        if time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + REASONS_SECONDS
            self.reasons = waiting_reasons(self.waiting(jobs))
        return self.reasons

    def _cards(self, jobs: list[Job]) -> dict[str, str]:
        lines = sparklines(jobs)
        return {f"card-{job.pk}": pictures.card(job, lines.get(job.pk, [])) for job in jobs}

    def jobs(self) -> list[Job]:
        raise NotImplementedError

    def waiting(self, jobs: list[Job]) -> list[Job]:
        """The jobs of which the page says what they wait for."""
        raise NotImplementedError

    def shape_of(self, jobs: list[Job]) -> Any:
        """What makes the page as a whole differ, beyond the content of its cards."""
        return [job.pk for job in jobs]

    def whole(self, jobs: list[Job]) -> dict[str, str]:
        raise NotImplementedError


class MonitorSource(CardsSource):
    name = "monitor"

    def jobs(self) -> list[Job]:
        return list(overview.active_jobs(self.user)[: pictures.MONITOR_JOBS])

    def waiting(self, jobs: list[Job]) -> list[Job]:
        return [job for job in jobs if job.status != Status.RUNNING]

    def shape_of(self, jobs: list[Job]) -> Any:
        return [(job.pk, job.status, job.request) for job in jobs]

    def whole(self, jobs: list[Job]) -> dict[str, str]:
        return {"monitor": render_to_string("jobs/_monitor.html", pictures.monitor(self.user, jobs))}


class DashboardSource(CardsSource):
    name = "dashboard"

    def jobs(self) -> list[Job]:
        running = overview.active_jobs(self.user).filter(status=Status.RUNNING)
        return list(running[: pictures.DASHBOARD_JOBS])

    def waiting(self, jobs: list[Job]) -> list[Job]:
        return list(overview.active_jobs(self.user).exclude(status=Status.RUNNING)[: pictures.WAITING_JOBS])

    def shape_of(self, jobs: list[Job]) -> Any:
        return ([job.pk for job in jobs], overview.counts(self.user, ACTIVE), overview.free_and_busy())

    def whole(self, jobs: list[Job]) -> dict[str, str]:
        return pictures.dashboard_parts(self.user, jobs)


class QueueSource(ListSource):
    """The queue as an address filters it: each filter and page has a channel of its own."""

    name = "queue"
    everyone = True
    pace = 0.5  # progress of running jobs is announced many times a second
    rhythm = 10.0  # forecasts move, and a node that is gone says nothing

    def __init__(self, user: Any, view: View | None = None) -> None:
        super().__init__(user)
        self.view = view or View()
        self.channel = f"queue.{user.pk}.{self.view}"

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> ListSource:
        super().open(user, key, query)
        return cls(user, View.read(query, user))

    def parts(self) -> dict[str, str]:
        return queue_pictures.parts(self.user, self.view)


class NodesSource(ListSource):
    """All nodes: a card that changes travels alone; when the set of nodes changes, all do."""

    name = "nodes"
    everyone = True
    pace = 1.0  # each node beats every two seconds
    rhythm = 5.0  # one that is silent must show so

    def __init__(self, user: Any) -> None:
        super().__init__(user)
        self.shown: list[int] = []

    def snapshot(self) -> list[Message]:
        self.shown = []
        return super().snapshot()

    def parts(self) -> dict[str, str]:
        context = node_pictures.machines(self.user)
        cards = {f"node-{card.node.pk}": _node_card(card) for card in context["cards"]}
        shown = [card.node.pk for card in context["cards"]]
        figures = {"nodes-figures": render_to_string("jobs/_nodes_figures.html", context)}
        if shown == self.shown:
            return figures | cards
        self.shown = shown
        self.fragments = Fragments()
        self.fragments.note(cards)  # they are inside
        return figures | {"nodes": render_to_string("jobs/_nodes.html", context)}


class NodeSource:
    """The page of one node; what its viewer may see of the jobs there depends on who it is."""

    pace = 1.0
    rhythm = 5.0

    def __init__(self, user: Any, pk: int) -> None:
        self.user, self.pk = user, pk
        self.channel = f"node.{pk}.{user.pk}"
        self.topics = ("nodes", "jobs.all")
        self.fragments = Fragments()

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> NodeSource:
        node = Node.objects.filter(pk=number_in(key)).first()
        if node is None:
            raise NotFoundError("There is no such node.", "It may have been forgotten.")
        return cls(user, node.pk)

    def snapshot(self) -> list[Message]:
        self.fragments = Fragments()
        return self.update()

    def update(self) -> list[Message]:
        node = Node.objects.filter(pk=self.pk).first()
        return self.fragments.changed(node_pictures.machine_parts(node, self.user)) if node else []


def _node_card(card: node_pictures.Card) -> str:
    return render_to_string("jobs/_node_card.html", {"card": card})
