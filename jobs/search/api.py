"""Searches on the API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.serializers import Input
from datasets.models import Dataset, DatasetVersion
from jobs.models import Search, Trial
from jobs.search import overview, verbs
from jobs.search.serializers import MoreInput, SearchInput, SearchSerializer, TrialSerializer
from registry.models import ModelVersion
from registry.serializers import VersionSerializer

TAGS = ["training searches"]
ROWS = {
    "dataset": (Dataset.objects, "owner"),
    "dataset_version": (DatasetVersion.objects.select_related("dataset"), "dataset__owner"),
    "base_version": (ModelVersion.objects.select_related("model"), "model__owner"),
}
SPLIT = ("validation_fraction", "test_fraction", "split_by", "split_key")


def find(request: Request, search_id: int) -> Search:
    return get_visible(overview.listed(), request.user, pk=search_id)


def shown(search: Search) -> dict[str, Any]:
    fresh = overview.listed().get(pk=search.pk)
    overview.with_counts([fresh])
    return SearchSerializer(fresh).data


class SearchesView(generics.ListAPIView):
    serializer_class = SearchSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        return visible(overview.listed(), self.request.user)

    def paginate_queryset(self, queryset: Any) -> Any:
        return overview.with_counts(super().paginate_queryset(queryset) or [])

    @extend_schema(operation_id="training_searches_list", tags=TAGS, summary="Searches for settings, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_searches_create",
        tags=TAGS,
        summary="Search for good settings of a recipe",
        description="Each trial is a job. The best one becomes a version when all trials are over.",
        request=SearchInput,
        responses={201: SearchSerializer},
    )
    def post(self, request: Request) -> Response:
        given = SearchInput.read(request.data)
        for name, (rows, owner) in ROWS.items():
            key = given.pop(name, None)
            given[name] = get_visible(rows.all(), request.user, owner, pk=key) if key else None
        split = {name: given.pop(name) for name in SPLIT if name in given}
        return Response(shown(verbs.create(request.user, split=split, **given)), status=201)


class SearchView(APIView):
    @extend_schema(operation_id="training_searches_get", tags=TAGS, summary="One search", responses=SearchSerializer)
    def get(self, request: Request, search_id: int) -> Response:
        return Response(shown(find(request, search_id)))


class TrialsView(generics.ListAPIView):
    serializer_class = TrialSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> Any:
        if getattr(self, "swagger_fake_view", False):
            return Trial.objects.none()
        search = find(self.request, self.kwargs["search_id"])
        return Trial.objects.filter(search=search).select_related("job").order_by("number")

    @extend_schema(operation_id="training_searches_trials", tags=TAGS, summary="The trials of a search, in order")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CancelSearchView(APIView):
    @extend_schema(
        operation_id="training_searches_cancel",
        tags=TAGS,
        summary="End a search and its running trials",
        request=None,
        responses=SearchSerializer,
    )
    def post(self, request: Request, search_id: int) -> Response:
        Input.read(request.data)
        return Response(shown(verbs.cancel(find(request, search_id), request.user)))


class MoreTrialsView(APIView):
    @extend_schema(
        operation_id="training_searches_more",
        tags=TAGS,
        summary="Make more trials of a search, also of one that has ended",
        request=MoreInput,
        responses=SearchSerializer,
    )
    def post(self, request: Request, search_id: int) -> Response:
        search = find(request, search_id)
        return Response(shown(verbs.extend(search, request.user, **MoreInput.read(request.data))))


class PromoteTrialView(APIView):
    @extend_schema(
        operation_id="training_searches_promote",
        tags=TAGS,
        summary="Make a version of the best trial so far",
        request=None,
        responses=VersionSerializer,
    )
    def post(self, request: Request, search_id: int) -> Response:
        Input.read(request.data)
        return Response(VersionSerializer(verbs.promote(find(request, search_id), request.user)).data)
