"""Templates and schedules for administrators: read here, changed by their pages and the API."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from jobs import schedules
from jobs.models import JobTemplate, Schedule, ScheduleEvent


@admin.register(JobTemplate)
class JobTemplateAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "updated_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]


@admin.register(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "when", "enabled", "next_at", "last_at", "runs", "failures_in_a_row", "last_error"]
    list_select_related = ["owner"]
    list_filter = ["enabled"]
    search_fields = ["name", "owner__username", "last_error"]
    actions = ["pause", "resume"]

    @admin.display(description="rule")
    def when(self, schedule: Schedule) -> str:
        return schedules.in_words(schedule)

    def has_control_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_schedule"))

    @admin.action(description="Pause", permissions=["control"])
    def pause(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        for row in rows:
            schedules.pause(row, request.user)
        self.message_user(request, "They make no more jobs until they are resumed.", messages.SUCCESS)

    @admin.action(description="Resume", permissions=["control"])
    def resume(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        for row in rows:
            schedules.resume(row, request.user)
        self.message_user(request, "They go on with their next time.", messages.SUCCESS)


@admin.register(ScheduleEvent)
class ScheduleEventAdmin(ReadOnlyAdmin):
    list_display = ["schedule", "at", "kind", "due", "job", "actor", "message"]
    list_select_related = ["schedule", "job", "actor"]
    list_filter = ["kind", "at"]
    search_fields = ["schedule__name", "message"]
