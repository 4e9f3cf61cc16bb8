"""Searches and trials for administrators: looked at here, begun and ended by their pages and the API."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from jobs.models import Search, SearchEvent, Trial
from jobs.search import verbs


@admin.register(Search)
class SearchAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "recipe", "status", "wanted", "at_once", "metric", "reason", "created_at"]
    list_select_related = ["owner"]
    list_filter = ["status", "recipe"]
    search_fields = ["name", "owner__username", "reason"]
    actions = ["cancel"]

    def has_control_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.change_search"))

    @admin.action(description="End", permissions=["control"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Search]) -> None:
        for row in rows:
            verbs.cancel(row, request.user)
        self.message_user(request, "They make no further trial.", messages.SUCCESS)


@admin.register(Trial)
class TrialAdmin(ReadOnlyAdmin):
    list_display = ["search", "number", "state", "value", "job", "reason"]
    list_select_related = ["search", "job"]
    list_filter = ["state"]
    search_fields = ["search__name", "reason"]


@admin.register(SearchEvent)
class SearchEventAdmin(ReadOnlyAdmin):
    list_display = ["search", "at", "kind", "actor", "message"]
    list_select_related = ["search", "actor"]
    list_filter = ["kind"]
    search_fields = ["search__name", "message"]
