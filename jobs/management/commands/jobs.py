"""`manage.py jobs`: see jobs, and ask of them what pages and API can ask."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.core.management.base import CommandError, CommandParser
from django.db.models import QuerySet

from common.access import get_visible, visible
from common.wording import duration
from jobs import batch, overview
from jobs.management.operator import OperatorCommand, row_id, show_json, show_table
from jobs.models import Job
from jobs.reasons import waiting_reasons
from jobs.serializers import JobSerializer
from jobs.states import Status

VERBS = {
    "cancel": "end jobs; running ones stop at their next safe point",
    "pause": "hold jobs; running ones stop at their next checkpoint",
    "resume": "go on with paused jobs",
    "retry": "run failed or cancelled jobs again",
    "checkpoint": "let running jobs save a checkpoint now",
    "start-now": "let pending jobs wait no longer",
    "up": "move queued jobs one place up",
    "down": "move queued jobs one place down",
    "top": "move queued jobs to the top of their priority",
}


class Command(OperatorCommand):
    help = "See jobs, and control one or many of them."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        found = actions.add_parser("list", help="active jobs in the order of the queue, or those of a state")
        found.add_argument("--status", choices=[*Status.values, "active", "all"], default="active")
        found.add_argument("--limit", type=int, default=50, help="show so many (50)")
        found.add_argument("--json", action="store_true", help="as the API shows them")
        shown = actions.add_parser("show", help="one job")
        shown.add_argument("ids", type=row_id, nargs=1, metavar="ID")
        shown.add_argument("--json", action="store_true", help="as the API shows it")
        verbs = {name: actions.add_parser(name, help=text) for name, text in VERBS.items()}
        verbs["cancel"].add_argument("--reason", default="", help="is kept with the job")
        verbs["priority"] = actions.add_parser("priority", help="change the priority of jobs")
        verbs["priority"].add_argument("value", metavar="PRIORITY", help="low, normal, high, urgent or a number")
        for verb in verbs.values():
            verb.add_argument("ids", type=row_id, nargs="+", metavar="ID")
            verb.add_argument("--json", action="store_true", help="the outcome, as the API tells it")
        for one in (found, shown, *verbs.values()):
            self.add_user(one)

    def handle(self, *args: Any, action: str, user: str | None, **options: Any) -> None:
        with self.in_words():
            by = self.acting(user)
            if action == "list":
                self._list(by, **options)
            elif action == "show":
                self._show(by, options["ids"][0], options["json"])
            else:
                self._act(by, action, **options)

    def _list(self, by: AbstractBaseUser, *, status: str, limit: int, json: bool, **_: Any) -> None:
        jobs = list(_jobs(by, status)[: max(0, limit)])
        if json:
            show_json(self.stdout, JobSerializer(jobs, many=True).data)
            return
        reasons = waiting_reasons(jobs)
        rows = [
            (job.pk, job.owner.get_username(), job.status, f"{job.progress:.0f} %", job.priority, job.name,
             reasons[job.pk] or job.failure_message)
            for job in jobs
        ]  # fmt: skip
        show_table(self.stdout, ("id", "owner", "status", "done", "priority", "name", "reason"), rows)

    def _show(self, by: AbstractBaseUser, pk: int, json: bool) -> None:
        job = get_visible(Job.objects.select_related("owner", "dataset_version"), by, pk=pk)
        told = JobSerializer(job).data
        if json:
            show_json(self.stdout, told)
            return
        times = {"elapsed_seconds", "remaining_seconds"}
        for name, value in told.items():
            if value not in (None, "", [], {}):
                self.stdout.write(f"{name}: {duration(value) if name in times else value}")

    def _act(
        self, by: AbstractBaseUser, action: str, *, ids: list[int], json: bool, value: str | None = None,
        reason: str = "", **_: Any,
    ) -> None:  # fmt: skip
        result = batch.act(by, action.replace("-", "_"), ids, value=value, reason=reason)
        if json:
            refused = [
                {"job": one.job_id, "code": one.problem.code, "message": one.problem.message, "hint": one.problem.hint}
                for one in result.refused
            ]
            show_json(self.stdout, {"done": [job.pk for job in result.done], "refused": refused})
        else:
            for job in result.done:
                asked = f", asked to {job.request}" if job.request else ""
                self.stdout.write(f"Job {job.pk} '{job.name}': {job.status}{asked}, priority {job.priority}.")
            for one in result.refused:
                self.stderr.write(f"{one.problem.message} {one.problem.hint}".strip())
        if result.refused:
            raise CommandError(f"{len(result.refused)} of {len(result.done) + len(result.refused)} jobs refused.")


def _jobs(by: AbstractBaseUser, status: str) -> QuerySet[Job]:
    if status == "active":
        return overview.active_jobs(by)
    jobs = visible(Job.objects.select_related(*overview.RELATED), by).order_by("-created_at", "-pk")
    return jobs if status == "all" else jobs.filter(status=status)
