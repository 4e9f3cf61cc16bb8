"""Automatic training for administrators: read here, changed by its page and the API."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from jobs.models import AutomaticTraining, FineTuning, Letter


@admin.register(AutomaticTraining)
class AutomaticTrainingAdmin(ReadOnlyAdmin):
    list_display = ["owner", "subject", "enabled", "dataset", "threshold", "recipe", "template", "last_error"]
    list_select_related = ["owner", "subject", "dataset", "template"]
    list_filter = ["enabled"]
    search_fields = ["owner__username", "subject__name", "dataset__name", "last_error"]


@admin.register(FineTuning)
class FineTuningAdmin(ReadOnlyAdmin):
    list_display = ["number", "rule", "job", "examples", "generated_by", "session_id", "at"]
    list_select_related = ["rule__subject", "job", "generated_by"]
    search_fields = ["rule__owner__username", "job__name", "generated_by__name"]


@admin.register(Letter)
class LetterAdmin(ReadOnlyAdmin):
    list_display = ["title", "owner", "created_at", "sent_at", "tries", "last_error"]
    list_select_related = ["owner"]
    search_fields = ["title", "owner__username", "last_error"]
