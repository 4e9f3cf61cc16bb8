"""Datasets for administrators: looked at, not edited; imports and freezing make them. Deleting goes by the verb."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from datasets.creation import delete_dataset
from datasets.gating import admin as gate_admin  # noqa: F401  those with _admin register their own
from datasets.items import edits
from datasets.models import (
    Dataset,
    DatasetVersion,
    Edit,
    Finding,
    Fingerprint,
    Import,
    Item,
    LabelCount,
    QualityRun,
    Refusal,
    Upload,
)
from datasets.rendering import admin as sheet_admin  # noqa: F401  those with _admin register their own
from datasets.subjects import admin as subject_admin  # noqa: F401  those with _admin register their own


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "modality", "status", "item_count", "byte_count", "owner", "subject", "created_at"]
    list_select_related = ["owner", "subject"]
    list_filter = ["modality", "status", "created_at"]
    search_fields = ["name", "owner__username", "subject__name"]
    actions = ["delete_with_files"]

    @admin.action(description="Delete with all items and files")
    def delete_with_files(self, request: HttpRequest, rows: QuerySet[Dataset]) -> None:
        for dataset in rows:
            try:
                freed = delete_dataset(dataset, request.user)
            except ProblemError as problem:
                messages.error(request, f"{problem.message} {problem.hint}")
            else:
                messages.success(request, f"'{dataset.name}' was deleted; {freed:,} bytes were freed.")


@admin.register(Import)
class ImportAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "status", "total", "accepted", "set_aside", "message", "created_by", "created_at"]
    list_select_related = ["dataset", "created_by"]
    list_filter = ["status", "created_at"]
    search_fields = ["dataset__name", "created_by__username"]
    exclude = ["sources", "origin"]  # the origin can hold keys

    def get_queryset(self, request: HttpRequest) -> QuerySet[Import]:
        return super().get_queryset(request).defer("sources")


@admin.register(Refusal)
class RefusalAdmin(ReadOnlyAdmin):
    list_display = ["name", "code", "reason", "source_id"]
    list_filter = ["code"]
    search_fields = ["name", "source__dataset__name"]


@admin.register(Item)
class ItemAdmin(ReadOnlyAdmin):
    list_display = ["name", "label", "media_type", "bytes", "quality", "review", "governance", "aside", "dataset_id"]
    list_filter = ["review", "governance", "media_type"]
    search_fields = ["=sha256", "=id"]  # an index finds these among millions; names are searched on the dataset's page
    search_help_text = "An id or a SHA-256; names are searched on the page of the dataset."
    ordering = ["-id"]
    actions = ["set_aside", "take_back"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Item]:
        return super().get_queryset(request).defer("facts", "content", "caption", "metadata", "origin", "generated")

    @admin.action(description="Set aside: no job is trained on them")
    def set_aside(self, request: HttpRequest, rows: QuerySet[Item]) -> None:
        self._set(request, rows, "by_hand")

    @admin.action(description="Take back what was set aside")
    def take_back(self, request: HttpRequest, rows: QuerySet[Item]) -> None:
        self._set(request, rows, "")

    def _set(self, request: HttpRequest, rows: QuerySet[Item], aside: str) -> None:
        """One edit for each dataset, so that each can be undone there."""
        changed = 0
        for dataset in Dataset.objects.filter(pk__in=rows.order_by().values("dataset")):
            changed += edits.edit_items(dataset, request.user, rows, field="aside", value=aside).count
        messages.success(request, f"{changed:,} item{'s' * (changed != 1)} changed.")


@admin.register(LabelCount)
class LabelCountAdmin(ReadOnlyAdmin):
    list_display = ["label", "count", "dataset"]
    list_select_related = ["dataset"]
    search_fields = ["label", "dataset__name"]


@admin.register(Edit)
class EditAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "field", "count", "by", "at", "undone_at"]
    list_select_related = ["dataset", "by"]
    list_filter = ["field", "at"]
    search_fields = ["dataset__name", "by__username"]
    actions = ["undo"]

    @admin.action(description="Undo: items get back what they had")
    def undo(self, request: HttpRequest, rows: QuerySet[Edit]) -> None:
        for edit in rows.order_by("-id"):
            try:
                undone = edits.undo(edit, request.user)
            except ProblemError as problem:
                messages.error(request, f"{problem.message} {problem.hint}")
            else:
                messages.success(request, f"{undone.restored:,} items are as before, {undone.left:,} were left.")


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = ["name", "dataset", "owner", "received", "bytes", "updated_at"]
    list_select_related = ["dataset", "owner"]
    search_fields = ["name", "dataset__name", "owner__username"]


@admin.register(QualityRun)
class QualityRunAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "status", "done", "total", "score", "message", "created_at", "finished_at"]
    list_select_related = ["dataset"]
    list_filter = ["status", "created_at"]
    search_fields = ["dataset__name"]


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ["code", "points", "reason", "item_id", "dataset", "dismissed_at"]
    list_select_related = ["dataset"]
    list_filter = ["code"]
    search_fields = ["=code", "dataset__name"]


@admin.register(Fingerprint)
class FingerprintAdmin(ReadOnlyAdmin):
    list_display = ["sha256", "kind", "version"]
    list_filter = ["kind", "version"]
    search_fields = ["=sha256"]
    exclude = ["value"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fingerprint]:
        return super().get_queryset(request).defer("value")


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "number", "counts", "byte_count", "seed", "created_by", "created_at"]
    list_select_related = ["dataset", "created_by"]
    list_filter = ["created_at"]
    search_fields = ["dataset__name", "content_hash"]
