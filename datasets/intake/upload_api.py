"""Uploads in pieces on the API, in the manner of tus 1.0: make one, ask how much is there, add a piece, finish."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, serializers
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.errors import InvalidInputError, TooLargeError
from common.serializers import Input, TextField, WholeField
from datasets import limits
from datasets.api import TAGS, find
from datasets.intake import options, pieces
from datasets.models import Upload
from datasets.serializers import ImportSerializer

PIECE = "application/offset+octet-stream"
OFFSET = OpenApiParameter(
    "Upload-Offset", OpenApiTypes.INT64, OpenApiParameter.HEADER, required=True, description="Where the piece begins."
)
CHECKSUM = OpenApiParameter(
    "Upload-Checksum", OpenApiTypes.STR, OpenApiParameter.HEADER, description="`sha256 ` and its bytes in base64."
)


class UploadSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="dataset_id")

    class Meta:
        model = Upload
        fields = ["id", "dataset", "name", "bytes", "received", "created_at", "updated_at"]
        read_only_fields = fields


class NewUploadInput(Input):
    name = TextField(max_length=4_000, help_text="Relative path; the folder that it lies in is its class.")
    bytes = WholeField(help_text="How long the whole file is.")


class FinishInput(Input):
    ids = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=pieces.MAX_FINISHED, help_text="In their order."
    )
    options = serializers.DictField(required=False, help_text="How to read them, where guessing was wrong.")


class PieceParser(BaseParser):
    """Accepts the type; the body is read from the request itself, whatever its length is said to be."""

    media_type = PIECE

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> bytes:
        return b""


class UploadsView(generics.ListAPIView):
    serializer_class = UploadSerializer
    queryset = Upload.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Upload]:
        if getattr(self, "swagger_fake_view", False):
            return Upload.objects.none()
        return pieces.unfinished(find(self.request, self.kwargs["dataset_id"]), self.request.user)

    @extend_schema(operation_id="datasets_uploads", tags=TAGS, summary="Your unfinished uploads, oldest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="datasets_upload_create", tags=TAGS, summary="Begin to send a large file in pieces",
        description=f"Add pieces of at most {limits.MAX_PIECE_BYTES // limits.MIB} MiB with PATCH, in their order. "
        "An upload to which nothing is added for a day is removed.",
        request=NewUploadInput, responses={201: UploadSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = NewUploadInput.read(request.data)
        made = pieces.begin(dataset, request.user, name=given["name"], size=given["bytes"])
        headers = _state(made) | {"Location": request.build_absolute_uri(f"uploads/{made.pk}")}
        return Response(UploadSerializer(made).data, status=201, headers=headers)


class UploadView(APIView):
    parser_classes = [PieceParser]

    @extend_schema(
        operation_id="datasets_upload_get", tags=TAGS, summary="How much of a file the hub has",
        description="`HEAD` answers with the headers `Upload-Offset` and `Upload-Length` alone.",
        responses=UploadSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int, upload_id: UUID) -> Response:
        found = _find(request, dataset_id, upload_id)
        return Response(UploadSerializer(found).data, headers=_state(found))

    @extend_schema(
        operation_id="datasets_upload_add", tags=TAGS, summary="Add the next piece",
        description="409 when the hub has more or fewer bytes than `Upload-Offset`, or takes a piece of this file from "
        "another request: ask with HEAD, then go on from there.",
        parameters=[OFFSET, CHECKSUM], request={PIECE: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="Added. The header `Upload-Offset` says how much is there.")},
    )  # fmt: skip
    def patch(self, request: Request, dataset_id: int, upload_id: UUID) -> Response:
        found = _find(request, dataset_id, upload_id)
        if request.content_type.partition(";")[0].strip() != PIECE:
            raise UnsupportedMediaType(request.content_type)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > limits.MAX_PIECE_BYTES:
            raise TooLargeError(
                f"The piece is larger than {limits.MAX_PIECE_BYTES // limits.MIB} MiB.", "Send smaller pieces."
            )
        checksum = request.headers.get("Upload-Checksum", "").strip()
        changed = pieces.append(found.pk, _offset(request), request._request, checksum)
        return Response(status=204, headers=_state(changed))

    @extend_schema(
        operation_id="datasets_upload_discard", tags=TAGS, summary="Give up an upload, with what was sent of it",
        responses={204: None},
    )  # fmt: skip
    def delete(self, request: Request, dataset_id: int, upload_id: UUID) -> Response:
        pieces.discard(_find(request, dataset_id, upload_id))
        return Response(status=204)


class UploadsFinishView(APIView):
    @extend_schema(
        operation_id="datasets_uploads_finish", tags=TAGS, summary="Import files that were sent in pieces",
        description="One import of all of them. Asked again, it answers with the same import.",
        request=FinishInput, responses={202: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = FinishInput.read(request.data)
        made = pieces.finish(dataset, request.user, given["ids"], options.checked(given.get("options")))
        return Response(ImportSerializer(made).data, status=202)


def _find(request: Request, dataset_id: int, upload_id: UUID) -> Upload:
    return get_visible(Upload.objects.filter(dataset=dataset_id), request.user, pk=upload_id)


def _state(upload: Upload) -> dict[str, str]:
    return {
        "Upload-Offset": str(upload.received),
        "Upload-Length": str(upload.bytes),
        "Tus-Resumable": "1.0.0",
        "Cache-Control": "no-store",
    }


def _offset(request: Request) -> int:
    text = request.headers.get("Upload-Offset", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise InvalidInputError("The header Upload-Offset is missing or no number.", "Say where the piece begins.")
    return int(text)
