"""The life of a version on the API: checked, archived, deleted."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.downloads import download
from common.numbers import finite
from common.serializers import Input, TextField
from registry import exporting
from registry.access import get_model, get_version
from registry.cards import facts, markdown, notes
from registry.life import doors
from registry.models import CardNotes, Export, Model, ModelVersion
from registry.serializers import VersionSerializer

TAGS = ["models"]


class FreedSerializer(serializers.Serializer):
    version = serializers.IntegerField()
    bytes_freed = serializers.IntegerField(help_text="Bytes of the disk that are free now.")


class VerifiedSerializer(serializers.Serializer):
    version = serializers.IntegerField()
    state = serializers.ChoiceField(
        choices=["whole", "damaged", "checking"], help_text="`checking`: large files are read in the background."
    )
    problems = serializers.ListField(child=serializers.CharField(), help_text="What is wrong, a sentence a file.")


class DeleteVersion:
    """The DELETE of a version's address."""

    @extend_schema(
        operation_id="versions_delete",
        tags=TAGS,
        summary="Delete a version's files for good",
        description="What it was, and what was made from it, stays in the lineage. 409 says who needs it.",
        responses=FreedSerializer,
    )
    def delete(self, request: Request, version_id: int) -> Response:
        freed = doors.delete(get_version(request.user, version_id), request.user)
        return Response({"version": version_id, "bytes_freed": freed})


class CardQuery(Input):
    format = serializers.ChoiceField(choices=["json", "markdown"], required=False, default="json")


