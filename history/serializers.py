"""Sessions as the API shows and takes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date
from rest_framework import serializers

from common.numbers import INT_MAX, finite
from common.pagination import Pages
from common.serializers import FiniteFloatField, Input, MomentField, TextField, WholeField
from common.wording import moment_utc
from history import notes, reported
from history.models import EARLIEST, Session
from jobs.creation import CLOCKS_DIFFER


class SessionSerializer(serializers.ModelSerializer):
    user = serializers.IntegerField(source="user_id")
    username = serializers.CharField(source="user.username")
    job = serializers.IntegerField(source="job_id", allow_null=True)
    model_version = serializers.IntegerField(source="model_version_id", allow_null=True)
    subject = serializers.IntegerField(source="subject_id", allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    quality_average = serializers.FloatField(allow_null=True)
    quality_min = serializers.FloatField(allow_null=True)
    quality_max = serializers.FloatField(allow_null=True)
    genres = serializers.ListField(child=serializers.CharField())
    performance_by_model = serializers.DictField()
    genre_distribution = serializers.DictField()
    metrics = serializers.DictField()

    class Meta:
        model = Session
        fields = [
            "id", "session_id", "user", "username", "kind", "name", "recipe", "outcome", "job", "model_version",
            "examples_requested", "examples_successful", "examples_failed", "genres", "stored_in_memory",
            "saved_to_database", "saved_count", "quality_average", "quality_min", "quality_max", "best_model",
            "performance_by_model", "genre_distribution", "total_seconds", "examples_before", "examples_after",
            "fine_tuning_triggered", "metrics", "started_at", "completed_at", "created_at", "subject", "modality",
            "metric", "metric_value", "estimated_seconds", "cost", "currency", "note", "tags", "starred",
        ]  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: Session) -> dict[str, Any]:
        return finite(super().to_representation(instance))


class Quality(serializers.DecimalField):
    """0.0–10.0 with one decimal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=3, decimal_places=1, min_value=0, max_value=10, **options)


class ModelPerformanceInput(Input):
    wins = WholeField(required=False, max_value=INT_MAX)
    average_quality = FiniteFloatField(required=False, allow_null=True)


def _count(**options: Any) -> WholeField:
    return WholeField(required=False, allow_null=True, max_value=INT_MAX, **options)


class RunMoment(MomentField):
    """When a run began or ended: neither in the future nor long before there was anything to run it."""

    default_error_messages = {
        "early": f"Before {EARLIEST.year}: the clock there is wrong.",
        "future": "In the future: by the hub's clock it is {now}. Set the clock there right.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        try:
            moment = super().to_internal_value(value).astimezone(UTC)
        except OverflowError:
            self.fail("early")
        if moment.date() < EARLIEST:
            self.fail("early")
        if moment > timezone.now() + CLOCKS_DIFFER:
            self.fail("future", now=moment_utc(timezone.now()))
        return moment


class SessionInput(Input):
    """A run that a program made by itself. Runs of the hub's own jobs are recorded by the hub."""

    session_id = serializers.UUIDField(required=False, help_text="Sent again with the same values: the same session.")
    kind = serializers.ChoiceField(choices=Session.Kind.choices, required=False, default=Session.Kind.GENERATION)
    name = TextField(required=False, allow_blank=True, default="")
    recipe = TextField(max_length=50, required=False, allow_blank=True, default="")
    outcome = serializers.ChoiceField(choices=["completed", "failed", "cancelled"], required=False, default="completed")
    examples_requested = _count()
    examples_successful = _count()
    examples_failed = _count()
    genres = serializers.ListField(child=TextField(max_length=100), max_length=200, required=False)
    stored_in_memory = serializers.BooleanField(required=False, default=False)
    saved_to_database = serializers.BooleanField(required=False, default=False)
    saved_count = _count()
    quality_average = Quality(required=False, allow_null=True)
    quality_min = Quality(required=False, allow_null=True)
    quality_max = Quality(required=False, allow_null=True)
    best_model = TextField(required=False, allow_blank=True, default="")
    performance_by_model = serializers.DictField(child=ModelPerformanceInput(), required=False)
    genre_distribution = serializers.DictField(child=WholeField(max_value=INT_MAX), required=False)
    total_seconds = FiniteFloatField(required=False, allow_null=True, min_value=0, max_value=1e12)
    examples_before = _count()
    examples_after = _count()
    fine_tuning_triggered = serializers.BooleanField(required=False, default=False)
    metrics = serializers.DictField(child=FiniteFloatField(allow_null=True), required=False)
    started_at = RunMoment()
    completed_at = RunMoment()

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if found := reported.problems(given):
            raise serializers.ValidationError(found)
        return given


class DayOrTime(serializers.DateTimeField):
    """A time, or a day that stands for its first or last moment."""

    def __init__(self, *, last: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.last = last

    def to_internal_value(self, value: Any) -> datetime:
        day = _day(value)
        if day is None:
            return super().to_internal_value(value)
        return datetime.combine(day, time.max if self.last else time.min, UTC)


def _day(value: Any) -> date | None:
    try:
        return parse_date(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


class RangeQuery(Input):
    start = DayOrTime(required=False, default=None, allow_null=True, help_text="A day or a time.")
    end = DayOrTime(last=True, required=False, default=None, allow_null=True, help_text="A day or a time.")


class RecentQuery(Input):
    limit = WholeField(required=False, default=10, min_value=1, max_value=Pages.max_page_size)


class StatisticsSerializer(serializers.Serializer):
    sessions = serializers.IntegerField()
    fine_tuning_sessions = serializers.IntegerField()
    completed = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    examples = serializers.IntegerField(help_text="Trained on or generated.")
    generated_examples = serializers.IntegerField()
    saved_examples = serializers.IntegerField()
    average_quality = serializers.FloatField(allow_null=True, help_text="Null while no session has a quality.")
    total_seconds = serializers.FloatField()


class NoteField(serializers.CharField):
    """A text; a number is none, though it could be written as one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class TagField(NoteField):
    default_error_messages = {"comma": "A tag has no comma: send two tags, or write it in another way."}

    def to_internal_value(self, data: Any) -> str:
        tag = super().to_internal_value(data)
        if "," in tag:
            self.fail("comma")
        return tag


class MarksInput(Input):
    """What people write beside a session."""

    note = NoteField(required=False, allow_blank=True, max_length=notes.NOTE)
    tags = serializers.ListField(child=TagField(max_length=notes.TAG), max_length=notes.TAGS, required=False)
    starred = serializers.BooleanField(required=False)
