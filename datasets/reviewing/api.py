"""Reviews on the API: what waits for a person, their votes, who reviews, and how far they agree."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib.auth import get_user_model
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.errors import InvalidInputError, ProblemError
from common.serializers import Input
from datasets import overview
from datasets.items.content import content_response, preview_response
from datasets.models import Dataset
from datasets.reviewing import agreement, reviews
from datasets.reviewing.serializers import (
    AgreementSerializer,
    ReviewerInput,
    ReviewerSerializer,
    ReviewItemSerializer,
    ReviewQuery,
    ReviewSerializer,
    VoteResultsSerializer,
    VotesInput,
)

TAGS = ["reviews"]


class ReviewView(APIView):
    @extend_schema(
        operation_id="datasets_review", tags=TAGS, summary="What waits for your review",
        description="For the owner of a dataset and for its reviewers.",
        parameters=[ReviewQuery], responses=ReviewSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = reviews.find(request.user, dataset_id)
        given = ReviewQuery.read(request.query_params)
        items = reviews.upcoming(dataset, request.user, given["limit"], given["after"])
        return Response({
            "waiting": reviews.waiting_count(dataset, request.user), "states": reviews.states(dataset),
            "results": ReviewItemSerializer(items, many=True).data,
        })  # fmt: skip

    @extend_schema(
        operation_id="datasets_review_vote", tags=TAGS, summary="Vote on one item or many",
        description="Each vote counts or is refused by itself; the answer says which.",
        request=VotesInput, responses=VoteResultsSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = reviews.find(request.user, dataset_id)
        votes = VotesInput.read(request.data)["votes"]
        return Response({"results": [_vote(request, dataset, dict(given)) for given in votes]})


def _vote(request: Request, dataset: Dataset, given: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"item": given["item"], "review": None, "problem": None, "hint": None}
    try:
        item = reviews.find_item(request.user, dataset.pk, given["item"])
        voted = reviews.vote(item, request.user, given["verdict"], given["reason"], round=given["round"])
    except ProblemError as problem:
        return answer | {"problem": problem.message, "hint": problem.hint}
    return answer | {"review": voted.review}


class ReviewUndoView(APIView):
    @extend_schema(
        operation_id="datasets_review_undo", tags=TAGS, summary="Take back your latest vote", request=None,
        responses=ReviewItemSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        Input.read(request.data)
        item = reviews.undo(reviews.find(request.user, dataset_id), request.user)
        return Response(ReviewItemSerializer(item).data)


class ReviewContentView(APIView):
    @extend_schema(
        operation_id="datasets_review_content", tags=TAGS, summary="The bytes of an item under review",
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> HttpResponseBase:
        return content_response(request._request, reviews.find_item(request.user, dataset_id, item_id))


class ReviewPreviewView(APIView):
    @extend_schema(
        operation_id="datasets_review_preview", tags=TAGS, summary="A preview of an item under review",
        responses={(200, "image/webp"): OpenApiTypes.BINARY, (200, "text/plain"): OpenApiTypes.STR},
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, item_id: int) -> HttpResponse:
        return preview_response(reviews.find_item(request.user, dataset_id, item_id))


def _own(request: Request, dataset_id: int) -> Dataset:
    return get_visible(overview.listed(), request.user, pk=dataset_id)


class ReviewersView(APIView):
    @extend_schema(
        operation_id="datasets_reviewers", tags=TAGS, summary="Who reviews a dataset",
        responses=ReviewerSerializer(many=True),
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        rows = _own(request, dataset_id).reviewers.select_related("user").defer("user__password")
        return Response(ReviewerSerializer(rows, many=True).data)

    @extend_schema(
        operation_id="datasets_reviewers_assign", tags=TAGS, summary="Let a person review a dataset, or change a share",
        request=ReviewerInput, responses=ReviewerSerializer,
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = _own(request, dataset_id)
        given = ReviewerInput.read(request.data)
        row = reviews.assign(dataset, request.user, person(given["username"]), given["share"])
        return Response(ReviewerSerializer(row).data)


class ReviewerView(APIView):
    @extend_schema(
        operation_id="datasets_reviewers_dismiss", tags=TAGS, summary="A person reviews a dataset no longer",
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, dataset_id: int, user_id: int) -> Response:
        reviews.dismiss(_own(request, dataset_id), user_id)
        return Response(status=204)


class AgreementView(APIView):
    @extend_schema(
        operation_id="datasets_agreement", tags=TAGS, summary="How far the reviewers of a dataset agree",
        responses=AgreementSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        dataset = _own(request, dataset_id)
        pairs = [asdict(pair) for pair in agreement.pairs(dataset)]
        return Response({**asdict(agreement.agreement(dataset)), "pairs": pairs})


def person(username: str) -> Any:
    """The person of this name; InvalidInputError when there is none."""
    found = get_user_model().objects.filter(username=username.strip()).first()
    if found is None:
        raise InvalidInputError(
            f"There is nobody called '{username.strip()[:60]}'.", "Write the name that the person signs in with.",
            fields={"username": ["Not known."]},
        )  # fmt: skip
    return found
