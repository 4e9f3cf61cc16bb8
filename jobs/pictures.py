"""The parts that job pages are made of, drawn the same for a page and for its stream."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.template.loader import render_to_string

from jobs import logs, overview, presentation, repeating, samples
from jobs.generation import shown
from jobs.lineage import lineage
from jobs.models import Job
from jobs.reasons import waiting_reason, waiting_reasons
from jobs.states import ACTIVE, Status
from registry.reports import report_of

MONITOR_JOBS = 60
DASHBOARD_JOBS = 12
WAITING_JOBS = 8
LOG_TAIL = 200
EVENTS = 100
ATTEMPTS = 50
# Part of the job page -> {id of the element: template}.
PARTS: dict[str, dict[str, str]] = {
    "header": {
        "job-header": "jobs/_header.html",
        "job-note": "jobs/_note.html",
        "job-lineage": "jobs/_lineage.html",
        "job-placing": "jobs/_placing.html",
    },
    "progress": {
        "job-progress": "jobs/_progress.html",
        "job-spoken": "jobs/_spoken.html",
        "chart-summary": "jobs/_chart_summary.html",
    },
    "events": {
        "job-events": "jobs/_events.html",
        "job-checkpoints": "jobs/_checkpoints.html",
        "chart-marks": "jobs/_chart_marks.html",
    },
    "attempts": {"job-attempts": "jobs/_attempts.html"},
    "log": {"log-tail": "jobs/_log.html"},
    "sample": {"job-sample": "jobs/_sample.html"},
    "examples": {"job-examples": "jobs/_examples.html"},
    "report": {"job-comparison": "jobs/_comparison.html", "job-report": "jobs/_report.html"},
}


def full_job(job: Job) -> Job:
    """The job with its relations at hand."""
    return Job.objects.select_related(*overview.RELATED, "base_version__model", "requested_by").get(pk=job.pk)


def job_context(job: Job, parts: Collection[str] = tuple(PARTS)) -> dict[str, Any]:
    """What the templates of these parts need."""
    context: dict[str, Any] = {"job": job, "running": job.status == Status.RUNNING}
    if "header" in parts:
        context |= {
            "actions": presentation.actions(job),
            "waiting": waiting_reason(job),
            "lineage": lineage(job),
            "needed": _needed(job),
            "last": job.attempts.order_by("-number").first(),
        }
    if "progress" in parts:
        context |= {"figures": presentation.device_figures(job), "spoken": presentation.announcement(job)}
        context |= {"summary": presentation.chart_summary(job), "slow_data": presentation.slow_data(job)}
    if "events" in parts:
        context |= {
            "events": job.events.select_related("actor").order_by("-sequence")[:EVENTS],
            "checkpoints": job.checkpoints.order_by("-step")[:20],
            "marks": presentation.chart_marks(job),
        }
    if "attempts" in parts:
        context["attempts"] = job.attempts.select_related("slot__node").order_by("-number")[:ATTEMPTS]
    if "sample" in parts:
        context["samples"] = list(samples.listed(job))
    if "examples" in parts:
        context["made"] = shown.made(job)
    if "report" in parts:
        context["comparison"] = repeating.comparison(job)
        if job.model_version is not None:
            context["report"] = report_of(job.model_version)
    if "log" in parts:
        context["log_lines"] = logs.tail(job, LOG_TAIL)
    return context


def _needed(job: Job) -> list[dict[str, Any]]:
    """The jobs that it starts after. An administrator's may be of other people, whose page its owner can't open."""
    found = Job.objects.filter(dependents__job=job).only("id", "name", "status", "owner_id").order_by("pk")
    return [{"job": other, "seen": other.owner_id == job.owner_id} for other in found]


def job_parts(job: Job, parts: Collection[str]) -> dict[str, str]:
    """{id: html} of the named parts."""
    context = job_context(job, parts)
    return {key: render_to_string(template, context) for part in parts for key, template in PARTS[part].items()}


def card(job: Job, values: list[float]) -> str:
    """The inside of a job's card."""
    context = {"job": job, "values": values, "figures": presentation.device_figures(job)}
    return render_to_string("jobs/_card.html", context).strip()


def cards(jobs: list[Job]) -> list[dict[str, Any]]:
    """Jobs with what their cards show, and what may be done with each."""
    lines = presentation.sparklines(jobs)
    reasons = waiting_reasons([job for job in jobs if job.status != Status.RUNNING])
    return [
        {
            "job": job,
            "values": lines.get(job.pk, []),
            "figures": presentation.device_figures(job),
            "actions": presentation.actions(job, moves=False),
            "waiting": reasons.get(job.pk, ""),
        }
        for job in jobs
    ]


def monitor(user: Any, jobs: list[Job] | None = None) -> dict[str, Any]:
    """What the monitor shows."""
    if jobs is None:
        jobs = list(overview.active_jobs(user)[:MONITOR_JOBS])
    shown = cards(jobs)
    return {
        "running": [entry for entry in shown if entry["job"].status == Status.RUNNING],
        "waiting_cards": [entry for entry in shown if entry["job"].status != Status.RUNNING],
        "at_most": MONITOR_JOBS if len(jobs) == MONITOR_JOBS else None,
    }


def dashboard(user: Any, jobs: list[Job] | None = None) -> dict[str, Any]:
    """What the dashboard shows."""
    active = overview.active_jobs(user)
    if jobs is None:
        jobs = list(active.filter(status=Status.RUNNING)[:DASHBOARD_JOBS])
    waiting = list(active.exclude(status=Status.RUNNING)[:WAITING_JOBS])
    reasons = waiting_reasons(waiting)
    free, busy = overview.free_and_busy()
    return {
        "counts": overview.counts(user, ACTIVE),
        "free": free,
        "busy": busy,
        "running": cards(jobs),
        "waiting": [{"job": job, "reason": reasons.get(job.pk, "")} for job in waiting],
        "failures": overview.recent_failures(user)[:5],
        "week": overview.week(user),
        "done": overview.latest_completed(user),
    }


def dashboard_parts(user: Any, jobs: list[Job]) -> dict[str, str]:
    context = dashboard(user, jobs)
    names = {"dash-figures": "_figures", "dash-running": "_running", "dash-waiting": "_waiting", "dash-ended": "_ended"}
    return {key: render_to_string(f"dashboard/{name}.html", context) for key, name in names.items()}
