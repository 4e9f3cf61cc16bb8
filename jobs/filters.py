"""Which jobs a list shows. Only what is named here can be asked."""

from __future__ import annotations

from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.filters import IdFilter, StableFilterSet
from engine.catalogue import RECIPES
from jobs.models import Job
from jobs.states import ACTIVE, Status

ORDERINGS = ("created_at", "started_at", "completed_at", "name", "status", "priority")


class WordsField(forms.CharField):
    """Words from a fixed list, separated by commas."""

    def __init__(self, *, words: tuple[str, ...], **options: Any) -> None:
        super().__init__(max_length=200, **options)
        self.words = words

    def clean(self, value: Any) -> list[str]:
        given = [word.strip() for word in super().clean(value).split(",") if word.strip()]
        wrong = [word for word in given if word not in self.words]
        if wrong:
            raise forms.ValidationError(f"{wrong[0][:40]} is none of: {', '.join(self.words)}.")
        return given


@extend_schema_field(serializers.CharField(help_text="`active`, or statuses separated by commas."))
class StatusFilter(django_filters.Filter):
    field_class = WordsField

    def __init__(self, **options: Any) -> None:
        super().__init__(words=(*Status.values, "active"), **options)

    def filter(self, jobs: QuerySet[Job], value: list[str] | None) -> QuerySet[Job]:
        if not value:
            return jobs
        wanted = set(value) - {"active"} | (set(ACTIVE) if "active" in value else set())
        return jobs.filter(status__in=wanted)


class JobFilter(StableFilterSet):
    status = StatusFilter(help_text="`active`, or statuses separated by commas.")
    recipe = django_filters.ChoiceFilter(choices=[(name, name) for name in RECIPES])
    subject = IdFilter(field_name="subject_id")
    dataset = IdFilter(field_name="dataset_version__dataset_id")
    model = IdFilter(field_name="model_id")
    owner = django_filters.CharFilter(field_name="owner__username", max_length=150, help_text="A user's name.")
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lte")
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )
    ordering = django_filters.OrderingFilter(fields=[(name, name) for name in ORDERINGS])

    class Meta:
        model = Job
        fields: list[str] = []
