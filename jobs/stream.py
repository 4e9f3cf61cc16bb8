"""The API's stream of one job: JSON events `job`, `points` and `log`, for programs."""

from __future__ import annotations

import json
from typing import Any

from common.access import get_visible
from common.push import Message
from jobs import logs, metrics
from jobs.models import Job, MetricSeries

POINTS = 500


class JobStream:
    """One channel per job, shared by all who may see it."""

    def __init__(self, job: Job) -> None:
        self.pk = job.pk
        self.channel = f"api.job.{job.pk}"
        self.topics = (f"job.{job.pk}",)
        self.steps: dict[int, int] = {}
        self.line = job.log_lines

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> JobStream:
        return cls(get_visible(Job.objects.all(), user, pk=int(key)))

    def snapshot(self) -> list[Message]:
        job = Job.objects.get(pk=self.pk)
        return [self._job(job), *self._points({}), *self._log(logs.tail(job, 100))]

    def update(self) -> list[Message]:
        job = Job.objects.get(pk=self.pk)
        lines = logs.read(job, after=self.line)
        self.line = lines[-1].number if lines else self.line
        return [self._job(job), *self._points(self.steps), *self._log(lines)]

    def _job(self, job: Job) -> Message:
        from jobs.serializers import JobSerializer

        return Message("job", json.dumps(JobSerializer(job).data, default=str))

    def _points(self, steps: dict[int, int]) -> list[Message]:
        messages = []
        for series in MetricSeries.objects.filter(job_id=self.pk):
            points = metrics.since(series.pk, steps.get(series.pk, -1), POINTS)
            if points:
                steps[series.pk] = points[-1].step
                pairs = [[point.step, point.value] for point in points]
                messages.append(Message("points", json.dumps({"name": series.name, "points": pairs})))
        return messages

    @staticmethod
    def _log(lines: list[Any]) -> list[Message]:
        rows = [{"number": line.number, "level": line.level, "text": line.text} for line in lines]
        return [Message("log", json.dumps(rows))] if rows else []
