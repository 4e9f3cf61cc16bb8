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
from jobs import control
from jobs.models import (
    Attempt,
    Checkpoint,
    Dependency,
    Job,
    JobEvent,
    Limit,
    MetricSeries,
    Node,
    NodeEvent,
    OutboxMessage,
    SharedHome,
    Slot,
)


class JobActionForm(ActionForm):
    priority = forms.IntegerField(min_value=-1000, max_value=1000, required=False, label="New priority:")


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
    actions = ["cancel", "pause", "resume", "retry", "change_priority"]

    @admin.display(description="progress")
    def percent(self, job: Job) -> str:
        return f"{job.progress:.0f} %"

    def has_control_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_job"))

    @admin.action(description="Cancel", permissions=["control"])
    def cancel(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._carry_out(request, jobs, "cancelled or asked to end", control.cancel)

    @admin.action(description="Pause", permissions=["control"])
    def pause(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._carry_out(request, jobs, "paused or asked to pause", control.pause)

    @admin.action(description="Resume", permissions=["control"])
    def resume(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._carry_out(request, jobs, "queued again", control.resume)

    @admin.action(description="Retry", permissions=["control"])
    def retry(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        self._carry_out(request, jobs, "queued again", control.retry)

    @admin.action(description="Change priority to the number beside", permissions=["control"])
    def change_priority(self, request: HttpRequest, jobs: QuerySet[Job]) -> None:
        try:
            priority = int(request.POST.get("priority", ""))
        except ValueError:
            self.message_user(request, "Type a priority from -1000 to 1000 beside the action.", messages.ERROR)
            return
        self._carry_out(
            request, jobs, f"given priority {priority}", lambda job, by: control.change(job, by, priority=priority)
        )

    def _carry_out(
        self, request: HttpRequest, jobs: QuerySet[Job], outcome: str, verb: Callable[[Job, Any], Job]
    ) -> None:
        """The verb on each job; those that refuse it say why, the others are done."""
        done = 0
        for job in jobs.order_by("pk"):
            try:
                verb(job, request.user)
                done += 1
            except ProblemError as error:
                self.message_user(request, f"{error.message} {error.hint}".strip(), messages.WARNING)
        if done:
            self.message_user(request, f"{done} {'job' if done == 1 else 'jobs'} {outcome}.", messages.SUCCESS)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ["job", "number", "slot", "host", "started_at", "ended_at", "outcome", "reason"]
    list_select_related = ["job", "slot__node"]
    list_filter = ["outcome", "host", "started_at"]
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


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = ["name", "host", "state", "version", "started_at", "heartbeat_at"]
    list_filter = ["state"]
    search_fields = ["name", "host"]


@admin.register(SharedHome)
class SharedHomeAdmin(ReadOnlyAdmin):
    list_display = ["identity"]


@admin.register(NodeEvent)
class NodeEventAdmin(ReadOnlyAdmin):
    list_display = ["node", "at", "kind", "actor", "message"]
    list_select_related = ["node", "actor"]
    list_filter = ["kind", "node", "at"]
    search_fields = ["node__name", "message"]


@admin.register(Dependency)
class DependencyAdmin(ReadOnlyAdmin):
    list_display = ["job", "needs"]
    list_select_related = ["job", "needs"]
    search_fields = ["job__name", "needs__name"]


@admin.register(Limit)
class LimitAdmin(admin.ModelAdmin):
    list_display = ["__str__", "max_running", "max_active"]
    list_select_related = ["user", "subject"]
    autocomplete_fields = ["user"]


@admin.register(Slot)
class SlotAdmin(ReadOnlyAdmin):
    list_display = ["node", "index", "device", "queue", "enabled", "answered_at"]
    list_select_related = ["node"]
    list_filter = ["enabled", "node"]


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
