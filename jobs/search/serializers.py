"""Searches as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.numbers import BIGINT_MAX, finite
from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from datasets.freezing.splits import RULES
from datasets.serializers import SplitKeyField
from engine.catalogue import RECIPES
from jobs.inputs import PriorityField, ResourcesField
from jobs.models import Search, Trial
from jobs.search.verbs import MOST_AT_ONCE, MOST_TRIALS

SPACE_HELP = 'Setting → {"low": 0.0001, "high": 0.01, "log": true} or {"values": [16, 32, 64]}.'


@extend_schema_field({"type": "object", "additionalProperties": {"type": "object"}, "description": SPACE_HELP})
class SpaceField(serializers.DictField):
    """Checked as a whole by `jobs.search.space`."""


class SearchInput(Input):
    recipe = serializers.ChoiceField(choices=list(RECIPES))
    space = SpaceField(help_text=SPACE_HELP)
    name = TextField(required=False, allow_blank=True, default="")
    config = serializers.DictField(required=False, help_text="The settings that all trials share.")
    dataset = IdField(required=False, allow_null=True, help_text="Is frozen once, into a version for all trials.")
    dataset_version = IdField(required=False, allow_null=True, help_text="Instead of a dataset.")
    base_version = IdField(required=False, allow_null=True)
    trials = WholeField(required=False, default=20, min_value=1, max_value=MOST_TRIALS)
    at_once = WholeField(required=False, default=2, min_value=1, max_value=MOST_AT_ONCE)
    metric = TextField(required=False, max_length=100, help_text="The recipe's own goal when left out.")
    higher_is_better = serializers.BooleanField(required=False, help_text="Of the metric that you name: needed there.")
    prune = serializers.BooleanField(required=False, default=True, help_text="End trials early that fall behind.")
    sampler = serializers.ChoiceField(choices=Search.Sampler.choices, required=False, default=Search.Sampler.TPE.value)
    seed = WholeField(required=False, default=0, max_value=BIGINT_MAX)
    priority = PriorityField(required=False, default=0)
    resources = ResourcesField(required=False)
    validation_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0.1 when left out.")
    test_fraction = FiniteFloatField(required=False, allow_null=True, help_text="0 when left out.")
    split_by = serializers.ChoiceField(choices=RULES, required=False, allow_null=True)
    split_key = SplitKeyField(required=False, allow_null=True)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if given.get("dataset") and given.get("dataset_version"):
            raise serializers.ValidationError({"dataset": "Give a dataset or a dataset_version, not both."})
        return given


class MoreInput(Input):
    trials = WholeField(min_value=1, max_value=MOST_TRIALS)
    at_once = WholeField(
        required=False, allow_null=True, min_value=1, max_value=MOST_AT_ONCE,
        help_text="How many run at a time from now on; as before when left out.",
    )  # fmt: skip


class TrialSerializer(serializers.ModelSerializer):
    job = serializers.IntegerField(source="job_id", allow_null=True)
    job_status = serializers.CharField(source="job.status", default=None, allow_null=True)

    class Meta:
        model = Trial
        fields = ["number", "state", "params", "value", "job", "job_status", "reason", "created_at"]


class SearchSerializer(serializers.ModelSerializer):
    owner = serializers.CharField(source="owner.username")
    dataset_version = serializers.IntegerField(source="dataset_version_id", allow_null=True)
    base_version = serializers.IntegerField(source="base_version_id", allow_null=True)
    trials = serializers.SerializerMethodField(help_text="How many are in each state.")
    best = serializers.SerializerMethodField(help_text="The best trial so far.")
    version = serializers.IntegerField(source="version_id", allow_null=True, help_text="Made of the best trial.")

    class Meta:
        model = Search
        fields = [
            "id", "name", "owner", "recipe", "status", "reason", "space", "config", "metric", "higher_is_better",
            "wanted", "at_once", "prune", "sampler", "seed", "priority", "resources", "dataset_version", "base_version",
            "trials", "best", "version", "importances", "created_at", "ended_at",
        ]  # fmt: skip

    def get_trials(self, search: Search) -> dict[str, int]:
        counts = getattr(search, "counts", {})
        return {state: counts.get(state, 0) for state in Trial.State.values}

    def get_best(self, search: Search) -> dict[str, Any] | None:
        best = search.best
        return best and {"number": best.number, "value": finite(best.value), "params": best.params, "job": best.job_id}
