"""Logged predictions for administrators: found by an id, in a table of millions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.pages import number_in
from registry.models import LogPolicy, Outcome, Prediction


class FirstThousands(Paginator):
    """Of a table of millions: the newest ten thousand, which can be counted at once."""

    most = 10_000

    @property
    def count(self) -> int:
        return len(self.object_list.values_list("pk", flat=True)[: self.most])  # type: ignore[union-attr]


class LoggedAdmin(ReadOnlyAdmin):
    """Found by an id: of the prediction, or of its model. Nothing else is searched in millions of rows."""

    paginator = FirstThousands
    search_help_text = "The id of a prediction, or the number of a model."

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> Any:
        text = search_term.strip()
        try:
            return queryset.filter(pk=UUID(text)), False
        except ValueError:
            number = number_in(text)
        found = queryset.filter(model=number) if number is not None else queryset.none()
        return (found if text else queryset), False


@admin.register(Prediction)
class PredictionAdmin(LoggedAdmin):
    list_display = ["id", "at", "model", "version", "label", "score", "latency_ms", "error"]
    list_select_related = ["model", "version__model"]
    search_fields = ["id"]
    ordering = ["-id"]
    sortable_by = ()


@admin.register(Outcome)
class OutcomeAdmin(LoggedAdmin):
    list_display = ["prediction_id", "at", "model", "version", "correct", "error", "value"]
    list_select_related = ["model", "version__model"]
    search_fields = ["prediction_id"]
    ordering = ["-prediction"]
    sortable_by = ()


@admin.register(LogPolicy)
class LogPolicyAdmin(ReadOnlyAdmin):
    list_display = ["model", "keep", "share", "days", "changed_by", "changed_at"]
    list_select_related = ["model", "changed_by"]
    list_filter = ["keep"]
    search_fields = ["model__name"]
