"""Versions as the API shows them: what changed, what was left out, what was removed for good."""

from __future__ import annotations

from rest_framework import serializers

from common.serializers import IdField, Input, WholeField
from datasets.gating.gates import REASONS

MOST_REMOVED = 10_000


class LeftOutSerializer(serializers.Serializer):
    id = serializers.CharField(help_text="The item's id.")
    name = serializers.CharField()
    reason = serializers.ChoiceField(choices=list(REASONS))


class LeftOutPageSerializer(serializers.Serializer):
    count = serializers.IntegerField()
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = LeftOutSerializer(many=True)


class DifferenceInput(Input):
    since = WholeField(
        required=False, default=None, allow_null=True, min_value=1,
        help_text="The number of the version to compare with; the one before it when left out.",
    )  # fmt: skip
    limit = WholeField(required=False, default=50, max_value=1000, help_text="Items that are named of each kind.")


class DifferenceSerializer(serializers.Serializer):
    sha256 = serializers.CharField()
    name = serializers.CharField()
    before = serializers.DictField(allow_null=True, help_text="Label, caption, group and split; null when added.")
    after = serializers.DictField(allow_null=True)


class DifferencesSerializer(serializers.Serializer):
    since = serializers.IntegerField(
        allow_null=True, help_text="Number of the earlier version; null: all items were added."
    )
    number = serializers.IntegerField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="added, removed, changed")
    moved = serializers.IntegerField(help_text="Of those changed, how many are only in another part.")
    added = DifferenceSerializer(many=True)
    removed = DifferenceSerializer(many=True)
    changed = DifferenceSerializer(many=True)


class ItemsRemoveInput(Input):
    ids = serializers.ListField(child=IdField(), min_length=1, max_length=MOST_REMOVED)


class RemovedSerializer(serializers.Serializer):
    items = serializers.IntegerField(help_text="Removed for good.")
    kept = serializers.IntegerField(help_text="That a frozen version holds.")
    bytes_freed = serializers.IntegerField()
