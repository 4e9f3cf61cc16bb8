"""Training models again on the API: policies, what starts one, its story, and what people decide."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.errors import NotFoundError
from common.pagination import Pages
from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from jobs.api import IDEMPOTENCY_KEY, idempotency_key
from performance.models import MetricRecord, Retraining, RetrainingEvent, RetrainingPolicy
from performance.retraining import collecting, decisions, overview, policies, triggers
from registry.access import get_model

TAGS = ["performance"]


class RetrainingPolicyInput(Input):
    """What is named is changed; null clears what can be empty."""

    enabled = serializers.BooleanField(required=False, help_text="Off: nothing starts by itself.")
    rule = serializers.JSONField(required=False, allow_null=True, help_text="As of a schedule; null: no calendar.")
    zone = TextField(required=False, max_length=64, help_text="IANA name of the zone that the rule is read in.")
    new_items = WholeField(required=False, allow_null=True, help_text="New approved items, or rows of tables.")
    metric = TextField(required=False, allow_blank=True, max_length=100, help_text="The figure that is watched.")
    metric_source = serializers.ChoiceField(choices=["", *MetricRecord.Source.values], required=False)
    metric_group = TextField(required=False, allow_blank=True, max_length=100, help_text="Empty: of all.")
    metric_direction = serializers.ChoiceField(choices=RetrainingPolicy.Direction.values, required=False)
    metric_value = FiniteFloatField(required=False, allow_null=True)
    metric_periods = WholeField(required=False, help_text="So many values in a row.")
    metric_count = WholeField(required=False, help_text="What each value must rest on, at least.")
    drift_inputs = serializers.BooleanField(required=False)
    drift_predictions = serializers.BooleanField(required=False)
    drift_errors = serializers.BooleanField(required=False)
    cooldown_hours = WholeField(required=False, help_text="Between two trainings.")
    budget_jobs = WholeField(required=False, allow_null=True, help_text="In a calendar month, UTC; null: no limit.")
    budget_device_hours = FiniteFloatField(required=False, allow_null=True, help_text="In a calendar month, UTC.")
    dataset = IdField(required=False, allow_null=True, help_text="Null: that of the champion.")
    window = serializers.ChoiceField(choices=RetrainingPolicy.Window.values, required=False)
    window_count = WholeField(required=False, allow_null=True, help_text="Days or items of the window.")
    collect = serializers.BooleanField(required=False, help_text="Add predictions whose truth is known to the table.")
    template = IdField(required=False, allow_null=True, help_text="Null: as the champion was trained.")
    approvals_start = WholeField(required=False, max_value=1)
    approvals_promotion = WholeField(required=False, max_value=1)
    after = serializers.ChoiceField(choices=RetrainingPolicy.After.values, required=False)


class RetrainingPolicySerializer(serializers.Serializer):
    """The policy, what it means, and where it stands."""

    model = serializers.IntegerField(source="model_id")
    stored = serializers.SerializerMethodField(help_text="False: there is none, and these are its defaults.")
    values = serializers.SerializerMethodField(help_text="As PUT takes them.")
    in_words = serializers.SerializerMethodField()
    next_at = serializers.DateTimeField(allow_null=True, help_text="When its schedule comes next.")
    seen = serializers.SerializerMethodField(help_text="What its triggers see now, in words.")
    why_not_now = serializers.SerializerMethodField(help_text="Why no training can start now; '' when one can.")
    refusal = serializers.CharField(help_text="Why what was seen last started nothing.")

    def get_stored(self, row: RetrainingPolicy) -> bool:
        return row.pk is not None

    @extend_schema_field(serializers.DictField())
    def get_values(self, row: RetrainingPolicy) -> dict[str, Any]:
        return policies.values_of(row)

    def get_in_words(self, row: RetrainingPolicy) -> str:
        return policies.in_words(row)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_seen(self, row: RetrainingPolicy) -> list[str]:
        return overview.seen_in_words(row)

    def get_why_not_now(self, row: RetrainingPolicy) -> str:
        return overview.why_not_now(row)


class RetrainingSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    job = serializers.IntegerField(source="job_id", allow_null=True)
    champion = serializers.IntegerField(source="champion_id", allow_null=True)
    challenger = serializers.IntegerField(source="challenger_id", allow_null=True)
    asked_by = serializers.CharField(source="asked_by.username", allow_null=True, default=None)
    approved_by = serializers.CharField(source="approved_by.username", allow_null=True, default=None)
    experiment = serializers.IntegerField(source="experiment_id", allow_null=True)

    class Meta:
        model = Retraining
        fields = [
            "id", "model", "kind", "evidence", "reason", "status", "message", "hint", "plan", "champion", "job",
            "challenger", "report", "experiment", "asked_by", "approved_by", "approved_at", "created_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields


class RetrainingEventSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", allow_null=True, default=None)

    class Meta:
        model = RetrainingEvent
        fields = ["at", "kind", "actor", "message", "details"]
        read_only_fields = fields


class RetrainingStorySerializer(RetrainingSerializer):
    events = RetrainingEventSerializer(many=True, help_text="Everything that happened, in order.")

    class Meta(RetrainingSerializer.Meta):
        fields = [*RetrainingSerializer.Meta.fields, "events"]
        read_only_fields = fields


class RetrainInput(Input):
    model = IdField(help_text="The model that is trained again.")
    reason = TextField(required=False, allow_blank=True, default="", max_length=1000)


class RetrainingQuery(Input):
    model = IdField(required=False)
    status = serializers.ChoiceField(choices=Retraining.Status.values, required=False)


class RetrainingDecisionInput(Input):
    reason = TextField(required=False, allow_blank=True, default="", max_length=700)


class TriggerView(APIView):
    @extend_schema(
        operation_id="performance_retrain_trigger",
        tags=TAGS,
        summary="Train a model again",
        description="As its policy says, or as its champion was trained. 409 names the retraining and the job that run "
        "already, or says from when on it is possible again (`possible_from`).",
        parameters=[IDEMPOTENCY_KEY],
        request=RetrainInput,
        responses={
            201: RetrainingSerializer,
            200: OpenApiResponse(RetrainingSerializer, "What the same key started before."),
        },
    )
    def post(self, request: Request) -> Response:
        given = RetrainInput.read(request.data)
        model = get_model(request.user, given["model"])
        policies.require(request.user, model)
        key = idempotency_key(request)
        row, created = triggers.trigger(model, request.user, reason=given["reason"], idempotency_key=key)
        return Response(RetrainingSerializer(row).data, status=201 if created else 200)


class RetrainingsView(generics.ListAPIView):
    serializer_class = RetrainingSerializer
    query = RetrainingQuery

    @extend_schema(
        operation_id="performance_retrainings",
        tags=TAGS,
        summary="Trainings of models again, newest first",
        parameters=[RetrainingQuery],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Retraining]:
        if getattr(self, "swagger_fake_view", False):
            return Retraining.objects.none()
        asked = RetrainingQuery.read(self.request.query_params, beside=Pages.names())
        rows = overview.retrainings_for(self.request.user)
        if key := asked.get("model"):
            rows = rows.filter(model=get_model(self.request.user, key))
        return rows.filter(status=asked["status"]) if asked.get("status") else rows


class RetrainingView(APIView):
    @extend_schema(
        operation_id="performance_retraining",
        tags=TAGS,
        summary="One training again, with its whole story",
        responses=RetrainingStorySerializer,
    )
    def get(self, request: Request, retraining_id: int) -> Response:
        return Response(RetrainingStorySerializer(_found(request, retraining_id)).data)


class ApproveView(APIView):
    @extend_schema(
        operation_id="performance_retraining_approve",
        tags=TAGS,
        summary="Approve what it waits for: its start, or the promotion of its challenger",
        request=RetrainingDecisionInput,
        responses=RetrainingStorySerializer,
    )
    def post(self, request: Request, retraining_id: int) -> Response:
        row = _found(request, retraining_id)
        decisions.approve(row, request.user, RetrainingDecisionInput.read(request.data)["reason"])
        return Response(RetrainingStorySerializer(row).data)


class DeclineView(APIView):
    @extend_schema(
        operation_id="performance_retraining_decline",
        tags=TAGS,
        summary="Decline what it waits for, with a reason",
        request=RetrainingDecisionInput,
        responses=RetrainingStorySerializer,
    )
    def post(self, request: Request, retraining_id: int) -> Response:
        row = _found(request, retraining_id)
        decisions.decline(row, request.user, RetrainingDecisionInput.read(request.data)["reason"])
        return Response(RetrainingStorySerializer(row).data)


class CollectInput(Input):
    dataset = IdField(help_text="A dataset of tables of yours that has the column which the model answers.")


class CollectedSerializer(serializers.Serializer):
    rows = serializers.IntegerField(help_text="How many predictions are new in the dataset.")
    import_id = serializers.IntegerField(allow_null=True, help_text="Brings them in; null: nothing was new.")
    more = serializers.BooleanField(help_text="There are more: ask again when these are in.")


class CollectView(APIView):
    @extend_schema(
        operation_id="models_predictions_collect",
        tags=TAGS,
        summary="Put predictions whose truth is known into a dataset, as rows",
        description="Of models that answer a column of a table: inputs that were kept, with the truth in that column, "
        "each once, in the background (202; follow the import at `datasets/{id}/imports/{import_id}`). 200 when "
        "nothing is new, 409 while the dataset is being filled. For whoever sees the predictions, into their dataset.",
        request=CollectInput,
        responses={200: CollectedSerializer, 202: CollectedSerializer},
    )
    def post(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        found = collecting.collect(request.user, model, CollectInput.read(request.data)["dataset"])
        return Response(CollectedSerializer(found).data, status=202 if found.rows else 200)


class PolicyView(APIView):
    @extend_schema(
        operation_id="models_retraining_policy",
        tags=TAGS,
        summary="When a model is trained again, and where that stands",
        responses=RetrainingPolicySerializer,
    )
    def get(self, request: Request, model_id: int) -> Response:
        return Response(RetrainingPolicySerializer(policies.of(get_model(request.user, model_id))).data)

    @extend_schema(
        operation_id="models_retraining_policy_change",
        tags=TAGS,
        summary="Settle when a model is trained again",
        request=RetrainingPolicyInput,
        responses=RetrainingPolicySerializer,
    )
    def put(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        policies.change(model, request.user, **RetrainingPolicyInput.read(request.data))
        return Response(RetrainingPolicySerializer(policies.of(model)).data)


def _found(request: Request, key: int) -> Retraining:
    row = overview.retrainings_for(request.user).prefetch_related("events__actor").filter(pk=key).first()
    if row is None:
        raise NotFoundError(f"There is no retraining {key} for you.", "Check the address.")
    return row
