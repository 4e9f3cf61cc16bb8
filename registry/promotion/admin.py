"""Names and promotions for administrators: looked at, never edited; promotions are decided as anywhere else."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from common.errors import ProblemError
from registry.models import Alias, AliasChange, Approval, PromotionEvidence, PromotionPolicy, PromotionRequest
from registry.promotion import verbs


def _decision(verb: Callable[..., PromotionRequest], label: str) -> Callable[..., None]:
    """A verb as an action of the list: promotions that refuse it say why, the others are decided all the same."""

    @admin.action(description=label)
    def carry_out(self: admin.ModelAdmin, request: HttpRequest, promotions: QuerySet[PromotionRequest]) -> None:
        for promotion in promotions.order_by("pk"):
            try:
                made = verb(promotion, request.user)
                self.message_user(request, f"{made.version}: {made.get_status_display().lower()}.", messages.SUCCESS)
            except ProblemError as problem:
                self.message_user(request, f"{problem.message} {problem.hint}".strip(), messages.WARNING)

    return carry_out


@admin.register(Alias)
class AliasAdmin(ReadOnlyAdmin):
    list_display = ["model", "name", "version", "since"]
    list_select_related = ["model", "version__model"]
    list_filter = ["name", "since"]
    search_fields = ["model__name", "model__owner__username"]


@admin.register(AliasChange)
class AliasChangeAdmin(ReadOnlyAdmin):
    list_display = ["model", "alias", "kind", "before", "after", "actor", "reason", "at"]
    list_select_related = ["model", "before__model", "after__model", "actor"]
    list_filter = ["alias", "kind", "at"]
    search_fields = ["model__name", "actor__username", "reason"]


@admin.register(PromotionPolicy)
class PromotionPolicyAdmin(ReadOnlyAdmin):
    list_display = ["model", "metric", "margin", "minimum_examples", "needs_test", "approvals", "role", "changed_at"]
    list_select_related = ["model", "role"]
    list_filter = ["needs_test", "approvals"]
    search_fields = ["model__name"]


@admin.register(PromotionEvidence)
class PromotionEvidenceAdmin(ReadOnlyAdmin):
    list_display = ["version", "against", "kind", "passed", "at"]
    list_select_related = ["version__model", "against__model"]
    list_filter = ["kind", "passed", "at"]
    search_fields = ["version__model__name"]


class ApprovalInline(admin.TabularInline):
    model = Approval
    extra = 0
    can_delete = False
    fields = readonly_fields = ["by", "note", "at"]
    max_num = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Approval]:
        return super().get_queryset(request).select_related("by")


@admin.register(PromotionRequest)
class PromotionRequestAdmin(ReadOnlyAdmin):
    list_display = ["version", "status", "asked_by", "asked_at", "decided_by", "decided_at", "note"]
    list_select_related = ["version__model", "asked_by", "decided_by"]
    list_filter = ["status", "asked_at"]
    search_fields = ["model__name", "asked_by__username", "reason"]
    inlines = [ApprovalInline]
    actions = ["approve", "reject", "withdraw"]

    approve = _decision(verbs.approve, "Approve")
    reject = _decision(verbs.reject, "Refuse")
    withdraw = _decision(verbs.withdraw, "Withdraw")


@admin.register(Approval)
class ApprovalAdmin(ReadOnlyAdmin):
    list_display = ["request", "by", "note", "at"]
    list_select_related = ["request__version__model", "by"]
    search_fields = ["request__model__name", "by__username"]
