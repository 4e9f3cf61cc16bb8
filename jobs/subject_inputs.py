"""Subjects that can be trained, as the API asks for, shows and starts them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from datasets.freezing.splits import RULES
from datasets.serializers import SplitKeyField
from engine.catalogue import RECIPES
from jobs.candidates import Candidate
from jobs.estimates import Estimate, about
from jobs.inputs import PriorityField, ResourcesField
from jobs.starting import AT_ONCE, Started

ORDERINGS = ["name", "responses", "words", "categories", "hours", "quality", "newest", "seconds"]


class EstimateSerializer(serializers.Serializer):
    """How long a job will take on its devices, and what it will cost."""

    seconds = serializers.FloatField(allow_null=True, help_text="Null: no past run to compare with.")
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True, help_text="Most runs end between low and high.")
    runs = serializers.IntegerField(help_text="Of the past that it was made from.")
    reason = serializers.CharField(help_text="Why there is none; empty when there is one.")
    device = serializers.CharField()
    devices = serializers.IntegerField()
    cost = serializers.FloatField(allow_null=True, help_text="Null where no price is set.")
    currency = serializers.CharField()
    words = serializers.CharField(help_text="As pages say it.")
    memory = serializers.IntegerField(allow_null=True, help_text="Bytes; null where it is not known.")
    measured = serializers.BooleanField(help_text="By a trial, and not by runs of the past.")


def estimate_json(guess: Estimate) -> dict[str, Any]:
    names = ("seconds", "low", "high", "runs", "reason", "device", "devices", "cost", "currency", "memory", "measured")
    return {name: getattr(guess, name) for name in names} | {"words": str(guess)}


class EligibleQuery(Input):
    policy = TextField(required=False, default="", help_text="Id or name; empty: the one for each subject's kind.")
    recipe = serializers.ChoiceField(choices=list(RECIPES), required=False, default="text-generation")
    eligible = serializers.BooleanField(required=False, allow_null=True, default=None)
    ready = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="Eligible, and a job of the recipe can start now."
    )
    kind = TextField(max_length=50, required=False, default="")
    search = TextField(required=False, default="", help_text="Part of the name.")
    ordering = serializers.ChoiceField(
        choices=[*ORDERINGS, *(f"-{name}" for name in ORDERINGS)], required=False, default="name"
    )
    page = WholeField(required=False, default=1, min_value=1)
    page_size = WholeField(required=False, default=50, min_value=1, max_value=200)


class CandidateSerializer(serializers.Serializer):
    id = serializers.IntegerField(source="subject.pk")
    name = serializers.CharField(source="subject.name")
    kind = serializers.CharField(source="subject.kind")
    eligible = serializers.BooleanField()
    reasons = serializers.ListField(child=serializers.CharField(), help_text="Why it is not eligible.")
    ready = serializers.BooleanField(help_text="Eligible, and a job of the recipe can start now.")
    obstacle = serializers.CharField(help_text="What is in the way of a job besides the policy; may be empty.")
    policy = serializers.CharField(source="policy.name")
    dataset = serializers.IntegerField(source="dataset.pk", default=None, allow_null=True)
    items = serializers.IntegerField(source="figures.items")
    responses = serializers.IntegerField(source="figures.responses", help_text="Items; of tables their rows.")
    words = serializers.IntegerField(source="figures.words")
    categories = serializers.IntegerField(source="figures.categories")
    hours = serializers.FloatField(source="figures.hours")
    quality = serializers.FloatField(source="figures.quality", allow_null=True, help_text="0–100; null: not checked.")
    newest = serializers.DateTimeField(source="figures.newest", allow_null=True)
    estimate = serializers.SerializerMethodField()

    @extend_schema_field(EstimateSerializer)
    def get_estimate(self, candidate: Candidate) -> dict[str, Any]:
        return estimate_json(candidate.estimate)


class CandidatePageSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    eligible_count = serializers.IntegerField(help_text="Of all that the filters but `eligible` and `ready` let pass.")
    results = CandidateSerializer(many=True)


class StartInput(Input):
    subjects = serializers.ListField(
        child=IdField(), required=False, max_length=AT_ONCE, help_text=f"Ids, at most {AT_ONCE}."
    )
    subject = IdField(required=False, help_text="One id, instead of `subjects`.")
    recipe = serializers.ChoiceField(choices=list(RECIPES), required=False, help_text="May come from the template.")
    config = serializers.DictField(required=False, help_text="What is left out has the template's values, or defaults.")
    template = IdField(required=False, allow_null=True, help_text="A template of jobs.")
    policy = TextField(required=False, default="", help_text="Id or name; empty: the one for each subject's kind.")
    validation_fraction = FiniteFloatField(required=False, allow_null=True)
    test_fraction = FiniteFloatField(required=False, allow_null=True)
    split_by = serializers.ChoiceField(choices=list(RULES), required=False)
    split_key = SplitKeyField(required=False)
    seed = WholeField(required=False, allow_null=True)
    priority = PriorityField(required=False)
    resources = ResourcesField(required=False)
    preemptible = serializers.BooleanField(required=False)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if bool(given.get("subjects")) == ("subject" in given):
            raise serializers.ValidationError({"subjects": "Give a list of subjects, or one subject."})
        return given


class StartedSerializer(serializers.Serializer):
    subject = serializers.IntegerField(source="subject.pk")
    name = serializers.CharField(source="subject.name")
    job = serializers.IntegerField(source="job.pk", default=None, allow_null=True)
    created = serializers.BooleanField(help_text="False for the job that the same key made before.")
    code = serializers.SerializerMethodField(help_text="Empty when there is a job.")
    message = serializers.SerializerMethodField(help_text="Why there is none.")
    hint = serializers.SerializerMethodField()

    def get_code(self, started: Started) -> str:
        return started.problem.code if started.problem else ""

    def get_message(self, started: Started) -> str:
        return started.problem.message if started.problem else ""

    def get_hint(self, started: Started) -> str:
        return started.problem.hint if started.problem else ""


class StartResultSerializer(serializers.Serializer):
    started = serializers.IntegerField(help_text="Subjects that have a job.")
    refused = serializers.IntegerField()
    results = StartedSerializer(many=True)


class EstimateInput(Input):
    recipe = serializers.ChoiceField(choices=list(RECIPES))
    config = serializers.DictField(required=False)
    dataset = IdField(required=False, allow_null=True)
    dataset_version = IdField(required=False, allow_null=True)
    examples = WholeField(
        required=False, allow_null=True, min_value=1, help_text="To train on, without a dataset; rows of tables."
    )
    base_version = IdField(required=False, allow_null=True, help_text="The version that the run would start from.")
    subjects = serializers.ListField(child=IdField(), required=False, max_length=AT_ONCE)
    validation_fraction = FiniteFloatField(required=False, default=0.1, min_value=0, max_value=0.99)
    resources = ResourcesField(required=False)
    measure = serializers.BooleanField(
        required=False, default=False, help_text="Take a few steps first, on a sample of the data: up to a minute."
    )


class MeasuredSerializer(serializers.Serializer):
    """What a few steps took. `message` and `hint` say why they could not be taken, or why the run would not fit."""

    items = serializers.IntegerField(help_text="Of the sample.")
    seconds_per_step = serializers.FloatField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True, help_text="Of the machine.")
    device_memory_bytes = serializers.IntegerField(allow_null=True, help_text="Of the GPU.")
    checkpoint_bytes = serializers.IntegerField(allow_null=True)
    parameters = serializers.IntegerField(allow_null=True)
    fits = serializers.BooleanField(help_text="False: it needs more memory than the device has.")
    message = serializers.CharField()
    hint = serializers.CharField()


class EstimatedSerializer(EstimateSerializer):
    """For `subjects`: the sums of those that can be estimated, and each one's. With `measure`: what a trial found."""

    trial = MeasuredSerializer(required=False)

    subjects = serializers.DictField(child=EstimateSerializer(), required=False, help_text="Id → estimate.")


def summed(found: list[Candidate]) -> dict[str, Any]:
    """The estimates of many: their sums, and each one's. Jobs may run side by side: it is time on devices."""
    known = [one.estimate for one in found if one.estimate.seconds is not None]
    costs = [guess.cost for guess in known if guess.cost is not None]
    total: dict[str, Any] = estimate_json(found[0].estimate if found else Estimate())
    if known:
        total |= {name: sum(getattr(guess, name) for guess in known) for name in ("seconds", "low", "high")}
        total |= {"runs": known[0].runs, "reason": "", "cost": sum(costs) if costs else None}
        total["words"] = f"about {about(total['seconds'])} on devices for {len(known):,} of {len(found):,} subjects"
    return total | {"subjects": {str(one.subject.pk): estimate_json(one.estimate) for one in found}}
