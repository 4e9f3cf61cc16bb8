"""Subjects and policies as the API shows and takes them."""

from __future__ import annotations

from rest_framework import serializers

from common.serializers import IdField, Input, TextField
from datasets.models import EligibilityPolicy, Subject
from datasets.subjects.subjects import MAX_ATTRIBUTES

ATTRIBUTES = f"Name → text, number or true / false; at most {MAX_ATTRIBUTES}."


class SubjectSerializer(serializers.ModelSerializer):
    attributes = serializers.DictField(help_text=ATTRIBUTES)

    class Meta:
        model = Subject
        fields = ["id", "name", "kind", "attributes", "created_at"]
        read_only_fields = fields


class NewSubjectInput(Input):
    name = TextField()
    kind = TextField(max_length=50, required=False, allow_blank=True, help_text="person, machine, product …")
    attributes = serializers.DictField(required=False, help_text=ATTRIBUTES)


class SubjectChangeInput(Input):
    name = TextField(required=False)
    kind = TextField(max_length=50, required=False, allow_blank=True)
    attributes = serializers.DictField(required=False, help_text="Replaces all that there were.")


class MergeInput(Input):
    subjects = serializers.ListField(child=IdField(), min_length=1, max_length=100, help_text="They are deleted.")


class AssignQuery(Input):
    way = TextField(
        max_length=300,
        required=False,
        default="label",
        help_text="label, group, metadata:<key>, or column:<name> of the sheet that the pairs were made from.",
    )


class AssignInput(AssignQuery):
    kind = TextField(
        max_length=50, required=False, allow_blank=True, default="", help_text="Of subjects that are made."
    )


class ValueSerializer(serializers.Serializer):
    value = serializers.CharField()
    items = serializers.IntegerField()
    subject = serializers.IntegerField(source="subject.pk", default=None, allow_null=True, help_text="Of this name.")


class AssignedSerializer(serializers.Serializer):
    items = serializers.IntegerField(help_text="Items that got another subject.")
    subjects = serializers.IntegerField(help_text="Subjects that got items.")
    made = serializers.IntegerField(help_text="Subjects that were made.")


class PolicySerializer(serializers.ModelSerializer):
    criteria = serializers.DictField(help_text="responses, words, categories, hours, quality, max_age_days, gates.")

    class Meta:
        model = EligibilityPolicy
        fields = ["id", "name", "criteria", "kind", "is_default"]
        read_only_fields = fields
