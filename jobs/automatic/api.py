"""Automatic training on the API: one's own settings, how far the next fine-tuning is, and those that were started."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from engine.catalogue import RECIPES
from jobs.api import IDEMPOTENCY_KEY, idempotency_key, shown
from jobs.automatic import settings
from jobs.models import AutomaticTraining, FineTuning
from jobs.serializers import JobSerializer

TAGS = ["automatic training"]
TEXT = 200_000


class AutomaticQuery(Input):
    subject = IdField(required=False, help_text="The settings of this subject of yours; else those of all examples.")


class AutomaticStartInput(Input):
    subject = IdField(required=False, allow_null=True, help_text="Start with the settings of this subject.")


class AutomaticInput(Input):
    """What is named is changed."""

    subject = IdField(required=False, allow_null=True, help_text="Whose settings they are; null: of all your examples.")
    enabled = serializers.BooleanField(required=False, help_text="Off: examples are counted, and start nothing.")
    genres = TextField(required=False, max_length=TEXT, trim_whitespace=False, help_text="One a line, as 'Crime: 2'.")
    prompts = TextField(required=False, max_length=TEXT, trim_whitespace=False, help_text="One a line.")
    generators = TextField(
        required=False, allow_blank=True, max_length=TEXT, help_text="One a line: 'version 12', 'endpoint my-server'."
    )
    judge = TextField(required=False, help_text="'measures', or a model as above.")
    minimum_quality = FiniteFloatField(required=False, help_text="From 0 to 10.")
    examples = WholeField(required=False, help_text="How many a run is asked for.")
    dataset = IdField(
        required=False, allow_null=True,
        help_text="Takes what is kept; null: it stays with the run, and is not counted.",
    )  # fmt: skip
    threshold = WholeField(required=False, help_text="New examples that start a fine-tuning.")
    template = IdField(required=False, allow_null=True, help_text="How to fine-tune: a template of yours; or a recipe.")
    recipe = serializers.ChoiceField(choices=list(RECIPES), required=False, help_text="Takes the template's place.")
    base_version = IdField(required=False, allow_null=True, help_text="What the recipe starts from.")
    tell_by_mail = serializers.BooleanField(required=False, help_text="When one starts or can't, and when a run ends.")


class ProgressSerializer(serializers.Serializer):
    examples = serializers.IntegerField(help_text="Kept examples that no fine-tuning has taken in yet.")
    threshold = serializers.IntegerField()
    enabled = serializers.BooleanField()


class FineTuningSerializer(serializers.ModelSerializer):
    job = serializers.IntegerField(source="job_id")
    generated_by = serializers.IntegerField(
        source="generated_by_id", allow_null=True, help_text="The job whose example reached the threshold."
    )

    class Meta:
        model = FineTuning
        fields = ["number", "job", "examples", "session_id", "generated_by", "at"]
        read_only_fields = fields


class AutomaticSerializer(serializers.ModelSerializer):
    owner = serializers.IntegerField(source="owner_id")
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    dataset = serializers.IntegerField(source="dataset_id", allow_null=True)
    template = serializers.IntegerField(source="template_id", allow_null=True)
    base_version = serializers.IntegerField(source="base_version_id", allow_null=True)
    last_error = serializers.CharField(help_text="Why the last try to start a fine-tuning made none; '' if it did.")
    progress = serializers.SerializerMethodField()
    fine_tunings = serializers.SerializerMethodField()

    class Meta:
        model = AutomaticTraining
        fields = ["owner", "subject", *settings.FIELDS, "last_error", "progress", "fine_tunings"]
        read_only_fields = fields

    @extend_schema_field(ProgressSerializer())
    def get_progress(self, rule: AutomaticTraining) -> dict[str, Any]:
        return settings.shown(rule)

    @extend_schema_field(FineTuningSerializer(many=True))
    def get_fine_tunings(self, rule: AutomaticTraining) -> list[dict[str, Any]]:
        return FineTuningSerializer(settings.fine_tunings(rule), many=True).data


class AutomaticView(APIView):
    @extend_schema(
        operation_id="training_automatic_get",
        tags=TAGS,
        summary="Your settings of automatic training, and how far the next fine-tuning is",
        description="Defaults where nothing was settled yet. `fine_tunings` are the newest 20.",
        parameters=[AutomaticQuery],
        responses=AutomaticSerializer,
    )
    def get(self, request: Request) -> Response:
        asked = AutomaticQuery.read(request.query_params)
        subject = settings.subject_of(request.user, asked.get("subject"))
        return Response(AutomaticSerializer(settings.of(request.user, subject)).data)

    @extend_schema(
        operation_id="training_automatic_change",
        tags=TAGS,
        summary="Settle how examples are made, and when they start a fine-tuning",
        request=AutomaticInput,
        responses=AutomaticSerializer,
    )
    def put(self, request: Request) -> Response:
        given = AutomaticInput.read(request.data)
        subject = settings.subject_of(request.user, given.pop("subject", None))
        settings.change(request.user, subject, **given)
        return Response(AutomaticSerializer(settings.of(request.user, subject)).data)


class AutomaticStartView(APIView):
    @extend_schema(
        operation_id="training_automatic_start",
        tags=TAGS,
        summary="Start generating examples with your settings",
        parameters=[IDEMPOTENCY_KEY],
        request=AutomaticStartInput,
        responses={
            201: JobSerializer,
            200: OpenApiResponse(JobSerializer, "The job that the same key made before."),
        },
    )
    def post(self, request: Request) -> Response:
        given = AutomaticStartInput.read(request.data)
        subject = settings.subject_of(request.user, given.get("subject"))
        rule = settings.of(request.user, subject)
        job, created = settings.start(rule, idempotency_key=idempotency_key(request))
        return Response(shown(job), status=201 if created else 200)
