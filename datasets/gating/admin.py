"""Rules for administrators, checked and saved by the verbs; votes and decisions to look at."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from datasets.gating import conditions, rulebook
from datasets.models import GovernanceDecision, GovernanceRule, Reviewer, ReviewVote

EXAMPLE = (
    '{"all": [{"field": "licence", "is": "in", "value": ["CC0", "CC-BY-4.0"]}, '
    '{"field": "personal_data", "is": "is_not", "value": true}]}'
)


class RuleForm(forms.ModelForm):
    condition = forms.JSONField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "cols": 90, "spellcheck": "false"}),
        help_text=f"{EXAMPLE}. Empty: always. "
        f"Fields: {', '.join(conditions.FIELDS)}, metadata.…, subject.…, generated.…. "
        f"Comparisons: {', '.join(conditions.OPERATORS)}.",
    )

    class Meta:
        model = GovernanceRule
        fields = [
            "name", "description", "enabled", "position", "dataset", "modality", "condition", "decision", "reason",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            given["condition"] = given.get("condition") or {}
            try:
                rulebook.check(GovernanceRule(**given))
            except ProblemError as error:
                field = next(iter(error.fields), None)
                raise ValidationError({field: f"{error.message} {error.hint}"}) from None
        return given


@admin.register(GovernanceRule)
class GovernanceRuleAdmin(admin.ModelAdmin):
    form = RuleForm
    list_display = ["name", "position", "decision", "enabled", "dataset", "modality", "changed_by", "updated_at"]
    list_select_related = ["dataset", "changed_by"]
    list_filter = ["enabled", "decision", "modality"]
    search_fields = ["name", "reason"]
    raw_id_fields = ["dataset"]
    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: GovernanceRule, form: forms.ModelForm, change: bool) -> None:
        before = GovernanceRule.objects.get(pk=obj.pk) if change else None
        saved = rulebook.save(request.user, before, **form.cleaned_data)
        obj.pk, obj.changed_by = saved.pk, saved.changed_by

    def delete_model(self, request: HttpRequest, obj: GovernanceRule) -> None:
        rulebook.delete(obj, request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[GovernanceRule]) -> None:
        for rule in queryset:
            rulebook.delete(rule, request.user)


@admin.register(GovernanceDecision)
class GovernanceDecisionAdmin(ReadOnlyAdmin):
    list_display = ["item_id", "dataset_id", "decision", "rule_name", "reason", "by", "at"]
    list_select_related = ["by"]
    list_filter = ["decision", "at"]
    search_fields = ["=item__id", "rule_name"]


@admin.register(ReviewVote)
class ReviewVoteAdmin(ReadOnlyAdmin):
    list_display = ["item_id", "dataset_id", "reviewer", "verdict", "reason", "round", "at", "withdrawn_at"]
    list_select_related = ["reviewer"]
    list_filter = ["verdict", "at"]
    search_fields = ["=item__id", "reviewer__username"]


@admin.register(Reviewer)
class ReviewerAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "user", "share", "added_by", "added_at"]
    list_select_related = ["dataset", "user", "added_by"]
    search_fields = ["dataset__name", "user__username"]
