"""Templates and schedules as the API shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.numbers import BIGINT_MAX, finite
from common.serializers import FiniteFloatField, IdField, Input, MomentField, TextField, WholeField
from datasets.freezing.splits import RULES
from datasets.serializers import SplitKeyField
from jobs import schedules
from jobs.creation import MAX_NEEDED
from jobs.inputs import NewJobInput, PriorityField, ResourcesField
from jobs.models import AfterFailure, JobTemplate, Schedule, ScheduleEvent
from jobs.rules import DAYS, KINDS, MAX_EXPRESSION

RULE_HELP = (
    'One of {"kind": "every", "minutes": 90, "from": a time}, {"kind": "daily", "at": "02:30"}, '
    '{"kind": "weekdays", "at": "02:30"}, {"kind": "weekly", "days": ["mon"], "at": "02:30"}, '
    '{"kind": "monthly", "day": 31, "at": "02:30"} (or the last day) and '
    '{"kind": "cron", "expression": "30 2 * * MON-FRI"}.'
)


NAMED = "config.<setting> for one of the recipe's settings, else as in a request: dataset, seed, base_version, …"
MOST_RULES = 200


class RequestInput(NewJobInput):
    """What a job is asked for, without times and jobs to wait for."""

    not_before = None
    after = None
    after_failure = None
    prompts_from = None  # a kept request has the prompts themselves
    name = TextField(
        required=False, allow_blank=True, default="", help_text="{date}, {time} and {number} are filled in."
    )
    dataset = IdField(required=False, allow_null=True, help_text="Is frozen anew for each job.")


@extend_schema_field(
    {
        "type": "object",
        "required": ["kind"],
        "properties": {
            "kind": {"type": "string", "enum": list(KINDS)},
            "minutes": {"type": "integer", "minimum": 1},
            "from": {"type": "string", "format": "date-time"},
            "at": {"type": "string", "example": "02:30"},
            "days": {"type": "array", "items": {"type": "string", "enum": list(DAYS)}},
            "day": {"type": "integer", "minimum": 1, "maximum": 31},
            "expression": {"type": "string", "maxLength": MAX_EXPRESSION},
        },
    }
)
class RuleField(serializers.DictField):
    """Checked as a whole by `jobs.rules`."""


class RuledField(serializers.ListField):
    """Names of values, as errors of a request name them. Which there are depends on the recipe."""

    child = TextField()

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, max_length=MOST_RULES, **options)


class TemplateInput(Input):
    name = TextField()
    required = RuledField(help_text=f"What whoever starts from it must give anew. {NAMED}")
    locked = RuledField(help_text="What stays as the template has it.")
    request = RequestInput(required=False, help_text="What its jobs are asked for.")
    job = IdField(required=False, help_text="Instead of a request: take that of this job.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("request" in given) == ("job" in given):
            raise serializers.ValidationError({"request": "Give a request or a job, one of the two."})
        return given


class TemplateChangeInput(Input):
    name = TextField(required=False)
    request = RequestInput(required=False, help_text="Replaces the whole request.")
    required = RuledField(help_text="Replaces the whole list.")
    locked = RuledField(help_text="Replaces the whole list.")


class TemplateStartInput(Input):
    """What one job of a template gets in place of the template's own."""

    name = TextField(required=False)
    config = serializers.DictField(required=False, help_text="Only the settings that differ.")
    dataset = IdField(required=False)
    dataset_version = IdField(required=False)
    subject = IdField(required=False)
    model = IdField(required=False)
    base_version = IdField(required=False)
    save_to = IdField(required=False)
    validation_fraction = FiniteFloatField(required=False)
    test_fraction = FiniteFloatField(required=False)
    split_by = serializers.ChoiceField(choices=RULES, required=False)
    split_key = SplitKeyField(required=False)
    seed = WholeField(required=False, max_value=BIGINT_MAX)
    priority = PriorityField(required=False)
    resources = ResourcesField(required=False)
    preemptible = serializers.BooleanField(required=False, allow_null=True, default=None)
    max_seconds = FiniteFloatField(required=False)
    stall_seconds = FiniteFloatField(required=False)
    not_before = MomentField(required=False, allow_null=True)
    after = serializers.ListField(child=IdField(), required=False, max_length=MAX_NEEDED)
    after_failure = serializers.ChoiceField(choices=AfterFailure.choices, required=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("dataset") and given.get("dataset_version"):
            raise serializers.ValidationError({"dataset": "Give a dataset or a dataset_version, not both."})
        return given


class TemplateSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")
    request = serializers.DictField()
    required = serializers.ListField(child=serializers.CharField(), help_text="What must be given anew.")
    locked = serializers.ListField(child=serializers.CharField(), help_text="What can't be changed.")

    class Meta:
        model = JobTemplate
        fields = ["id", "name", "owner", "request", "required", "locked", "created_at", "updated_at"]

    def to_representation(self, instance: JobTemplate) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class SourceInput(Input):
    template = IdField(required=False, help_text="A template, used as it is at each time.")
    request = RequestInput(required=False, help_text="Instead of a template.")
    job = IdField(required=False, help_text="Instead of both: take the request of this job.")
    overlap = serializers.ChoiceField(
        choices=Schedule.Overlap.choices, required=False, help_text="What happens while an earlier job has not ended."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if len({"template", "request", "job"} & set(given)) > 1:
            raise serializers.ValidationError({"template": "Give a template, a request or a job, one of these."})
        return given


class ScheduleInput(SourceInput):
    name = TextField()
    rule = RuleField(help_text=RULE_HELP)
    zone = TextField(max_length=64, help_text="An IANA time zone, such as Europe/Berlin.")
    enabled = serializers.BooleanField(required=False, default=True)


class ScheduleChangeInput(SourceInput):
    name = TextField(required=False)
    rule = RuleField(required=False, help_text=RULE_HELP)
    zone = TextField(required=False, max_length=64)


class PreviewInput(Input):
    rule = RuleField(help_text=RULE_HELP)
    zone = TextField(max_length=64)


class PreviewSerializer(serializers.Serializer):
    words = serializers.CharField()
    times = serializers.ListField(child=serializers.DateTimeField(), help_text="The next five, in the rule's zone.")


class ScheduleSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")
    template = serializers.IntegerField(source="template_id", allow_null=True)
    request = serializers.DictField(help_text="Its own; empty where it has a template.")
    rule = RuleField()
    words = serializers.SerializerMethodField(help_text="The rule in words.")
    next_times = serializers.SerializerMethodField(help_text="The next five; none while it is paused.")
    last_job = serializers.IntegerField(source="last_job_id", allow_null=True)
    last_error = serializers.CharField(help_text="Why its last time made no job; empty when it made one.")

    class Meta:
        model = Schedule
        fields = [
            "id", "name", "owner", "enabled", "template", "request", "rule", "zone", "words", "overlap", "next_at",
            "next_times", "last_at", "last_job", "last_error", "failures_in_a_row", "runs", "created_at", "updated_at",
        ]  # fmt: skip

    def get_words(self, schedule: Schedule) -> str:
        return schedules.in_words(schedule)

    @extend_schema_field(serializers.ListField(child=serializers.DateTimeField()))
    def get_next_times(self, schedule: Schedule) -> list[datetime]:
        return schedules.next_times(schedule)

    def to_representation(self, instance: Schedule) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class ScheduleEventSerializer(serializers.ModelSerializer):
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    job = serializers.IntegerField(source="job_id", allow_null=True)

    class Meta:
        model = ScheduleEvent
        fields = ["at", "kind", "due", "job", "actor", "message"]
