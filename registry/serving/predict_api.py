"""Predictions on the API: of one version, or of whichever version of a model has a name."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.errors import InvalidInputError, TooLargeError
from common.parsers import StrictJSONParser, parse_json
from common.serializers import Input
from datasets.models import Subject
from registry import routing
from registry.answering import Answer, ask_model, ask_version
from registry.logged.writing import Asked, row_ids
from registry.models.aliases import Name
from registry.routing import Choice
from registry.serializers import PredictFilesInput, PredictionSerializer
from registry.serving.finding import model_to_ask, version_to_ask
from registry.serving.serializers import AskInput, AskModelFilesInput, AskModelInput
from registry.serving.streaming import Telling, response

MAX_FILE = 32 * 1024 * 1024
MAX_FILES_TOTAL = 64 * 1024 * 1024
STREAMED = {(200, "text/event-stream"): OpenApiTypes.STR, (200, "application/json"): PredictionSerializer}
HOW = "JSON with `inputs`, or multipart with `files` (32 MiB each, 64 MiB together)."
SAFE = " Predictions change nothing: after a 503, ask again when `Retry-After` says."


class VersionPredictView(APIView):
    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(
        operation_id="versions_predict",
        tags=["serving"],
        summary="Ask a version",
        description=HOW + SAFE,
        request={"application/json": AskInput, "multipart/form-data": PredictFilesInput},
        responses=STREAMED,
    )
    def post(self, request: Request, version_id: int) -> HttpResponseBase:
        version = version_to_ask(request.user, version_id)
        given = _read(request, AskInput, PredictFilesInput)
        asked = Asked(request.user, given["inputs"], given["parameters"])
        if given["stream"]:
            return response(Telling(Choice(version), asked))
        return _answered(ask_version(version, asked))


class ModelPredictView(APIView):
    parser_classes = [StrictJSONParser, MultiPartParser]

    @extend_schema(
        operation_id="models_predict",
        tags=["serving"],
        summary="Ask a model",
        description=HOW + " The version answers that has the name `alias`, or whose turn it is in a test." + SAFE,
        request={"application/json": AskModelInput, "multipart/form-data": AskModelFilesInput},
        responses=STREAMED,
    )
    def post(self, request: Request, model_id: int) -> HttpResponseBase:
        model = model_to_ask(request.user, model_id)
        given = _read(request, AskModelInput, AskModelFilesInput)
        about = {name: given[name] for name in ("key", "group", "subject") if name in given}
        if "subject" in about:
            get_visible(Subject.objects.all(), request.user, "owner", pk=about["subject"])
        asked = Asked(request.user, given["inputs"], given["parameters"], **about)
        alias = given.get("alias", Name.CHAMPION)
        if given["stream"]:
            return response(Telling(routing.choose(model, asked.key, alias), asked))
        return _answered(ask_model(model, asked, alias))


def _answered(answer: Answer) -> Response:
    """As `PredictionSerializer` describes it, which would take longer."""
    rows, not_logged = row_ids(answer.predictions, answer.outputs)
    return Response(
        {
            "outputs": answer.outputs,
            "version": answer.version.pk,
            "latency_ms": answer.latency_ms,
            "predictions": [str(pk) for pk in answer.predictions],
            "row_predictions": [[str(pk) for pk in part] for part in rows],
            "rows_not_logged": not_logged,
        }
    )


def _read(request: Request, plain: type[Input], files: type[Input]) -> dict[str, Any]:
    """What was sent, with `inputs`, `parameters` and `stream` in any case."""
    if not request.content_type.startswith("multipart/"):
        return {"parameters": {}, "stream": False, **plain.read(request.data)}
    sent = request.FILES.getlist("files")
    if any(file.size > MAX_FILE for file in sent) or sum(file.size for file in sent) > MAX_FILES_TOTAL:
        raise TooLargeError("The files are larger than 32 MiB each or 64 MiB together.", "Send smaller or fewer files.")
    beside = {name: request.data[name] for name in ("alias", "key", "group", "subject") if name in request.data}
    given = files.read({"files": sent, **{name: value for name, value in beside.items() if name in files().fields}})
    parameters = _parameters(request.data.get("parameters", ""))
    return {**given, "inputs": [file.read() for file in sent], "parameters": parameters, "stream": False}


def _parameters(text: Any) -> dict[str, Any]:
    try:
        value = parse_json(text.encode("utf-8")) if isinstance(text, str) and text.strip() else {}
    except (ValueError, RecursionError, json.JSONDecodeError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInputError(
            "The parameters can't be read.",
            'Send a JSON object such as {"temperature": 0.8}.',
            fields={"parameters": ["This is not a JSON object."]},
        )
    return value
