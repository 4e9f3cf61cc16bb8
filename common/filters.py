"""What the filters of all lists share. A list can be asked only for what its filter set names."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet

from common.numbers import BIGINT_MAX


class IdFilter(django_filters.Filter):
    """An id that the database can hold."""

    field_class = forms.IntegerField

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, min_value=1, max_value=BIGINT_MAX, **options)


class StableFilterSet(django_filters.FilterSet):
    """Rows that are equal in the asked order must not change places between two pages."""

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        rows = super().filter_queryset(queryset)
        return rows.order_by(*rows.query.order_by, "-id") if rows.query.order_by else rows
