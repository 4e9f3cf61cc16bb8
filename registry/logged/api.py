"""Logged predictions and their outcomes on the API."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registry.access import Action, get_model, require
from registry.logged import browsing, exporting, outcomes, policies
from registry.logged.outcomes import Entry
from registry.logged.serializers import (
    ExportQuery,
    LoggedPageSerializer,
    LogPolicyInput,
    LogPolicySerializer,
    OutcomeInput,
    OutcomesInput,
    PredictionsPageQuery,
    ToldManySerializer,
    ToldSerializer,
    WholeLoggedSerializer,
)
from registry.models import Model

TAGS = ["predictions"]


class PredictionsView(APIView):
    @extend_schema(
        operation_id="predictions_list",
        tags=TAGS,
        summary="Logged predictions of a model, newest first",
        description="Paged by `next`, never counted. For who may see the model's predictions.",
        parameters=[PredictionsPageQuery],
        responses=LoggedPageSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = PredictionsPageQuery.read(request.query_params)
        wanted = browsing.wanted(request.user, **PredictionsPageQuery.filters(asked))
        part = browsing.page(wanted, after=asked["after"], before=asked["before"], size=asked["page_size"])
        page = {"next": part.after, "previous": part.before, "partial": part.looked, "results": part.rows}
        return Response(LoggedPageSerializer(page).data)


class ExportView(APIView):
    @extend_schema(
        operation_id="predictions_export",
        tags=TAGS,
        summary="Logged predictions of a model as CSV or JSON lines",
        parameters=[ExportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR, (200, "application/x-ndjson"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        asked = ExportQuery.read(request.query_params)
        wanted = browsing.wanted(request.user, **ExportQuery.filters(asked))
        return exporting.response(request._request, wanted, asked["format"])


class PredictionView(APIView):
    @extend_schema(
        operation_id="predictions_get",
        tags=TAGS,
        summary="One logged prediction with all that is kept of it",
        responses=WholeLoggedSerializer,
    )
    def get(self, request: Request, prediction_id: UUID) -> Response:
        return Response(WholeLoggedSerializer(browsing.get_prediction(request.user, prediction_id)).data)


class OutcomeView(APIView):
    @extend_schema(
        operation_id="predictions_outcome",
        tags=TAGS,
        summary="Send what became of a prediction",
        description="The truth, feedback or both; by who asked for the prediction, or may see those of the model. The "
        "same again changes nothing; another truth is refused (409) unless `replace` is true.",
        request=OutcomeInput,
        responses={200: ToldSerializer, 201: ToldSerializer},
    )
    def post(self, request: Request, prediction_id: UUID) -> Response:
        outcomes.find(request.user, prediction_id)
        told = outcomes.send(request.user, prediction_id, **OutcomeInput.read(request.data))
        return Response(ToldSerializer(told).data, status=201 if told.status == "recorded" else 200)


class OutcomesView(APIView):
    @extend_schema(
        operation_id="predictions_outcomes",
        tags=TAGS,
        summary="Send what became of many predictions",
        description="Up to 1,000, each on its own: what is refused keeps no other out, and says why.",
        request=OutcomesInput,
        responses=ToldManySerializer,
    )
    def post(self, request: Request) -> Response:
        given = OutcomesInput.read(request.data)["outcomes"]
        told = outcomes.send_many(request.user, [Entry(**entry) for entry in given])
        refused = sum(one.problem is not None for one in told)
        return Response(ToldManySerializer({"refused": refused, "results": told}).data)


class PolicyView(APIView):
    @extend_schema(
        operation_id="models_logging",
        tags=TAGS,
        summary="What is logged of a model's predictions",
        responses=LogPolicySerializer,
    )
    def get(self, request: Request, model_id: int) -> Response:
        return Response(LogPolicySerializer(policies.policy_of(self._model(request, model_id).pk)).data)

    @extend_schema(
        operation_id="models_logging_set",
        tags=TAGS,
        summary="Say what is logged of a model's predictions",
        description="From now on, within seconds. How long rows are kept holds for those that are there, too.",
        request=LogPolicyInput,
        responses=LogPolicySerializer,
    )
    def put(self, request: Request, model_id: int) -> Response:
        model = self._model(request, model_id)
        return Response(
            LogPolicySerializer(policies.change_policy(model, request.user, **LogPolicyInput.read(request.data))).data
        )

    def _model(self, request: Request, model_id: int) -> Model:
        model = get_model(request.user, model_id)
        require(request.user, Action.SEE_PREDICTIONS, model)
        return model
