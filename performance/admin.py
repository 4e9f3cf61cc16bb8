"""How models do, for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin

# Imported for what they register.
from performance.alerts import admin as alerts_admin  # noqa: F401
from performance.drift import admin as drift_admin  # noqa: F401
from performance.experiments import admin as experiments_admin  # noqa: F401
from performance.models import MetricRecord
from performance.retraining import admin as retraining_admin  # noqa: F401


@admin.register(MetricRecord)
class MetricRecordAdmin(ReadOnlyAdmin):
    list_display = ["name", "value", "model", "version", "source", "bucket", "group", "recorded_at"]
    list_select_related = ["model", "version__model"]
    list_filter = ["source", "bucket", "estimated", "recorded_at"]
    search_fields = ["name", "model__name"]
