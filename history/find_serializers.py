"""The filters of the history as the API takes them, pages that are found by key, and saved views."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from common.serializers import IdField, Input, TextField, WholeField
from datasets.models import Modality
from engine.catalogue import RECIPES
from history import exporting, filters
from history.browsing import MAX_PAGE, PAGE, SORT_NAMES
from history.models import SavedView, Session
from history.saved_views import LONGEST
from history.serializers import SessionSerializer


class FilterFields(Input):
    """What a list can be narrowed to; days are of UTC."""

    search = TextField(required=False, help_text="Part of the name or the note.")
    outcome = serializers.ChoiceField(choices=filters.OUTCOMES, required=False)
    recipe = serializers.ChoiceField(choices=list(RECIPES), required=False)
    kind = serializers.ChoiceField(choices=Session.Kind.choices, required=False)
    modality = serializers.ChoiceField(choices=Modality.choices, required=False, help_text="The type of model.")
    subject = IdField(required=False)
    model = IdField(required=False)
    tag = TextField(max_length=40, required=False)
    starred = serializers.BooleanField(required=False, allow_null=True, default=None)
    since = serializers.DateField(required=False)
    until = serializers.DateField(required=False)


class FindQuery(FilterFields):
    sort = serializers.ChoiceField(choices=SORT_NAMES, required=False, help_text="`-started` unless told otherwise.")
    after = IdField(required=False, help_text="`after` of a page: the next one.")
    before = IdField(required=False, help_text="`before` of a page: the one before.")
    size = WholeField(min_value=1, max_value=MAX_PAGE, required=False, default=PAGE)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "after" in given and "before" in given:
            raise serializers.ValidationError({"before": "Give after or before: a page lies on one side of a session."})
        return given


class ExportQuery(FilterFields):
    format = serializers.ChoiceField(choices=exporting.FORMATS, required=False, default="csv")


class FoundSerializer(serializers.Serializer):
    total = serializers.IntegerField(help_text="How many fit; at least so many where it is not exact.")
    total_is_exact = serializers.BooleanField()
    after = serializers.IntegerField(allow_null=True)
    before = serializers.IntegerField(allow_null=True)
    looked = serializers.BooleanField(help_text="The time for one page was up: the next page goes on looking.")
    results = SessionSerializer(many=True)


class SavedViewSerializer(serializers.ModelSerializer):
    filters = serializers.DictField(child=serializers.CharField())

    class Meta:
        model = SavedView
        fields = ["id", "name", "filters", "sort", "created_at"]
        read_only_fields = fields


class ViewFilters(FilterFields):
    """The filters of a saved view; an administrator's may name a user."""

    user = IdField(required=False)


class SavedViewInput(Input):
    name = TextField(max_length=LONGEST)
    filters = ViewFilters(required=False)
    sort = serializers.ChoiceField(choices=SORT_NAMES, required=False, allow_blank=True)


class SavedViewChangeInput(SavedViewInput):
    name = TextField(max_length=LONGEST, required=False)
