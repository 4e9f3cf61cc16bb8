"""Jobs as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from common.numbers import finite
from jobs.models import Attempt, Checkpoint, Dependency, GeneratedExample, Job, JobEvent, JobSample, LogLine
from jobs.needs import DEVICES, MAX_DEVICES
from jobs.reasons import places_of, waiting_reasons

FAILURE = inline_serializer(
    "Failure",
    {"code": serializers.CharField(), "message": serializers.CharField(), "hint": serializers.CharField()},
    allow_null=True,
)


RESOURCES = inline_serializer(
    "Resources",
    {
        "device": serializers.ChoiceField(choices=list(DEVICES), required=False, help_text="any when left out."),
        "devices": serializers.IntegerField(
            min_value=1, max_value=MAX_DEVICES, required=False, help_text="How many, all of one node; 1 when left out."
        ),
        "memory_gib": serializers.FloatField(min_value=0, required=False, help_text="That each device must have."),
        "labels": serializers.ListField(
            child=serializers.CharField(), required=False, help_text="That the node must have, all of them."
        ),
    },
)


@dataclass(frozen=True)
class Beside:
    """What the JSON of jobs shows that is in none of their columns; as many queries for one as for many."""

    reasons: dict[int, str]
    after: dict[int, list[int]]
    running: dict[int, tuple[list[str], str | None]]  # devices of the open attempt, and its node's name

    @classmethod
    def of(cls, jobs: list[Job]) -> Beside:
        needed: dict[int, list[int]] = {}
        rows = Dependency.objects.filter(job__in=[job.pk for job in jobs])
        for job_id, needs_id in rows.order_by("needs_id").values_list("job_id", "needs_id"):
            needed.setdefault(job_id, []).append(needs_id)
        open_ones = Attempt.objects.filter(job__in=[job.pk for job in jobs if job.attempt_started_at])
        attempts = open_ones.filter(ended_at__isnull=True).order_by()
        found = attempts.values_list("job_id", "devices", "slot__node__name")
        return cls(waiting_reasons(jobs), needed, {job_id: (devices, node) for job_id, devices, node in found})


class JobListSerializer(serializers.ListSerializer):
    """Many jobs; the queue is read once for all of them."""

    def to_representation(self, data: Iterable[Job]) -> list[dict[str, Any]]:
        jobs = list(data)
        self.child.beside = Beside.of(jobs)
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
    left_out = serializers.DictField(
        source="dataset_version.left_out", default=dict, child=serializers.IntegerField(),
        help_text="Items of its dataset that did not pass the gates, by reason; the list is at the version.",
    )  # fmt: skip
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    model = serializers.IntegerField(source="model_id", allow_null=True)
    base_version = serializers.IntegerField(source="base_version_id", allow_null=True)
    save_to = serializers.IntegerField(source="save_to_id", allow_null=True)
    schedule = serializers.IntegerField(source="schedule_id", allow_null=True, help_text="That made it.")
    waiting_for = serializers.SerializerMethodField(help_text="Why it waits, in a sentence; empty when it does not.")
    request = serializers.CharField(
        help_text="checkpoint, preempt, pause or cancel while a running job has yet to carry it out."
    )
    devices = serializers.SerializerMethodField(help_text="Those of the running attempt; empty when it does not run.")
    node = serializers.SerializerMethodField(help_text="Where it runs.")
    after = serializers.SerializerMethodField(help_text="Ids of the jobs that it starts after.")
    next_try_at = serializers.SerializerMethodField(help_text="When it is tried again after an attempt that failed.")
    phase_seconds = serializers.DictField(child=serializers.FloatField(), help_text="Phase → longest time in it.")
    metrics = serializers.DictField(help_text="Name → finite number, or null.")
    estimate = serializers.DictField(
        help_text="Made with the job: seconds, low, high, runs; or reason. Price, currency, cost where prices are set."
    )
    config = serializers.DictField()
    resources = serializers.SerializerMethodField()
    figures = serializers.DictField(help_text="Latest use of device, CPU and memory.")
    environment = serializers.DictField(
        help_text="Python, torch, device, threads; libraries: versions by package, of those that the recipe uses."
    )

    class Meta:
        model = Job
        list_serializer_class = JobListSerializer
        fields = [
            "id", "name", "recipe", "status", "phase", "progress", "current_step", "total_steps", "current_epoch",
            "total_epochs", "current_loss", "validation_loss", "rate", "elapsed_seconds", "remaining_seconds",
            "waiting_for", "request", "attempt", "failure", "metrics", "model_version", "owner", "dataset",
            "dataset_version", "left_out", "subject", "model", "base_version", "save_to", "schedule", "config", "seed",
            "priority",
            "preemptible", "resources", "devices", "node", "after", "after_failure", "not_before", "next_try_at",
            "max_seconds", "phase_seconds", "stall_seconds", "figures", "sample", "environment", "estimate",
            "created_at", "queued_at", "started_at", "completed_at",
        ]  # fmt: skip
        read_only_fields = fields

    beside: Beside

    @extend_schema_field(FAILURE)
    def get_failure(self, job: Job) -> dict[str, str] | None:
        if not job.failure_code:
            return None
        return {"code": job.failure_code, "message": job.failure_message, "hint": job.failure_hint}

    @extend_schema_field(RESOURCES)
    def get_resources(self, job: Job) -> dict[str, Any]:
        return job.resources

    def get_waiting_for(self, job: Job) -> str:
        return self.beside.reasons[job.pk]

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_devices(self, job: Job) -> list[str]:
        return self.beside.running.get(job.pk, ([], None))[0]

    def get_node(self, job: Job) -> str | None:
        return self.beside.running.get(job.pk, ([], None))[1]

    @extend_schema_field(serializers.ListField(child=serializers.IntegerField()))
    def get_after(self, job: Job) -> list[int]:
        return self.beside.after.get(job.pk, [])

    def get_next_try_at(self, job: Job) -> datetime | None:
        return job.not_before if job.attempt_number else None

    def to_representation(self, instance: Job) -> dict[str, Any]:
        if not isinstance(self.parent, JobListSerializer):
            self.beside = Beside.of([instance])
        return finite(super().to_representation(instance))


class QueueListSerializer(JobListSerializer):
    """Queued jobs with their places, which are counted once for all of them."""

    def to_representation(self, data: Iterable[Job]) -> list[dict[str, Any]]:
        jobs = list(data)
        self.child.places = places_of([job.pk for job in jobs])
        return super().to_representation(jobs)


class QueuedJobSerializer(JobSerializer):
    place = serializers.SerializerMethodField(help_text="Among the queued jobs of everyone; 1 is the first.")

    class Meta(JobSerializer.Meta):
        list_serializer_class = QueueListSerializer
        fields = ["place", *JobSerializer.Meta.fields]
        read_only_fields = fields

    places: dict[int, int]

    def get_place(self, job: Job) -> int | None:
        place = self.places.get(job.pk)
        return None if place is None else place + 1  # it may have left the queue in this moment


class JobDoneSerializer(serializers.Serializer):
    success = serializers.BooleanField()
    job = JobSerializer()


class RefusedActionSerializer(serializers.Serializer):
    """A job that did not do what was asked."""

    job = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()
    hint = serializers.CharField()


class QueueDoneSerializer(serializers.Serializer):
    done = serializers.ListField(child=serializers.IntegerField(), help_text="Ids of the jobs that did it.")
    refused = RefusedActionSerializer(many=True)


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


class ExampleSerializer(serializers.ModelSerializer):
    item = serializers.IntegerField(source="item_id", allow_null=True, help_text="In the job's dataset, once saved.")
    score = serializers.FloatField(allow_null=True)
    candidates = serializers.ListField(child=serializers.DictField())

    class Meta:
        model = GeneratedExample
        fields = [
            "step", "genre", "prompt", "kept", "winner", "score", "text", "reason", "candidates", "item", "at",
        ]  # fmt: skip
        read_only_fields = fields


class SampleSerializer(serializers.ModelSerializer):
    kind = serializers.CharField(help_text="text or image.")
    picture = serializers.SerializerMethodField(help_text="Where a picture is; null for a text.")

    class Meta:
        model = JobSample
        fields = ["step", "kind", "text", "picture", "at"]
        read_only_fields = fields

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_picture(self, sample: JobSample) -> str | None:
        return reverse("api-job-sample", args=[sample.job_id, sample.step]) if sample.kind == "image" else None


COMPARISON = inline_serializer(
    "JobComparison",
    {
        "earlier": serializers.IntegerField(help_text="The job that it runs again."),
        "metrics": serializers.ListField(child=serializers.DictField(), help_text="name, before, after, same."),
        "same_metrics": serializers.BooleanField(),
        "files": serializers.IntegerField(help_text="Of both results, by name."),
        "different_files": serializers.ListField(child=serializers.CharField(), help_text="By their SHA-256."),
        "same_files": serializers.BooleanField(),
        "different_environment": serializers.ListField(
            child=serializers.DictField(), help_text="name, before, after: of libraries, device, threads."
        ),
    },
    allow_null=True,
)


class JobComparedSerializer(serializers.Serializer):
    comparison = serializers.SerializerMethodField(help_text="Null unless it runs another again and both completed.")

    @extend_schema_field(COMPARISON)
    def get_comparison(self, found: Any) -> Any:
        return found


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


class AttemptSerializer(serializers.ModelSerializer):
    node = serializers.CharField(
        source="slot.node.name", default=None, allow_null=True, help_text="Null when it has been forgotten."
    )
    devices = serializers.ListField(child=serializers.CharField())
    outcome = serializers.CharField(help_text="Empty while it runs.")
    first_step = serializers.IntegerField(allow_null=True, help_text="The step that it went on from.")

    class Meta:
        model = Attempt
        fields = ["number", "node", "devices", "started_at", "ended_at", "outcome", "code", "reason", "first_step"]
