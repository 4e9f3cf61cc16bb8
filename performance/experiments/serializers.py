"""Experiments as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.numbers import finite
from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from performance.experiments import overview, planning
from performance.experiments.metrics import Metric
from performance.models import Experiment, Look
from registry import routing


class ExperimentArmInput(Input):
    version = IdField()
    weight = WholeField(
        required=False, allow_null=True, default=None, min_value=1, max_value=planning.MOST_WEIGHT,
        help_text="Its share of the keys, in parts of all weights; 1 when left out.",
    )  # fmt: skip
    name = TextField(required=False, allow_blank=True, default="", max_length=50)


def _limited(name: str) -> WholeField:
    low, high = planning.LIMITS[name]
    return WholeField(
        required=False, min_value=low, max_value=high, help_text=f"{planning.DEFAULTS[name]:,} when left out."
    )


class ExperimentInput(Input):
    model = IdField()
    kind = serializers.ChoiceField(choices=Experiment.Kind.choices, required=False, default=Experiment.Kind.AB.value)
    arms = ExperimentArmInput(
        many=True, max_length=planning.MOST_VARIANTS + 1, help_text="The versions; the control's may be among them."
    )
    control = IdField(required=False, allow_null=True, help_text="A version's id; the champion when left out.")
    metric = serializers.ChoiceField(choices=Metric.choices, required=False, default=Metric.CORRECT.value)
    name = TextField(required=False, allow_blank=True, default="")
    higher_is_better = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Of feedback; known of everything else."
    )
    expected = _limited("expected")
    minimum = _limited("minimum")
    max_days = _limited("max_days")
    alpha = FiniteFloatField(required=False, min_value=0.001, max_value=0.2, help_text="0.05 when left out.")
    margin = FiniteFloatField(
        required=False, min_value=0, max_value=1e12,
        help_text="Differences below this matter to nobody; 0.01 of shares, else 0.",
    )  # fmt: skip


class ExperimentReasonInput(Input):
    reason = TextField(required=False, allow_blank=True, default="", max_length=300)


class ExperimentsQuery(Input):
    model = IdField(required=False)
    status = serializers.ChoiceField(choices=Experiment.Status.choices, required=False)


class ExperimentSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    model_name = serializers.CharField(source="model.name")
    winner = serializers.IntegerField(
        source="winner.version_id", default=None, allow_null=True, help_text="The version that won."
    )
    started_by = serializers.CharField(source="started_by.username", default=None, allow_null=True)

    class Meta:
        model = Experiment
        fields = [
            "id", "name", "model", "model_name", "kind", "metric", "higher_is_better", "expected", "minimum",
            "max_days", "alpha", "margin", "status", "verdict", "words", "winner", "started_by", "started_at",
            "ended_at", "looked_at",
        ]  # fmt: skip
        read_only_fields = fields


class ExperimentFindingSerializer(serializers.Serializer):
    theirs = serializers.IntegerField(help_text="Of the control: keys, or requests without key, with outcomes.")
    ours = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True, help_text="The difference: this arm's figure less the control's.")
    low = serializers.FloatField(allow_null=True, help_text="Of the interval that holds at all looks together.")
    high = serializers.FloatField(allow_null=True)
    p_value = serializers.FloatField(allow_null=True, help_text="The one that goes with the interval.")
    fixed_p_value = serializers.FloatField(allow_null=True, help_text="Of the test of a fixed sample: to read alone.")
    test = serializers.CharField()
    verdict = serializers.ChoiceField(choices=Experiment.Verdict.choices)
    more = serializers.IntegerField(allow_null=True, help_text="About how many more outcomes would tell.")


class ExperimentArmSerializer(serializers.Serializer):
    version = serializers.IntegerField()
    number = serializers.IntegerField()
    name = serializers.CharField()
    control = serializers.BooleanField()
    shadow = serializers.BooleanField()
    weight = serializers.IntegerField()
    can_answer = serializers.BooleanField(help_text="Where it can't, the control does, and that counts for nobody.")
    withdrawn_at = serializers.DateTimeField(allow_null=True, help_text="When it did harm and was taken out.")
    answers = serializers.IntegerField()
    outcomes = serializers.IntegerField()
    figure = serializers.FloatField(allow_null=True)
    dropped = serializers.IntegerField(help_text="Of a shadow: inputs that it never got.")
    failed = serializers.IntegerField(help_text="Of a shadow: inputs that it could not answer.")
    compared = serializers.IntegerField(help_text="Of a shadow: pairs of answers to the same input.")
    agreed = serializers.IntegerField(help_text="Of these, with the same answer.")
    finding = ExperimentFindingSerializer(allow_null=True, help_text="Of the last look; null of the control.")


class ExperimentResultsSerializer(ExperimentSerializer):
    arms = ExperimentArmSerializer(many=True)
    ratio_p_value = serializers.FloatField(allow_null=True, help_text="That keys were divided by the weights.")
    trusted = serializers.BooleanField(allow_null=True)

    class Meta(ExperimentSerializer.Meta):
        fields = [*ExperimentSerializer.Meta.fields, "arms", "ratio_p_value", "trusted"]
        read_only_fields = fields


FINDING = tuple(ExperimentFindingSerializer().fields)


def results(row: Experiment) -> dict[str, Any]:
    """An experiment with all that is known of it."""
    last = Look.objects.filter(experiment=row).first()
    shown = dict(ExperimentSerializer(row).data)
    shown["arms"] = [_arm(standing) for standing in overview.standings(row, last)]
    return finite(shown | {"ratio_p_value": last and last.ratio_p_value, "trusted": overview.trusted(last)})


def _arm(standing: overview.Standing) -> dict[str, Any]:
    arm, found = standing.arm, standing.found
    return {
        "version": arm.version_id,
        "number": arm.version.number,
        "name": arm.name,
        "control": arm.control,
        "shadow": arm.shadow,
        "weight": arm.weight,
        "can_answer": routing.answers(arm),
        "withdrawn_at": arm.withdrawn_at,
        "answers": overview.answers_of(arm),
        "outcomes": arm.sums.outcomes,
        "figure": arm.sums.figure,
        "dropped": arm.dropped,
        "failed": arm.failed,
        "compared": arm.sums.compared,
        "agreed": arm.sums.agreed,
        "finding": {name: found[name] for name in FINDING} if found else None,
    }
