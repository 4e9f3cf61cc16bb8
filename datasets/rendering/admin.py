"""Templates and renderings for administrators: read here, made by their pages and the API."""

from __future__ import annotations

from django.contrib import admin

from common.admin import ReadOnlyAdmin
from datasets.models import RenderError, Rendering, Template


@admin.register(Template)
class TemplateAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "chat", "updated_at"]
    list_select_related = ["owner"]
    list_filter = ["chat", "updated_at"]
    search_fields = ["name", "owner__username", "prompt", "completion"]


@admin.register(Rendering)
class RenderingAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "sheet",
        "template",
        "target",
        "status",
        "total",
        "made",
        "failed",
        "created_by",
        "created_at",
    ]
    list_select_related = ["sheet", "template", "target", "created_by"]
    list_filter = ["status", "created_at"]
    search_fields = ["sheet__name", "template__name", "target__name"]


@admin.register(RenderError)
class RenderErrorAdmin(ReadOnlyAdmin):
    list_display = ["rendering_id", "row", "reason"]
    search_fields = ["rendering__target__name", "reason"]
