"""Drift checks, monitors and streams for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from performance.models import DriftCheck, DriftMonitor, DriftStream


@admin.register(DriftCheck)
class DriftCheckAdmin(ReadOnlyAdmin):
    list_display = ["id", "model", "about", "status", "moved", "message", "asked_by", "created_at"]
    list_select_related = ["model", "asked_by"]
    list_filter = ["status", "moved", "about", "created_at"]
    search_fields = ["model__name", "message"]


@admin.register(DriftMonitor)
class DriftMonitorAdmin(ReadOnlyAdmin):
    list_display = ["model", "enabled", "every_hours", "every_predictions", "streams", "looks", "next_at"]
    list_select_related = ["model"]
    list_filter = ["enabled", "streams"]
    search_fields = ["model__name"]


@admin.register(DriftStream)
class DriftStreamAdmin(ReadOnlyAdmin):
    list_display = ["version", "about", "count", "changes", "changed_at", "taken_at"]
    list_select_related = ["version__model"]
    list_filter = ["about"]
    exclude = ["values", "times"]
