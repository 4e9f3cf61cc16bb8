"""Models and versions for administrators: looked at, not edited; runs make them."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from registry.models import Merge, Model, ModelVersion


@admin.register(Model)
class ModelAdmin(ReadOnlyAdmin):
    list_display = ["name", "recipe", "owner", "subject", "version_count", "created_at"]
    list_select_related = ["owner", "subject"]
    list_filter = ["recipe", "created_at"]
    search_fields = ["name", "owner__username", "subject__name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).annotate(versions_made=Count("versions"))

    @admin.display(description="versions", ordering="versions_made")
    def version_count(self, model: Model) -> int:
        return model.versions_made  # type: ignore[attr-defined]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = ["model", "number", "status", "byte_count", "source_job_id", "created_by", "created_at"]
    list_select_related = ["model", "created_by"]
    list_filter = ["status", "model__recipe", "created_at"]
    search_fields = ["model__name", "model__owner__username"]


@admin.register(Merge)
class MergeAdmin(ReadOnlyAdmin):
    list_display = ["adapter", "version", "status", "attempt", "created_by", "created_at", "finished_at", "message"]
    list_select_related = ["adapter__model", "version__model", "created_by"]
    list_filter = ["status", "created_at"]
    search_fields = ["adapter__model__name", "adapter__model__owner__username"]
