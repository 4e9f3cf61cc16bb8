"""Figures of models for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from performance.models import MetricRecord


@admin.register(MetricRecord)
class MetricRecordAdmin(ReadOnlyAdmin):
    list_display = ["name", "value", "model", "version", "source", "recorded_at"]
    list_select_related = ["model", "version__model"]
    list_filter = ["source", "name", "recorded_at"]
    search_fields = ["name", "model__name"]
