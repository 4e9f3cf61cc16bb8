"""Jobs as the API takes them: bodies and queries. What they mean is checked by the verbs."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, inline_serializer
from rest_framework import serializers

from common.errors import InvalidInputError
from common.numbers import BIGINT_MAX
from common.serializers import FiniteFloatField, IdField, Input, MomentField, TextField, WholeField
from datasets.freezing.splits import RULES
from datasets.serializers import SplitKeyField
from engine.catalogue import RECIPES
from engine.recipes.generate.config import MOST_PROMPTS
from jobs import logs
from jobs.batch import ACTIONS, AT_ONCE, PRIORITY
from jobs.creation import MAX_NEEDED
from jobs.limits import LIMITED_PHASES
from jobs.models import AfterFailure
from jobs.places import Move
from jobs.priorities import LEVELS, read_priority
from jobs.serializers import RESOURCES
from jobs.states import MAX_PRIORITY


@extend_schema_field(
    {
        "oneOf": [
            {"type": "integer", "minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY},
            {"type": "string", "enum": list(LEVELS)},
        ]
    }
)
class PriorityField(serializers.Field):
    """A number or the name of a level."""

    def to_internal_value(self, data: Any) -> int:
        try:
            return read_priority(data)
        except InvalidInputError as error:
            raise serializers.ValidationError(f"{error.message} {error.hint}") from None

    def to_representation(self, value: int) -> int:
        return value


@extend_schema_field(RESOURCES)
class ResourcesField(serializers.DictField):
    """Checked as a whole by `jobs.needs`."""


@extend_schema_field(
    inline_serializer("PhaseSeconds", {phase.value: serializers.FloatField(required=False) for phase in LIMITED_PHASES})
)
class PhaseSecondsField(serializers.DictField):
    child = FiniteFloatField(allow_null=True)


class PromptsFromInput(Input):
    """Where prompts come from that a run asks its generators."""

    template = IdField(help_text="A template of training sheets; its prompt is rendered.")
    sheet = IdField(
        required=False,
        help_text="A dataset of tables; left out: the one that the template was used for last.",
    )
    limit = WholeField(
        required=False, min_value=1, max_value=MOST_PROMPTS, help_text="At most so many, from the first row on."
    )


class NewJobInput(Input):
    recipe = serializers.ChoiceField(choices=list(RECIPES))
    dataset = IdField(required=False, allow_null=True, help_text="Is frozen into a version first.")
    dataset_version = IdField(required=False, allow_null=True, help_text="Instead of a dataset.")
    name = TextField(required=False, allow_blank=True, default="", help_text="Empty: made from recipe and data.")
    config = serializers.DictField(required=False, help_text="See GET training/recipes; what is left out has defaults.")
    validation_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0.1 when left out.")
    test_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0 when left out.")
    split_by = serializers.ChoiceField(
        choices=RULES, required=False, allow_null=True, help_text="How the data are split; by content when left out."
    )
    split_key = SplitKeyField(required=False, allow_null=True)
    seed = WholeField(required=False, allow_null=True, max_value=BIGINT_MAX)
    priority = PriorityField(required=False, default=0, help_text="Higher runs first; normal is 0.")
    subject = IdField(required=False, allow_null=True)
    model = IdField(required=False, allow_null=True, help_text="The line that the version goes to; empty: a new one.")
    base_version = IdField(required=False, allow_null=True)
    save_to = IdField(
        required=False, allow_null=True, help_text="The dataset that takes the examples of a run which generates."
    )
    prompts_from = PromptsFromInput(
        required=False, help_text="In place of the setting prompts, which is filled in when the job is made."
    )
    resources = ResourcesField(required=False, help_text="What it needs of a node; any device when left out.")
    preemptible = serializers.BooleanField(
        required=False, default=False, help_text="Gives way, at a checkpoint, to a higher priority."
    )
    not_before = MomentField(required=False, allow_null=True, default=None, help_text="Starts then at the earliest.")
    after = serializers.ListField(
        child=IdField(), required=False, max_length=MAX_NEEDED, help_text="Ids of jobs that it starts after."
    )
    after_failure = serializers.ChoiceField(
        choices=AfterFailure.choices,
        required=False,
        default=AfterFailure.CANCEL.value,
        help_text="What becomes of it when one of these fails or is cancelled.",
    )
    max_seconds = FiniteFloatField(
        required=False, allow_null=True, default=None, help_text="Longest running time, over all attempts."
    )
    phase_seconds = PhaseSecondsField(required=False, help_text="Longest time in a phase.")
    stall_seconds = FiniteFloatField(
        required=False, allow_null=True, default=None, help_text="Longest time without progress."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("dataset") and given.get("dataset_version"):
            raise serializers.ValidationError({"dataset": "Give a dataset or a dataset_version, not both."})
        return given


class JobChangeInput(Input):
    name = TextField(required=False)
    priority = PriorityField(required=False)
    preemptible = serializers.BooleanField(required=False)
    max_seconds = FiniteFloatField(
        required=False, allow_null=True, help_text="Longest running time, over all attempts; null: no limit."
    )
    phase_seconds = PhaseSecondsField(required=False, help_text="Replaces all limits of phases.")
    stall_seconds = FiniteFloatField(
        required=False, allow_null=True, help_text="Longest time without progress; null: as the server has it."
    )


class CancelInput(Input):
    reason = TextField(max_length=500, required=False, allow_blank=True, default="")


class MoveInput(Input):
    where = serializers.ChoiceField(choices=[move.value for move in Move])


class QueueInput(Input):
    action = serializers.ChoiceField(choices=ACTIONS)
    ids = serializers.ListField(child=IdField(), min_length=1, max_length=AT_ONCE, help_text="Of jobs.")
    value = PriorityField(required=False, help_text="The new priority, for the action `priority`.")
    reason = TextField(
        max_length=500, required=False, allow_blank=True, default="", help_text="For the action `cancel`."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["action"] == PRIORITY and "value" not in given:
            raise serializers.ValidationError({"value": "Say which priority the jobs get."})
        return given


class StatusQuery(Input):
    job_id = IdField()


class MetricsQuery(Input):
    name = TextField(max_length=100, required=False, default="", help_text="Empty: which metrics there are, or all.")
    from_step = WholeField(required=False, default=None, allow_null=True)
    to_step = WholeField(required=False, default=None, allow_null=True)
    max_points = WholeField(
        required=False, default=1000, min_value=2, max_value=10_000, help_text="Thinned; extremes are kept."
    )
    format = serializers.ChoiceField(choices=["json", "csv"], required=False, default="json")


class LogsQuery(Input):
    after = WholeField(required=False, default=0, help_text="Lines with a higher number.")
    limit = WholeField(required=False, default=500, min_value=1, max_value=1000)
    search = TextField(required=False, allow_blank=True, default="")
    level = serializers.ChoiceField(
        choices=list(logs.LEVELS), required=False, default="", help_text="Lines of this level and worse ones."
    )
    format = serializers.ChoiceField(choices=["json", "text"], required=False, default="json")
