"""Gates on the API: what a dataset asks of its items, what the rules said; and, for administrators, the rules."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible
from common.errors import ForbiddenError, NotFoundError
from datasets import overview
from datasets.gating import gates, governance, rulebook
from datasets.gating.switches import set_gates
from datasets.models import Dataset, GovernanceDecision, GovernanceRule
from datasets.reviewing.serializers import (
    DecisionSerializer,
    GatesInput,
    GatesSerializer,
    NewRuleInput,
    RuleChangeInput,
    RuleSerializer,
)

TAGS = ["gates"]


def _gates(dataset: Dataset) -> dict[str, Any]:
    dataset.left_out = gates.left_out(dataset)  # type: ignore[attr-defined]
    dataset.passed = dataset.items.count() - sum(dataset.left_out.values())  # type: ignore[attr-defined]
    dataset.waiting = governance.waiting(dataset) if dataset.governed else 0  # type: ignore[attr-defined]
    return GatesSerializer(dataset).data


class GatesView(APIView):
    @extend_schema(
        operation_id="datasets_gates", tags=TAGS, summary="What a dataset asks of its items, and what passes",
        responses=GatesSerializer,
    )  # fmt: skip
    def get(self, request: Request, dataset_id: int) -> Response:
        return Response(_gates(get_visible(overview.listed(), request.user, pk=dataset_id)))

    @extend_schema(
        operation_id="datasets_gates_set", tags=TAGS, summary="Switch gates, or describe the data",
        description="Items are looked at again in the background; what waits for that is not trained on.",
        request=GatesInput, responses=GatesSerializer,
    )  # fmt: skip
    def patch(self, request: Request, dataset_id: int) -> Response:
        dataset = get_visible(overview.listed(), request.user, pk=dataset_id)
        return Response(_gates(set_gates(dataset, request.user, **GatesInput.read(request.data))))


class DecisionsView(generics.ListAPIView):
    serializer_class = DecisionSerializer
    queryset = GovernanceDecision.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[GovernanceDecision]:
        dataset = get_visible(overview.listed(), self.request.user, pk=self.kwargs["dataset_id"])
        return dataset.decisions.select_related("item", "by").defer("by__password").order_by("-id")

    @extend_schema(operation_id="datasets_decisions", tags=TAGS, summary="What the rules said, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RulesView(generics.ListAPIView):
    serializer_class = RuleSerializer
    queryset = GovernanceRule.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[GovernanceRule]:
        return _visible(self.request)

    @extend_schema(operation_id="governance_rules", tags=TAGS, summary="The rules, in the order they are tried")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="governance_rules_create", tags=TAGS, summary="Make a rule", description="For administrators.",
        request=NewRuleInput, responses={201: RuleSerializer},
    )  # fmt: skip
    def post(self, request: Request) -> Response:
        _administrators_only(request)
        rule = rulebook.save(request.user, **_values(request, NewRuleInput.read(request.data)))
        return Response(RuleSerializer(rule).data, status=201)


class RuleView(APIView):
    @extend_schema(operation_id="governance_rule", tags=TAGS, summary="One rule", responses=RuleSerializer)
    def get(self, request: Request, rule_id: int) -> Response:
        return Response(RuleSerializer(_rule(request, rule_id)).data)

    @extend_schema(
        operation_id="governance_rule_change", tags=TAGS, summary="Change a rule",
        description="For administrators. The rules are applied again to every dataset that it concerns.",
        request=RuleChangeInput, responses=RuleSerializer,
    )  # fmt: skip
    def patch(self, request: Request, rule_id: int) -> Response:
        rule = _rule(request, rule_id)
        _administrators_only(request)
        changed = rulebook.save(request.user, rule, **_values(request, RuleChangeInput.read(request.data)))
        return Response(RuleSerializer(changed).data)

    @extend_schema(
        operation_id="governance_rule_delete", tags=TAGS, summary="Delete a rule", description="For administrators.",
        responses={204: OpenApiResponse(description="It is deleted; what it decided stays on record.")},
    )  # fmt: skip
    def delete(self, request: Request, rule_id: int) -> Response:
        rule = _rule(request, rule_id)
        _administrators_only(request)
        rulebook.delete(rule, request.user)
        return Response(status=204)


def _visible(request: Request) -> QuerySet[GovernanceRule]:
    """Everyone sees the rules of all datasets and those of their own."""
    rules = GovernanceRule.objects.select_related("changed_by").defer("changed_by__password").order_by("position", "id")
    return rules if request.user.is_staff else rules.filter(Q(dataset=None) | Q(dataset__owner=request.user.pk))


def _rule(request: Request, rule_id: int) -> GovernanceRule:
    found = _visible(request).filter(pk=rule_id).first() if rule_id < 2**63 else None
    if found is None:
        raise NotFoundError(f"There is no rule {rule_id} for you.", "Look at the list of rules.")
    return found


def _administrators_only(request: Request) -> None:
    if not request.user.is_staff:
        raise ForbiddenError("Only administrators change rules.", "Ask an administrator.")


def _values(request: Request, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("dataset") is not None:
        given["dataset"] = get_visible(Dataset.objects.all(), request.user, pk=given["dataset"])
    return given
