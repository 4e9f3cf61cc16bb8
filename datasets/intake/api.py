"""Imports on the API: what there was, and new ones from elsewhere or of the same files again."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.serializers import Input
from datasets import api
from datasets.api import TAGS, find
from datasets.intake import again, cancelling, imports, options
from datasets.models import Import
from datasets.serializers import ImportSerializer


class NewImportInput(Input):
    origin = serializers.DictField(
        help_text='`{"kind": "url", "url": …}`, `{"kind": "folder", "path": …}` or `{"kind": "s3", "endpoint": …, '
        '"bucket": …, "prefix"?, "region"?, "access_key"?, "secret_key"?, "session_token"?}`. '
        "Keys are kept until the files are fetched, and never shown.",
    )
    options = serializers.DictField(required=False, help_text="How to read the files, where guessing was wrong.")


class AgainInput(Input):
    options = serializers.DictField(help_text="How to read them; what is left out is guessed.")


def _find(request: Request, dataset_id: int, import_id: int) -> Import:
    rows = Import.objects.select_related("dataset").filter(dataset=dataset_id)
    return get_visible(rows, request.user, "dataset__owner", pk=import_id)


class ImportsView(api.ImportsView):
    @extend_schema(
        operation_id="datasets_import_from", tags=TAGS, summary="Import files from elsewhere",
        description="A web address, an S3-compatible bucket, or a folder of the server that an administrator allowed. "
        "Answers at once; the files are fetched in the background. Follow it at `datasets/{id}/imports/{import_id}`.",
        request=NewImportInput, responses={202: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = find(request, dataset_id)
        given = NewImportInput.read(request.data)
        reading = options.checked(given.get("options"))
        made = imports.start_from(dataset, request.user, given["origin"], reading)
        return Response(ImportSerializer(made).data, status=202)


class ImportAgainView(APIView):
    @extend_schema(
        operation_id="datasets_import_again", tags=TAGS, summary="Read an import's tables again, with corrections",
        description="For tables whose columns, types or encoding were guessed wrong. The items stay; what was found in "
        "them is found anew. Versions that were frozen before keep what they had. 409 for other data.",
        request=AgainInput, responses={202: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int, import_id: int) -> Response:
        source = _find(request, dataset_id, import_id)
        reading = options.checked(AgainInput.read(request.data)["options"])
        made = again.import_again(source, request.user, reading)
        return Response(ImportSerializer(made).data, status=202)


class ImportCancelView(APIView):
    @extend_schema(
        operation_id="datasets_import_cancel", tags=TAGS, summary="Cancel an import that waits or runs",
        description="What it took in stays; the rest of its files is not read, and is gone from the hub. "
        "409 when it has ended.",
        request=None, responses={200: ImportSerializer},
    )  # fmt: skip
    def post(self, request: Request, dataset_id: int, import_id: int) -> Response:
        Input.read(request.data)
        source = _find(request, dataset_id, import_id)
        return Response(ImportSerializer(cancelling.cancel_import(source, request.user)).data)
