"""Quality on the API: the report, runs, findings, and what is done about them."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.filters import IdFilter, StableFilterSet
from common.serializers import Input
from datasets import overview
from datasets.models import Dataset, Finding, QualityRun
from datasets.quality import acts, report, runs
from datasets.quality.codes import CHECKS
from datasets.quality.serializers import (
    DISMISS,
    RESTORE,
    TAKE_ROWS_BACK,
    ActedSerializer,
    ActInput,
    QualityFindingSerializer,
    QualityRunSerializer,
    QualitySettingsInput,
    ReportSerializer,
)

TAGS = ["quality"]


class FindingFilter(StableFilterSet):
    code = django_filters.ChoiceFilter(choices=[(code, check.title) for code, check in CHECKS.items()])
    item = IdFilter(field_name="item_id")
    cluster = IdFilter(help_text="Items that are alike share the lowest item's id.")
    label = django_filters.CharFilter(field_name="item__label", max_length=200, help_text="One class.")
    dismissed = django_filters.BooleanFilter(method="of_state", help_text="Those that people said are no faults.")

    class Meta:
        model = Finding
        fields: list[str] = []

    def of_state(self, rows: QuerySet[Finding], name: str, value: bool) -> QuerySet[Finding]:
        return rows.filter(dismissed_at__isnull=not value)


def _find(request: Request, dataset_id: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=dataset_id)


def _told(dataset: Dataset) -> dict[str, Any]:
    known = report.of(dataset)
    known.by_itself, known.checked_at = dataset.quality_by_itself, dataset.quality_at  # type: ignore[attr-defined]
    return ReportSerializer(known).data


class QualityView(APIView):
    @extend_schema(
        operation_id="quality_get", tags=TAGS, summary="How good a dataset is, and why", responses=ReportSerializer
    )
    def get(self, request: Request, dataset_id: int) -> Response:
        return Response(_told(_find(request, dataset_id)))

    @extend_schema(
        operation_id="quality_check", tags=TAGS, summary="Check a dataset",
        description="Answers at once with the waiting run; 409 while one is open or the dataset is empty. What was "
        "measured of an item's content before is not measured again.",
        request=None, responses={202: QualityRunSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        Input.read(request.data)
        made = runs.start_run(_find(request, dataset_id), request.user)
        return Response(QualityRunSerializer(made).data, status=202)

    @extend_schema(
        operation_id="quality_change", tags=TAGS, summary="Whether it is checked by itself",
        request=QualitySettingsInput, responses=ReportSerializer,
    )  # fmt: skip
    def patch(self, request: Request, dataset_id: int) -> Response:
        dataset = _find(request, dataset_id)
        runs.change(dataset, request.user, **QualitySettingsInput.read(request.data))
        return Response(_told(dataset))


class QualityRunsView(generics.ListAPIView):
    serializer_class = QualityRunSerializer
    queryset = QualityRun.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[QualityRun]:
        return report.runs(_find(self.request, self.kwargs["dataset_id"]))

    @extend_schema(operation_id="quality_runs", tags=TAGS, summary="Checks of a dataset, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class FindingsView(generics.ListAPIView):
    serializer_class = QualityFindingSerializer
    queryset = Finding.objects.none()
    filterset_class = FindingFilter

    def get_queryset(self) -> QuerySet[Finding]:
        if getattr(self, "swagger_fake_view", False):
            return Finding.objects.none()
        dataset = _find(self.request, self.kwargs["dataset_id"])
        rows = Finding.objects.filter(dataset=dataset, item__aside="").select_related("item")
        return rows.order_by("cluster", "item", "row", "id")

    @extend_schema(
        operation_id="quality_findings", tags=TAGS, summary="What was found of single items",
        description="Of items that are not set aside; those of one group side by side.",
    )  # fmt: skip
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class QualityActView(APIView):
    @extend_schema(
        operation_id="quality_act", tags=TAGS, summary="Do something about findings",
        description="`set_aside` takes everything with this finding out of training: of duplicates and near duplicates "
        "all but one of each group, of tables the rows. It is an edit, which can be undone; rows are taken back by "
        "`take_rows_back`. `dismiss` says that findings are no faults, `restore` lets them count again: those named in "
        "`findings`, or all of a `code`.",
        request=ActInput, responses=ActedSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = _find(request, dataset_id)
        given = ActInput.read(request.data)
        done, changed = acts.Done(), 0
        if given["action"] in {DISMISS, RESTORE}:
            verb = acts.dismiss if given["action"] == DISMISS else acts.restore
            changed = verb(dataset, request.user, _chosen(dataset, given))
        elif given["action"] == TAKE_ROWS_BACK:
            done = acts.take_rows_back(dataset, request.user, given["code"])
        else:
            done = acts.set_aside(dataset, request.user, given["code"], keep=given["keep"])
        told = {"items": done.items, "rows": done.rows, "findings": changed, "edit": done.edit and done.edit.pk}
        return Response(ActedSerializer(told).data)


def _chosen(dataset: Dataset, given: dict[str, Any]) -> QuerySet[Finding]:
    rows = Finding.objects.filter(dataset=dataset, item__aside="")
    if "findings" in given:
        return rows.filter(pk__in=given["findings"])
    return rows.filter(code=acts.check_of(given["code"]).code)