class CardView(APIView):
    @extend_schema(
        operation_id="versions_card",
        tags=TAGS,
        summary="The model card of a version",
        description="Task, data with its hash and what was left out, settings, figures beside the baseline and the "
        "version before, figures by class, `limits` in sentences, the owner's `notes`, environment, origin.",
        parameters=[CardQuery],
        responses={
            (200, "application/json"): OpenApiTypes.OBJECT,
            (200, "text/markdown"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request, version_id: int) -> HttpResponseBase:
        asked = CardQuery.read(request.query_params)
        card = facts.card(get_version(request.user, version_id), request.user)
        if asked["format"] == "json":
            return Response(finite(card))
        name = f"version-{version_id}.md"
        return download(request._request, [markdown.text(card)], "text/markdown; charset=utf-8", name)


class CardNotesInput(Input):
    """What is named is changed."""

    intended_use = TextField(required=False, allow_blank=True, max_length=notes.LONGEST, help_text="What it is for.")
    limits = TextField(
        required=False, allow_blank=True, max_length=notes.LONGEST, help_text="What it is not for, where it fails."
    )


class CardNotesSerializer(serializers.ModelSerializer):
    by = serializers.CharField(source="changed_by.username", allow_null=True, default=None)
    at = serializers.DateTimeField(source="changed_at", allow_null=True)

    class Meta:
        model = CardNotes
        fields = ["intended_use", "limits", "by", "at"]
        read_only_fields = fields


class VersionNotesView(APIView):
    @extend_schema(
        operation_id="versions_card_notes",
        tags=TAGS,
        summary="What the owner says of a version on its card",
        description="Empty texts where nobody has said anything. Those on all versions are the model's.",
        responses=CardNotesSerializer,
    )
    def get(self, request: Request, version_id: int) -> Response:
        return Response(CardNotesSerializer(notes.of(get_version(request.user, version_id))).data)

    @extend_schema(
        operation_id="versions_card_notes_set",
        tags=TAGS,
        summary="Say on a version's card what it is for and where it fails",
        description="Plain text, by the owner of the model and administrators. What it was stays in the audit trail.",
        request=CardNotesInput,
        responses=CardNotesSerializer,
    )
    def put(self, request: Request, version_id: int) -> Response:
        return _changed(get_version(request.user, version_id), request)


class ModelNotesView(APIView):
    @extend_schema(
        operation_id="models_card_notes",
        tags=TAGS,
        summary="What the owner says of all versions of a model on their cards",
        responses=CardNotesSerializer,
    )
    def get(self, request: Request, model_id: int) -> Response:
        return Response(CardNotesSerializer(notes.of(get_model(request.user, model_id))).data)

    @extend_schema(
        operation_id="models_card_notes_set",
        tags=TAGS,
        summary="Say on the cards of all versions what the model is for and where it fails",
        request=CardNotesInput,
        responses=CardNotesSerializer,
    )
    def put(self, request: Request, model_id: int) -> Response:
        return _changed(get_model(request.user, model_id), request)


def _changed(about: Model | ModelVersion, request: Request) -> Response:
    row = notes.change(about, request.user, **CardNotesInput.read(request.data))
    return Response(CardNotesSerializer(row).data)


class ExportQuery(Input):
    format = serializers.ChoiceField(
        choices=["folder", "merged", "onnx"], required=False, default="folder",
        help_text="`folder`: its files and model card. `merged`: those of the whole version that an adapter was merged "
        "into. `onnx`: what was exported by POST.",
    )  # fmt: skip


class ExportInput(Input):
    format = serializers.ChoiceField(choices=["onnx"])


class ExportSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version_id")

    class Meta:
        model = Export
        fields = ["version", "format", "status", "message", "hint", "difference", "files", "created_at", "finished_at"]
        read_only_fields = fields


class ExportView(APIView):
    @extend_schema(
        operation_id="versions_export",
        tags=TAGS,
        summary="Download a version for use elsewhere, as a zip",
        parameters=[ExportQuery],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, version_id: int) -> HttpResponseBase:
        version = get_version(request.user, version_id)
        asked = ExportQuery.read(request.query_params)["format"]
        if asked == "merged":
            version = get_version(request.user, exporting.merged(version).pk)
        pieces = (exporting.onnx if asked == "onnx" else exporting.folder)(version, request.user)
        name = f"version-{version.pk}{'-onnx' if asked == 'onnx' else ''}.zip"
        return download(request._request, pieces, "application/zip", name)

    @extend_schema(
        operation_id="versions_export_start",
        tags=TAGS,
        summary="Have a version exported as ONNX",
        description="In the background: 202 until it is there, then 200. It is checked with onnxruntime against the "
        "model's own answers; `difference` is the largest. 409 says why a recipe can't; a version that can't is a "
        "failed export with the reason.",
        request=ExportInput,
        responses={200: ExportSerializer, 202: ExportSerializer},
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        ExportInput.read(request.data)
        made = doors.export(version, request.user)
        return Response(ExportSerializer(made).data, 202 if made.status in Export.OPEN else 200)


class ArchiveView(APIView):
    @extend_schema(
        operation_id="versions_archive",
        tags=TAGS,
        summary="Put a version out of sight",
        description="It keeps its files, is used for nothing new, and lists leave it out unless asked (`show=all`).",
        request=None,
        responses=VersionSerializer,
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        Input.read(request.data)
        doors.archive(version, request.user)
        return Response(VersionSerializer(get_version(request.user, version_id)).data)


class UnarchiveView(APIView):
    @extend_schema(
        operation_id="versions_unarchive",
        tags=TAGS,
        summary="Bring an archived version back",
        request=None,
        responses=VersionSerializer,
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        Input.read(request.data)
        doors.unarchive(version, request.user)
        return Response(VersionSerializer(get_version(request.user, version_id)).data)


class VerifyView(APIView):
    @extend_schema(
        operation_id="versions_verify",
        tags=TAGS,
        summary="Read all files of a version and compare their SHA-256",
        description="A version whose bytes are others is marked as damaged and refused; once they are right again, "
        "its mark is taken away.",
        request=None,
        responses={200: VerifiedSerializer, 202: VerifiedSerializer},
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        Input.read(request.data)
        found = doors.verify(version, request.user)
        state = "checking" if found is None else "damaged" if found else "whole"
        return Response({"version": version_id, "state": state, "problems": found or []}, 202 if found is None else 200)
