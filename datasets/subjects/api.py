"""Subjects on the API: made, changed, merged, deleted, and given the items that are about them."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.filters import StableFilterSet
from datasets.api import find
from datasets.models import EligibilityPolicy, Subject
from datasets.subjects import subjects
from datasets.subjects.serializers import (
    AssignedSerializer,
    AssignInput,
    AssignQuery,
    MergeInput,
    NewSubjectInput,
    PolicySerializer,
    SubjectChangeInput,
    SubjectSerializer,
    ValueSerializer,
)

TAGS = ["subjects"]


class SubjectFilter(StableFilterSet):
    search = django_filters.CharFilter(
        field_name="name", lookup_expr="icontains", max_length=200, help_text="Part of the name."
    )
    kind = django_filters.CharFilter(field_name="kind", max_length=50, help_text="person, machine, product …")

    class Meta:
        model = Subject
        fields: list[str] = []


def find_subject(request: Request, subject_id: int) -> Subject:
    return get_visible(Subject.objects.all(), request.user, pk=subject_id)


class SubjectsView(generics.ListAPIView):
    serializer_class = SubjectSerializer
    filterset_class = SubjectFilter

    def get_queryset(self) -> QuerySet[Subject]:
        return visible(Subject.objects.all(), self.request.user)

    @extend_schema(operation_id="subjects_list", tags=TAGS, summary="Subjects by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="subjects_create", tags=TAGS, summary="Make a subject", request=NewSubjectInput,
        responses={201: SubjectSerializer}, filters=False,
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        made = subjects.create(request.user, **NewSubjectInput.read(request.data))
        return Response(SubjectSerializer(made).data, status=201)


class SubjectView(APIView):
    @extend_schema(operation_id="subjects_get", tags=TAGS, summary="One subject", responses=SubjectSerializer)
    def get(self, request: Request, subject_id: int) -> Response:
        return Response(SubjectSerializer(find_subject(request, subject_id)).data)

    @extend_schema(
        operation_id="subjects_change", tags=TAGS, summary="Rename or describe a subject", request=SubjectChangeInput,
        responses=SubjectSerializer,
    )  # fmt: skip
    def patch(self, request: Request, subject_id: int) -> Response:
        changed = subjects.change(find_subject(request, subject_id), **SubjectChangeInput.read(request.data))
        return Response(SubjectSerializer(changed).data)

    @extend_schema(
        operation_id="subjects_delete", tags=TAGS, summary="Delete a subject; its datasets and items stay",
        description="409 when there are jobs or models about it.", responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, subject_id: int) -> Response:
        subjects.delete(find_subject(request, subject_id))
        return Response(status=204)


class MergeView(APIView):
    @extend_schema(
        operation_id="subjects_merge", tags=TAGS, summary="Let other subjects become this one",
        description="Their items, datasets, jobs and models are about this one then.", request=MergeInput,
        responses=SubjectSerializer,
    )  # fmt: skip
    def post(self, request: Request, subject_id: int) -> Response:
        into = find_subject(request, subject_id)
        others = [find_subject(request, pk) for pk in dict.fromkeys(MergeInput.read(request.data)["subjects"])]
        return Response(SubjectSerializer(subjects.merge(into, others)).data)


class AssignView(APIView):
    @extend_schema(
        operation_id="datasets_subjects", tags=TAGS, summary="How many items each subject would get",
        parameters=[AssignQuery], responses=ValueSerializer(many=True),
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        found = subjects.values(dataset, AssignQuery.read(request.query_params)["way"])
        return Response(ValueSerializer(found, many=True).data)

    @extend_schema(
        operation_id="datasets_subjects_assign", tags=TAGS, summary="Give a dataset's items to subjects",
        description="Each item goes to the subject that its value names; subjects that are missing are made. Each "
        "subject is one edit, which can be undone.",
        request=AssignInput, responses=AssignedSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        given = AssignInput.read(request.data)
        done = subjects.assign(find(request, dataset_id), request.user, given["way"], kind=given["kind"])
        return Response(AssignedSerializer(done).data)


class PoliciesView(generics.ListAPIView):
    serializer_class = PolicySerializer
    queryset = EligibilityPolicy.objects.order_by("name", "id")
    filter_backends: list[type] = []

    @extend_schema(
        operation_id="eligibility_policies", tags=TAGS, summary="What subjects must have to be trained",
        description="Administrators change them in the administration.",
    )  # fmt: skip
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
