"""Experiments and their looks for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from performance.models import ArmSum, Experiment, Look


@admin.register(Experiment)
class ExperimentAdmin(ReadOnlyAdmin):
    list_display = ["name", "model", "kind", "metric", "status", "verdict", "started_by", "started_at", "ended_at"]
    list_select_related = ["model", "started_by"]
    list_filter = ["status", "kind", "metric", "verdict"]
    search_fields = ["name", "model__name", "words"]


@admin.register(Look)
class LookAdmin(ReadOnlyAdmin):
    list_display = ["experiment", "at", "verdict", "words"]
    list_select_related = ["experiment"]
    list_filter = ["verdict"]
    search_fields = ["experiment__name"]


@admin.register(ArmSum)
class ArmSumAdmin(ReadOnlyAdmin):
    list_display = ["arm", "answers", "outcomes", "units", "mean", "updated_at"]
    list_select_related = ["arm"]
    search_fields = ["arm__name", "arm__version__model__name"]
