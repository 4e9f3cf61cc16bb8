"""Jobs for administrators: the verbs as actions, everything that the hub keeps itself read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django_q import admin as queue_admin
from django_q.models import Failure, OrmQ, Schedule, Success

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from jobs import batch, hub_admin, schedule_admin  # noqa: F401  register nodes, limits and schedules
from jobs.automatic import admin as automatic_admin  # noqa: F401  registers automatic training
from jobs.endpoints import admin as endpoint_admin  # noqa: F401  registers endpoints
from jobs.models import (
    Attempt,
    Checkpoint,
    Dependency,
    Job,
    JobEvent,
    MetricSeries,
    OutboxMessage,
    Reproduction,
)
from jobs.search import admin as search_admin  # noqa: F401  registers searches

REFUSALS_SHOWN = 10


class JobActionForm(ActionForm):
    priority = forms.CharField(
        max_length=10, required=False, label="New priority:", help_text="low, normal, high, urgent or a number"
    )


def _action(name: str, label: str, outcome: str) -> Callable[..., None]:
    """A verb as an action of the list: jobs that refuse it say why, the others do it all the same."""

    @admin.action(description=label, permissions=["control"])
    def carry_out(self: admin.ModelAdmin, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        ids = list(jobs.order_by("pk").values_list("pk", flat=True))
        try:
            result = batch.act(request.user, name, ids, value=request.POST.get("priority", ""))
        except ProblemError as error:
            self.message_user(request, f"{error.message} {error.hint}", messages.ERROR)
            return
        for refused in result.refused[:REFUSALS_SHOWN]:
            self.message_user(request, f"{refused.problem.message} {refused.problem.hint}".strip(), messages.WARNING)
        if (more := len(result.refused) - REFUSALS_SHOWN) > 0:
            self.message_user(request, f"{more} more refused.", messages.WARNING)
        if done := len(result.done):
            self.message_user(request, f"{done} {'job' if done == 1 else 'jobs'} {outcome}.", messages.SUCCESS)

    return carry_out


class EventInline(admin.TabularInline):
    model = JobEvent
    extra = 0
    can_delete = False
    fields = ["sequence", "at", "kind", "from_status", "to_status", "actor", "attempt_number", "message"]
    readonly_fields = fields
    ordering = ["-sequence"]
    max_num = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[JobEvent]:
        return super().get_queryset(request).select_related("actor")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "recipe", "owner", "status", "phase", "percent", "priority", "created_at"]
    list_display_links = ["id", "name"]
    list_select_related = ["owner"]
    list_filter = ["status", "recipe", "created_at"]
    search_fields = ["name", "owner__username", "failure_message"]
    date_hierarchy = "created_at"
    inlines = [EventInline]
    action_form = JobActionForm
    actions = [
        "cancel", "pause", "resume", "retry", "checkpoint", "start_now", "up", "down", "top", "change_priority",
    ]  # fmt: skip

    @admin.display(description="progress")
    def percent(self, job: Job) -> str:
        return f"{job.progress:.0f} %"

    def has_control_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_job"))

    cancel = _action("cancel", "Cancel", "cancelled or asked to end")
    pause = _action("pause", "Pause", "paused or asked to pause")
    resume = _action("resume", "Resume", "going on")
    retry = _action("retry", "Retry", "tried again")
    checkpoint = _action("checkpoint", "Save a checkpoint now", "asked to save a checkpoint")
    start_now = _action("start_now", "Start now, whatever it waits for", "in the queue")
    up = _action("up", "Move up one place", "moved up")
    down = _action("down", "Move down one place", "moved down")
    top = _action("top", "Move to the top of its priority", "moved to the top")
    change_priority = _action("priority", "Change priority to the one beside", "given its new priority")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ["job", "number", "slot", "devices", "host", "started_at", "ended_at", "outcome", "code", "reason"]
    list_select_related = ["job", "slot__node"]
    list_filter = ["outcome", "code", "host", "started_at"]
    search_fields = ["job__name", "host", "reason"]


@admin.register(JobEvent)
class JobEventAdmin(ReadOnlyAdmin):
    list_display = ["job", "sequence", "at", "kind", "from_status", "to_status", "actor", "message"]
    list_select_related = ["job", "actor"]
    list_filter = ["kind", "to_status", "at"]
    search_fields = ["job__name", "message", "actor__username"]


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ["job", "step", "attempt_number", "bytes", "at"]
    list_select_related = ["job"]
    search_fields = ["job__name", "name"]


@admin.register(MetricSeries)
class MetricSeriesAdmin(ReadOnlyAdmin):
    list_display = ["job", "name"]
    list_select_related = ["job"]
    search_fields = ["job__name", "name"]


@admin.register(Dependency)
class DependencyAdmin(ReadOnlyAdmin):
    list_display = ["job", "needs"]
    list_select_related = ["job", "needs"]
    search_fields = ["job__name", "needs__name"]


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ["topic", "job", "attempt_number", "created_at", "processed_at", "failures", "last_error"]
    list_select_related = ["job"]
    list_filter = ["topic", "processed_at"]
    search_fields = ["job__name", "last_error"]


class SuperuserOnly:
    """django-q2's own pages can run any function of the code, so they are not for ordinary staff."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)


def _keep_to_superusers(model: type, theirs: type) -> None:
    if admin.site.is_registered(model):
        admin.site.unregister(model)
    admin.site.register(model, type(f"Superuser{theirs.__name__}", (SuperuserOnly, theirs), {}))


for _model, _theirs in (
    (Schedule, queue_admin.ScheduleAdmin),
    (Success, queue_admin.TaskAdmin),
    (Failure, queue_admin.FailAdmin),
    (OrmQ, queue_admin.QueueAdmin),
):
    _keep_to_superusers(_model, _theirs)


@admin.register(Reproduction)
class ReproductionAdmin(ReadOnlyAdmin):
    list_display = ["version", "job", "asked_by", "asked_at", "same_metrics", "same_weights"]
    list_select_related = ["version__model", "job", "asked_by"]
    list_filter = ["same_weights", "asked_at"]
    search_fields = ["version__model__name"]
