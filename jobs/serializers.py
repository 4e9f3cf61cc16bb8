"""Jobs as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from common.numbers import BIGINT_MAX, finite
from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from engine.catalogue import RECIPES
from jobs.models import Checkpoint, Job, JobEvent, LogLine, Node, Slot
from jobs.reasons import waiting_reason, waiting_reasons

PRIORITY = {"min_value": -1000, "max_value": 1000}

FAILURE = inline_serializer(
    "Failure",
    {"code": serializers.CharField(), "message": serializers.CharField(), "hint": serializers.CharField()},
    allow_null=True,
)


class JobListSerializer(serializers.ListSerializer):
    """Many jobs; the queue is read once for all of them."""

    def to_representation(self, data: Iterable[Job]) -> list[dict[str, Any]]:
        jobs = list(data)
        self.reasons = waiting_reasons(jobs)
        return super().to_representation(jobs)


class JobSerializer(serializers.ModelSerializer):
    """What a job is and does. Times are UTC, durations seconds, sizes bytes."""

    owner = serializers.CharField(source="owner.username")
    progress = serializers.FloatField(help_text="0–100; 100 only when completed.")
    elapsed_seconds = serializers.FloatField(help_text="Running time over all attempts.")
    remaining_seconds = serializers.FloatField(allow_null=True, help_text="Null while it is not known.")
    attempt = serializers.IntegerField(source="attempt_number")
    failure = serializers.SerializerMethodField()
    model_version = serializers.IntegerField(source="model_version_id", allow_null=True)
    dataset = serializers.IntegerField(source="dataset_version.dataset_id", default=None, allow_null=True)
    dataset_version = serializers.IntegerField(source="dataset_version_id", allow_null=True)
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    model = serializers.IntegerField(source="model_id", allow_null=True)
    base_version = serializers.IntegerField(source="base_version_id", allow_null=True)
    waiting_for = serializers.SerializerMethodField(help_text="Why it waits, in a sentence; empty when it does not.")
    request = serializers.CharField(help_text="pause or cancel while a running job has yet to carry it out.")
    metrics = serializers.DictField(help_text="Name → finite number, or null.")
    config = serializers.DictField()
    resources = serializers.DictField()
    figures = serializers.DictField(help_text="Latest use of device, CPU and memory.")
    environment = serializers.DictField()

    class Meta:
        model = Job
        list_serializer_class = JobListSerializer
        fields = [
            "id", "name", "recipe", "status", "phase", "progress", "current_step", "total_steps", "current_epoch",
            "total_epochs", "current_loss", "validation_loss", "rate", "elapsed_seconds", "remaining_seconds",
            "waiting_for", "request", "attempt", "failure", "metrics", "model_version", "owner", "dataset",
            "dataset_version", "subject", "model", "base_version", "config", "seed", "priority", "resources",
            "figures", "sample", "environment", "created_at", "queued_at", "started_at", "completed_at",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(FAILURE)
    def get_failure(self, job: Job) -> dict[str, str] | None:
        if not job.failure_code:
            return None
        return {"code": job.failure_code, "message": job.failure_message, "hint": job.failure_hint}

    def get_waiting_for(self, job: Job) -> str:
        if isinstance(self.parent, JobListSerializer):
            return self.parent.reasons[job.pk]
        return waiting_reason(job)

    def to_representation(self, instance: Job) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class JobDoneSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    job = JobSerializer()


class NewJobInput(Input):
    recipe = serializers.ChoiceField(choices=list(RECIPES))
    dataset = IdField(required=False, allow_null=True, help_text="Is frozen into a version first.")
    dataset_version = IdField(required=False, allow_null=True, help_text="Instead of a dataset.")
    name = TextField(required=False, allow_blank=True, default="", help_text="Empty: made from recipe and data.")
    config = serializers.DictField(required=False, help_text="See GET training/recipes; what is left out has defaults.")
    validation_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0.1 when left out.")
    test_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0 when left out.")
    seed = WholeField(required=False, allow_null=True, max_value=BIGINT_MAX)
    priority = WholeField(required=False, default=0, **PRIORITY, help_text="Higher runs first.")
    subject = IdField(required=False, allow_null=True)
    model = IdField(required=False, allow_null=True, help_text="The line that the version goes to; empty: a new one.")
    base_version = IdField(required=False, allow_null=True)
    resources = serializers.DictField(required=False, help_text='{"device": "any" | "cpu" | "cuda"}')

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("dataset") and given.get("dataset_version"):
            raise serializers.ValidationError({"dataset": "Give a dataset or a dataset_version, not both."})
        return given


class JobChangeInput(Input):
    name = TextField(required=False)
    priority = WholeField(required=False, **PRIORITY)


class CancelInput(Input):
    reason = TextField(max_length=500, required=False, allow_blank=True, default="")


class StatusQuery(Input):
    job_id = IdField()


class MetricsQuery(Input):
    name = TextField(max_length=100, required=False, default="", help_text="Empty: which metrics there are.")
    from_step = WholeField(required=False, default=None, allow_null=True)
    to_step = WholeField(required=False, default=None, allow_null=True)
    max_points = WholeField(
        required=False, default=1000, min_value=2, max_value=10_000, help_text="Thinned; extremes are kept."
    )
    format = serializers.ChoiceField(choices=["json", "csv"], required=False, default="json")


class PointSerializer(serializers.Serializer):
    step = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True, help_text="Null where it was not a finite number.")
    recorded_at = serializers.DateTimeField()


class CurveSerializer(serializers.Serializer):
    """One metric; without `name` only `names`."""

    name = serializers.CharField(required=False)
    points = PointSerializer(many=True, required=False)
    total_points = serializers.IntegerField(required=False)
    names = serializers.ListField(child=serializers.CharField(), required=False)


class LogsQuery(Input):
    after = WholeField(required=False, default=0, help_text="Lines with a higher number.")
    limit = WholeField(required=False, default=500, min_value=1, max_value=1000)
    search = TextField(required=False, allow_blank=True, default="")
    format = serializers.ChoiceField(choices=["json", "text"], required=False, default="json")


class LogLineSerializer(serializers.ModelSerializer):
    class Meta:
        model = LogLine
        fields = ["number", "at", "level", "text"]


class LogSerializer(serializers.Serializer):
    lines = LogLineSerializer(many=True)
    next_after = serializers.IntegerField(help_text="Ask again with `after` set to this.")
    total_lines = serializers.IntegerField()


class EventSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    attempt = serializers.IntegerField(source="attempt_number", allow_null=True)
    details = serializers.DictField()

    class Meta:
        model = JobEvent
        fields = ["sequence", "at", "kind", "from_status", "to_status", "actor", "attempt", "message", "details"]

    def to_representation(self, instance: JobEvent) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class CheckpointSerializer(serializers.ModelSerializer):
    attempt = serializers.IntegerField(source="attempt_number")

    class Meta:
        model = Checkpoint
        fields = ["name", "step", "attempt", "bytes", "at"]


class SlotSerializer(serializers.ModelSerializer):
    busy = serializers.BooleanField()

    class Meta:
        model = Slot
        fields = ["index", "device", "enabled", "busy"]


class NodeSerializer(serializers.ModelSerializer):
    is_up = serializers.BooleanField()
    slots = SlotSerializer(many=True)
    devices = serializers.ListField(child=serializers.JSONField())
    figures = serializers.DictField()

    class Meta:
        model = Node
        fields = [
            "id",
            "name",
            "state",
            "is_up",
            "version",
            "devices",
            "figures",
            "slots",
            "started_at",
            "heartbeat_at",
        ]

    def to_representation(self, instance: Node) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class RecipeSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    summary = serializers.CharField()
    modality = serializers.CharField(allow_null=True, help_text="What its dataset holds; null: it needs none.")
    simulator = serializers.BooleanField(help_text="It trains nothing.")
    config = serializers.DictField(help_text="JSON schema of the configuration.")


class StatsSerializer(serializers.Serializer):
    jobs = serializers.DictField(child=serializers.IntegerField(), help_text="Status → how many.")
    active = serializers.IntegerField()
    slots_free = serializers.IntegerField()
    slots_busy = serializers.IntegerField()
    week = serializers.DictField(help_text="Figures of the last seven days.")
