"""Imports on the API: what there was, and new ones from elsewhere or of the same files again."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from common.serializers import Input
from datasets import api, imports, options
from datasets.api import TAGS, find
from datasets.serializers import ImportSerializer


class NewImportInput(Input):
    origin = serializers.DictField(
        help_text='`{"kind": "url", "url": …}`, `{"kind": "folder", "path": …}` or `{"kind": "s3", "endpoint": …, '
        '"bucket": …, "prefix"?, "region"?, "access_key"?, "secret_key"?, "session_token"?}`. '
        "Keys are kept until the files are fetched, and never shown.",
    )
    options = serializers.DictField(required=False, help_text="How to read the files, where guessing was wrong.")


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
