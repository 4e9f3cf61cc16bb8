"""Subjects and eligibility policies for administrators: edited here, checked by the same verbs as everywhere."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from common.errors import InvalidInputError
from datasets.models import EligibilityPolicy, Subject
from datasets.subjects import eligibility, subjects


class SubjectForm(forms.ModelForm):
    def clean_attributes(self) -> dict[str, Any]:
        try:
            return subjects.check_attributes(self.cleaned_data["attributes"] or {})
        except InvalidInputError as error:
            raise ValidationError(error.message) from error


@admin.register(Subject)
class SubjectAdmin(admin.ModelAdmin):
    form = SubjectForm
    list_display = ["name", "kind", "owner", "created_at"]
    list_select_related = ["owner"]
    list_filter = ["kind", "created_at"]
    search_fields = ["name", "owner__username"]
    autocomplete_fields = ["owner"]
    show_full_result_count = False


class PolicyForm(forms.ModelForm):
    criteria = forms.JSONField(
        required=False,
        help_text="responses, words, categories, hours, quality (0–100), max_age_days: numbers; gates: true or false. "
        'For example {"responses": 2, "words": 50, "categories": 1}. Empty: every subject will do.',
    )

    class Meta:
        model = EligibilityPolicy
        fields = ["name", "criteria", "kind", "is_default"]

    def clean_criteria(self) -> dict[str, Any]:
        try:
            return eligibility.check_criteria(self.cleaned_data["criteria"] or {})
        except InvalidInputError as error:
            raise ValidationError(error.message) from error

    def _get_validation_exclusions(self) -> set[str]:
        # Saving moves the mark from the present default; that there is one already is no mistake.
        return super()._get_validation_exclusions() | {"is_default"}


@admin.register(EligibilityPolicy)
class EligibilityPolicyAdmin(admin.ModelAdmin):
    form = PolicyForm
    list_display = ["name", "asks_for", "kind", "is_default", "updated_at"]
    list_filter = ["is_default", "kind"]
    search_fields = ["name", "kind"]
    show_full_result_count = False

    @admin.display(description="asks for")
    def asks_for(self, policy: EligibilityPolicy) -> str:
        return eligibility.in_words(policy.criteria)

    def save_model(self, request: HttpRequest, obj: EligibilityPolicy, form: forms.ModelForm, change: bool) -> None:
        eligibility.save_policy(obj, **{name: form.cleaned_data[name] for name in PolicyForm.Meta.fields})
