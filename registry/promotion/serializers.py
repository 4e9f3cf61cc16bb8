"""Names, policies and promotions as the API shows and takes them."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, prefetch_related_objects
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.serializers import FiniteFloatField, IdField, Input, TextField, WholeField
from registry.models import Alias, AliasChange, Approval, PromotionPolicy, PromotionRequest
from registry.promotion import approvers, policy
from registry.promotion.aliases import REASON_LENGTH


class PromotionCheckSerializer(serializers.Serializer):
    rule = serializers.CharField(help_text="usable, figure, same_held_out, minimum_examples or test.")
    title = serializers.CharField()
    passed = serializers.BooleanField()
    words = serializers.CharField()
    hint = serializers.CharField(help_text="What to do when it failed; else empty.")
    figures = serializers.DictField(help_text="What it rests on.")


class VerdictSerializer(serializers.Serializer):
    passed = serializers.BooleanField()
    checks = PromotionCheckSerializer(many=True)
    approvals = serializers.IntegerField(help_text="How many people have to agree besides.")


class AliasSerializer(serializers.ModelSerializer):
    version = serializers.IntegerField(source="version_id")
    version_number = serializers.IntegerField(source="version.number")

    class Meta:
        model = Alias
        fields = ["name", "version", "version_number", "since"]
        read_only_fields = fields


class ChangeSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    before = serializers.IntegerField(source="before_id", allow_null=True, help_text="The version that had the name.")
    after = serializers.IntegerField(source="after_id", allow_null=True, help_text="The version that has it since.")
    by = serializers.CharField(
        source="actor.username", allow_null=True, default=None, help_text="Null: a policy of the hub."
    )
    evidence = serializers.DictField(help_text="What was known then: checks, the policy, approvals.")

    class Meta:
        model = AliasChange
        fields = ["id", "model", "alias", "kind", "before", "after", "by", "reason", "evidence", "at"]
        read_only_fields = fields


class ApprovalSerializer(serializers.ModelSerializer):
    by = serializers.CharField(source="by.username")
    counts = serializers.SerializerMethodField(help_text="False: whoever gave it may not approve any longer.")
    why_not = serializers.SerializerMethodField(help_text="Why it counts no more; empty while it does.")

    class Meta:
        model = Approval
        fields = ["by", "note", "at", "counts", "why_not"]
        read_only_fields = fields

    def get_counts(self, approval: Approval) -> bool:
        return not approvers.why_not(approval)

    def get_why_not(self, approval: Approval) -> str:
        return approvers.why_not(approval)


class PromotionSerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    version = serializers.IntegerField(source="version_id")
    version_number = serializers.IntegerField(source="version.number")
    asked_by = serializers.CharField(
        source="asked_by.username", allow_null=True, default=None, help_text="Null: a policy of the hub."
    )
    decided_by = serializers.CharField(source="decided_by.username", allow_null=True, default=None)
    change = serializers.IntegerField(source="change_id", allow_null=True, help_text="In the history of names.")
    checks = PromotionCheckSerializer(many=True)
    approvals = ApprovalSerializer(many=True)

    class Meta:
        model = PromotionRequest
        fields = [
            "id", "model", "version", "version_number", "status", "asked_by", "asked_at", "reason", "checks",
            "approvals", "decided_by", "decided_at", "note", "change",
        ]  # fmt: skip
        read_only_fields = fields


class PromotionOutcomeSerializer(serializers.Serializer):
    """What became of asking for a promotion: one of the two."""

    change = ChangeSerializer(allow_null=True)
    promotion = PromotionSerializer(allow_null=True, help_text="It waits for approval.")

    @classmethod
    def of(cls, made: AliasChange | PromotionRequest) -> dict[str, Any]:
        if isinstance(made, AliasChange):
            return {"change": ChangeSerializer(made).data, "promotion": None}
        prefetch_related_objects([made], Prefetch("approvals", approvers.given()))
        return {"change": None, "promotion": PromotionSerializer(made).data}


class PromotionPolicySerializer(serializers.ModelSerializer):
    model = serializers.IntegerField(source="model_id")
    role = serializers.IntegerField(source="role_id", allow_null=True)
    role_name = serializers.CharField(source="role.name", allow_null=True, default=None)
    changed_by = serializers.CharField(source="changed_by.username", allow_null=True, default=None)
    metrics = serializers.SerializerMethodField(help_text="Figures that it can name.")
    roles = serializers.SerializerMethodField(help_text="Roles that it can name.")

    class Meta:
        model = PromotionPolicy
        fields = [
            "model", "metric", "margin", "minimum_examples", "same_held_out", "needs_test", "approvals", "role",
            "role_name", "changed_by", "changed_at", "metrics", "roles",
        ]  # fmt: skip
        read_only_fields = fields

    @extend_schema_field({"type": "array", "items": {"type": "string"}})
    def get_metrics(self, rules: PromotionPolicy) -> list[str]:
        return policy.metrics(rules.model)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "string"}})
    def get_roles(self, rules: PromotionPolicy) -> dict[int, str]:
        return {group.pk: group.name for group in policy.roles()}


class PromotionPolicyInput(Input):
    """What is named is changed."""

    metric = TextField(required=False, allow_blank=True, max_length=100, help_text="Empty: the recipe's key figure.")
    margin = FiniteFloatField(
        required=False, allow_null=True,
        help_text="How much worse than the champion it may be, in the figure's own unit; null: nothing is compared.",
    )  # fmt: skip
    minimum_examples = WholeField(required=False, max_value=policy.MOST_EXAMPLES)
    same_held_out = serializers.BooleanField(required=False, help_text="Only figures of the same examples compare.")
    needs_test = serializers.ChoiceField(choices=PromotionPolicy.Test.choices, required=False)
    approvals = WholeField(required=False, max_value=2)
    role = IdField(required=False, allow_null=True, help_text="Whose people approve; null: anyone who may.")


class ReasonInput(Input):
    reason = TextField(required=False, allow_blank=True, max_length=REASON_LENGTH, default="")


class PromoteInput(ReasonInput):
    override = serializers.BooleanField(
        required=False, default=False, help_text="Against the policy: for people who may, with a reason."
    )


class RollbackInput(ReasonInput):
    leaving = IdField(
        required=False, allow_null=True, default=None,
        help_text="The champion that is meant: once it is another, a request sent again does nothing (409).",
    )  # fmt: skip


class NameInput(PromoteInput):
    version = IdField()


class PromotionNoteInput(Input):
    note = TextField(required=False, allow_blank=True, max_length=REASON_LENGTH, default="")
