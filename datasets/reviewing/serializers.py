"""Reviews and gates as the API shows and takes them."""

from __future__ import annotations

from rest_framework import serializers

from common.serializers import IdField, Input, TextField, WholeField
from datasets.gating.gates import REASONS
from datasets.gating.switches import MAX_APPROVALS
from datasets.models import Dataset, GovernanceDecision, GovernanceRule, Item, Modality, Reviewer
from datasets.reviewing.reviews import MAX_REASON, VERDICTS

VOTES_AT_ONCE = 500


class ReviewItemSerializer(serializers.ModelSerializer):
    round = serializers.IntegerField(source="review_round", help_text="Send it with the vote.")

    class Meta:
        model = Item
        fields = ["id", "name", "label", "caption", "content", "media_type", "bytes", "review", "round"]
        read_only_fields = fields


class ReviewQuery(Input):
    limit = WholeField(required=False, default=20, min_value=1, max_value=200)
    after = WholeField(required=False, default=0, help_text="The id of the item that was looked at last.")


class ReviewSerializer(serializers.Serializer):
    waiting = serializers.IntegerField(help_text="Items that wait for you; the count ends at 1,000.")
    states = serializers.DictField(child=serializers.IntegerField(), help_text="Items by state of review.")
    results = ReviewItemSerializer(many=True)


class VoteInput(Input):
    item = IdField()
    verdict = serializers.ChoiceField(choices=[verdict.value for verdict in VERDICTS])
    reason = TextField(max_length=MAX_REASON, required=False, allow_blank=True, default="")
    round = WholeField(required=False, allow_null=True, default=None, min_value=1, help_text="That you looked at.")


class VotesInput(Input):
    votes = VoteInput(many=True, min_length=1, max_length=VOTES_AT_ONCE)


class VoteResultSerializer(serializers.Serializer):
    item = serializers.IntegerField()
    review = serializers.CharField(allow_null=True, help_text="Its state now; null when the vote was refused.")
    problem = serializers.CharField(allow_null=True, help_text="Why the vote was refused.")
    hint = serializers.CharField(allow_null=True)


class VoteResultsSerializer(serializers.Serializer):
    results = VoteResultSerializer(many=True)


class ReviewerSerializer(serializers.ModelSerializer):
    user = serializers.IntegerField(source="user_id")
    username = serializers.CharField(source="user.username")

    class Meta:
        model = Reviewer
        fields = ["user", "username", "share", "added_at"]
        read_only_fields = fields


class ReviewerInput(Input):
    username = TextField(max_length=150)
    share = WholeField(required=False, default=100, min_value=1, max_value=100, help_text="Percent of the items.")


class PairSerializer(serializers.Serializer):
    first = serializers.CharField()
    second = serializers.CharField()
    items = serializers.IntegerField()
    equal = serializers.FloatField()
    kappa = serializers.FloatField(allow_null=True)


class AgreementSerializer(serializers.Serializer):
    items = serializers.IntegerField(help_text="That two reviewers or more spoke of in one round.")
    reviewers = serializers.IntegerField()
    equal = serializers.FloatField(allow_null=True, help_text="Share of equal votes, 0–1.")
    kappa = serializers.FloatField(allow_null=True, help_text="Cohen's of two reviewers, Fleiss' of more.")
    method = serializers.CharField()
    pairs = PairSerializer(many=True)


class GatesInput(Input):
    approvals = WholeField(required=False, max_value=MAX_APPROVALS, help_text="Persons who must approve; 0: none.")
    governed = serializers.BooleanField(required=False, help_text="Only items that a rule allows are used.")
    metadata = serializers.DictField(required=False, help_text="Of all items: licence, consent, source …")


class GatesSerializer(serializers.ModelSerializer):
    passed = serializers.IntegerField(help_text="Items that a job would get.")
    left_out = serializers.DictField(child=serializers.IntegerField(), help_text=f"By reason: {', '.join(REASONS)}.")
    waiting = serializers.IntegerField(help_text="Items that the rules have not looked at since something changed.")

    class Meta:
        model = Dataset
        fields = ["approvals", "governed", "metadata", "passed", "left_out", "waiting"]
        read_only_fields = fields


class DecisionSerializer(serializers.ModelSerializer):
    item = serializers.IntegerField(source="item_id")
    item_name = serializers.CharField(source="item.name")
    decision = serializers.CharField(help_text="allowed or refused")
    rule = serializers.IntegerField(source="rule_id", allow_null=True)
    by = serializers.CharField(source="by.username", default=None, allow_null=True, help_text="Who wrote the rule.")

    class Meta:
        model = GovernanceDecision
        fields = ["id", "item", "item_name", "decision", "rule", "rule_name", "reason", "by", "at"]
        read_only_fields = fields


class RuleSerializer(serializers.ModelSerializer):
    dataset = serializers.IntegerField(source="dataset_id", allow_null=True)
    changed_by = serializers.CharField(source="changed_by.username", default=None, allow_null=True)

    class Meta:
        model = GovernanceRule
        fields = [
            "id", "name", "description", "enabled", "position", "dataset", "modality", "condition", "decision",
            "reason", "changed_by", "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class RuleChangeInput(Input):
    name = TextField(max_length=100, required=False)
    description = TextField(max_length=5000, required=False, allow_blank=True)
    enabled = serializers.BooleanField(required=False)
    position = WholeField(required=False, max_value=1_000_000, help_text="Rules are tried in this order.")
    dataset = IdField(required=False, allow_null=True, help_text="Null: for all datasets.")
    modality = serializers.ChoiceField(choices=Modality.choices, required=False, allow_blank=True)
    condition = serializers.DictField(required=False, help_text="{} for always; see the guide to data.")
    decision = serializers.ChoiceField(choices=GovernanceRule.Decision.choices, required=False)
    reason = TextField(max_length=300, required=False, help_text="Shown with each item that it decides about.")


class NewRuleInput(RuleChangeInput):
    name = TextField(max_length=100)
    decision = serializers.ChoiceField(choices=GovernanceRule.Decision.choices)
    reason = TextField(max_length=300)
