"""Policies and retrainings for administrators: searched and read."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from performance.models import CollectedPrediction, Retraining, RetrainingEvent, RetrainingPolicy


@admin.register(Retraining)
class RetrainingAdmin(ReadOnlyAdmin):
    list_display = ["id", "model", "kind", "status", "message", "job", "challenger", "created_at"]
    list_select_related = ["model", "job", "challenger__model"]
    list_filter = ["status", "kind", "created_at"]
    search_fields = ["model__name", "message", "reason"]


@admin.register(RetrainingPolicy)
class RetrainingPolicyAdmin(ReadOnlyAdmin):
    list_display = ["model", "enabled", "after", "approvals_start", "approvals_promotion", "next_at", "refusal"]
    list_select_related = ["model"]
    list_filter = ["enabled", "after"]
    search_fields = ["model__name"]


@admin.register(RetrainingEvent)
class RetrainingEventAdmin(ReadOnlyAdmin):
    list_display = ["at", "model", "retraining", "kind", "actor", "message"]
    list_select_related = ["model", "retraining__model", "actor"]
    list_filter = ["kind", "at"]
    search_fields = ["model__name", "message"]


@admin.register(CollectedPrediction)
class CollectedPredictionAdmin(ReadOnlyAdmin):
    list_display = ["prediction_id", "dataset", "import_id", "at"]
    list_select_related = ["dataset"]
    list_filter = ["at"]
    search_fields = ["dataset__name"]
