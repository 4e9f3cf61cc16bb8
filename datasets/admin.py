"""Datasets for administrators: looked at, not edited; imports and freezing make them. Deleting goes by the verb."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from datasets import sheet_admin, subject_admin  # noqa: F401  register subjects, policies, templates, renderings
from datasets.creation import delete_dataset
from datasets.models import Dataset, DatasetVersion, Import, Item, Refusal


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
    list_display = ["name", "label", "media_type", "bytes", "dataset", "created_at"]
    list_select_related = ["dataset"]
    list_filter = ["media_type", "created_at"]
    search_fields = ["name", "sha256", "dataset__name"]


@admin.register(DatasetVersion)
class DatasetVersionAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "number", "counts", "byte_count", "seed", "created_by", "created_at"]
    list_select_related = ["dataset", "created_by"]
    list_filter = ["created_at"]
    search_fields = ["dataset__name", "content_hash"]
