"""Sessions for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from history.models import SavedView, Session


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "outcome", "user", "recipe", "best_model", "total_seconds", "started_at"]
    list_select_related = ["user"]
    list_filter = ["kind", "outcome", "recipe", "fine_tuning_triggered", "started_at"]
    search_fields = ["name", "session_id", "user__username", "best_model"]
    date_hierarchy = "started_at"


@admin.register(SavedView)
class SavedViewAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "sort", "created_at"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username"]
