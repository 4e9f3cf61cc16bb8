"""What runs: jobs and their attempts, the nodes and slots that run them, what they report, and what makes them."""

from jobs.models.automatic import AutomaticTraining, FineTuning, Letter
from jobs.models.endpoints import Endpoint
from jobs.models.examples import ExampleSum, GeneratedExample
from jobs.models.job import AfterFailure, Attempt, Dependency, Job, JobEvent, Limit, OutboxMessage
from jobs.models.nodes import Node, NodeEvent, SharedHome, Slot
from jobs.models.progress import Checkpoint, JobSample, LogLine, MetricSeries, ProgressRow, ProgressSummary
from jobs.models.reproductions import Reproduction
from jobs.models.schedules import JobTemplate, Schedule, ScheduleEvent
from jobs.models.searches import Search, SearchEvent, Trial

__all__ = [
    "AfterFailure",
    "Attempt",
    "AutomaticTraining",
    "Checkpoint",
    "Dependency",
    "Endpoint",
    "ExampleSum",
    "FineTuning",
    "GeneratedExample",
    "Job",
    "JobEvent",
    "JobSample",
    "JobTemplate",
    "Letter",
    "Limit",
    "LogLine",
    "MetricSeries",
    "Node",
    "NodeEvent",
    "OutboxMessage",
    "ProgressRow",
    "ProgressSummary",
    "Reproduction",
    "Schedule",
    "ScheduleEvent",
    "Search",
    "SearchEvent",
    "SharedHome",
    "Slot",
    "Trial",
]
