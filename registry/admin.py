"""Models and versions for administrators: looked at, not edited; runs make them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from registry.life import doors
from registry.logged import admin as logged_admin  # noqa: F401  registers predictions
from registry.models import CardNotes, Export, Merge, Model, ModelVersion, Route, RouteArm
from registry.promotion import admin as promotion_admin  # noqa: F401  registers names and promotions
from registry.serving import admin as serving_admin  # noqa: F401  registers deployments


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


@admin.register(CardNotes)
class CardNotesAdmin(ReadOnlyAdmin):
    list_display = ["model", "version", "intended_use", "limits", "changed_by", "changed_at"]
    list_select_related = ["model", "version__model", "changed_by"]
    list_filter = ["changed_at"]
    search_fields = ["model__name", "model__owner__username"]


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = [
        "model", "number", "status", "archived_at", "damaged_at", "byte_count", "source_job_id", "created_by",
        "created_at",
    ]  # fmt: skip
    list_select_related = ["model__owner", "created_by"]
    list_filter = ["status", "model__recipe", "archived_at", "damaged_at", "created_at"]
    search_fields = ["model__name", "model__owner__username"]
    actions = ["archive_them", "unarchive_them", "delete_them", "verify_them"]

    @admin.action(description="Archive", permissions=["keep"])
    def archive_them(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        self._each(request, rows, doors.archive, "archived")

    @admin.action(description="Bring back from the archive", permissions=["keep"])
    def unarchive_them(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        self._each(request, rows, doors.unarchive, "back from the archive")

    @admin.action(description="Delete the files for good", permissions=["keep"])
    def delete_them(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        self._each(request, rows, doors.delete, "deleted")

    @admin.action(description="Check the files", permissions=["keep"])
    def verify_them(self, request: HttpRequest, rows: QuerySet[ModelVersion]) -> None:
        self._each(request, rows, doors.verify, "checked")

    def has_keep_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("registry.change_modelversion"))

    def _each(self, request: HttpRequest, rows: QuerySet[ModelVersion], verb: Any, said: str) -> None:
        count = 0
        for version in rows.select_related("model__owner"):
            try:
                verb(version, request.user)
                count += 1
            except ProblemError as problem:
                self.message_user(request, f"{problem.message} {problem.hint}", messages.ERROR)
        self.message_user(request, f"{count} {'version' if count == 1 else 'versions'}: {said}.")


@admin.register(Merge)
class MergeAdmin(ReadOnlyAdmin):
    list_display = ["adapter", "version", "status", "attempt", "created_by", "created_at", "finished_at", "message"]
    list_select_related = ["adapter__model", "version__model", "created_by"]
    list_filter = ["status", "created_at"]
    search_fields = ["adapter__model__name", "adapter__model__owner__username"]


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    list_display = ["version", "format", "status", "attempt", "created_by", "created_at", "finished_at", "message"]
    list_select_related = ["version__model", "created_by"]
    list_filter = ["status", "format", "created_at"]
    search_fields = ["version__model__name", "version__model__owner__username"]


@admin.register(Route)
class RouteAdmin(ReadOnlyAdmin):
    list_display = ["id", "model", "started_at", "ended_at"]
    list_select_related = ["model"]
    search_fields = ["model__name"]


@admin.register(RouteArm)
class RouteArmAdmin(ReadOnlyAdmin):
    list_display = ["name", "route", "version", "control", "shadow", "weight", "withdrawn_at", "dropped", "failed"]
    list_select_related = ["route", "version__model"]
    list_filter = ["control", "shadow"]
    search_fields = ["name", "version__model__name"]
