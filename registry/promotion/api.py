"""Names of versions, policies and promotions on the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.filters import IdFilter, StableFilterSet
from registry.access import get_model, get_version
from registry.models import AliasChange, ModelVersion, PromotionRequest
from registry.models.aliases import Name
from registry.promotion import aliases, approvers, checks, policy, verbs
from registry.promotion.serializers import (
    AliasSerializer,
    ChangeSerializer,
    NameInput,
    PromoteInput,
    PromotionNoteInput,
    PromotionOutcomeSerializer,
    PromotionPolicyInput,
    PromotionPolicySerializer,
    PromotionSerializer,
    ReasonInput,
    RollbackInput,
    VerdictSerializer,
)

TAGS = ["promotion"]
ASKED = OpenApiResponse(PromotionOutcomeSerializer, "It waits for approval.")


class PolicyView(APIView):
    @extend_schema(
        operation_id="models_policy_get",
        tags=TAGS,
        summary="What a version must fulfil before it becomes the champion",
        description="A model without a policy answers with one that asks for nothing; `changed_at` is null.",
        responses=PromotionPolicySerializer,
    )
    def get(self, request: Request, model_id: int) -> Response:
        return Response(PromotionPolicySerializer(policy.of(get_model(request.user, model_id))).data)

    @extend_schema(
        operation_id="models_policy_change",
        tags=TAGS,
        summary="Change the policy of a model",
        description="For people who may promote against a policy. What it was stays in the audit trail.",
        request=PromotionPolicyInput,
        responses=PromotionPolicySerializer,
    )
    def put(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        return Response(
            PromotionPolicySerializer(
                policy.change(model, request.user, **PromotionPolicyInput.read(request.data))
            ).data
        )


class AliasesView(APIView):
    @extend_schema(
        operation_id="models_aliases",
        tags=TAGS,
        summary="Which versions have a name: champion, challenger",
        responses=AliasSerializer(many=True),
    )
    def get(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        names = aliases.of([model]).get(model.pk, {})
        return Response(AliasSerializer(names.values(), many=True).data)


class AliasView(APIView):
    @extend_schema(
        operation_id="models_aliases_assign",
        tags=TAGS,
        summary="Give a name to a version",
        description="The champion is promoted, by the policy: with checks, and 202 where people have to approve.",
        request=NameInput,
        responses={200: PromotionOutcomeSerializer, 202: ASKED},
    )
    def put(self, request: Request, model_id: int, alias: str) -> Response:
        model = get_model(request.user, model_id)
        aliases.known(alias)
        given = NameInput.read(request.data)
        version = get_version(request.user, given["version"])
        aliases.refuse_other(model, version)
        if alias == Name.CHAMPION:
            return _outcome(_promote(version, request, given))
        return _outcome(verbs.challenge(version, request.user, given["reason"]))

    @extend_schema(
        operation_id="models_aliases_remove",
        tags=TAGS,
        summary="Take a name away",
        description="Of a champion under a policy: for people who may go against it, with a `reason`.",
        parameters=[ReasonInput],
        responses={200: ChangeSerializer},
    )
    def delete(self, request: Request, model_id: int, alias: str) -> Response:
        model = get_model(request.user, model_id)
        given = ReasonInput.read(request.query_params)
        return Response(ChangeSerializer(verbs.take_away(model, alias, request.user, given["reason"])).data)


class AliasHistoryView(generics.ListAPIView):
    serializer_class = ChangeSerializer
    queryset = AliasChange.objects.none()
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[AliasChange]:
        return aliases.history(get_model(self.request.user, self.kwargs["model_id"]))

    @extend_schema(
        operation_id="models_aliases_history",
        tags=TAGS,
        summary="Who had which name when, by whose decision and on which evidence, newest first",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class ChecksView(APIView):
    @extend_schema(
        operation_id="versions_checks",
        tags=TAGS,
        summary="Whether a version fulfils the policy of its model now",
        responses=VerdictSerializer,
    )
    def get(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        rules = policy.of(version.model)
        verdict = checks.check(version, rules)
        return Response({"passed": verdict.passed, "checks": verdict.as_json(), "approvals": rules.approvals})


class PromoteView(APIView):
    @extend_schema(
        operation_id="versions_promote",
        tags=TAGS,
        summary="Make a version the champion",
        description="409 with `checks` names each rule that failed, or says that it is the champion already. Sent "
        "again while people have to approve, it is the same promotion.",
        request=PromoteInput,
        responses={200: PromotionOutcomeSerializer, 202: ASKED},
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        return _outcome(_promote(version, request, PromoteInput.read(request.data)))


class ModelRollbackView(APIView):
    @extend_schema(
        operation_id="models_rollback",
        tags=TAGS,
        summary="Back to the champion before",
        description="Each time further back; versions that can't be used are passed over. Name the champion that you "
        "mean as `leaving`, so that a request that is sent again goes no further.",
        request=RollbackInput,
        responses=ChangeSerializer,
    )
    def post(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        given = RollbackInput.read(request.data)
        made = verbs.roll_back(model, request.user, given["reason"], leaving=given["leaving"])
        return Response(ChangeSerializer(made).data)


class VersionRollbackView(APIView):
    @extend_schema(
        operation_id="versions_rollback",
        tags=TAGS,
        summary="From this champion back to the one before",
        description="409 when this version is not the champion (any more).",
        request=ReasonInput,
        responses=ChangeSerializer,
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        given = ReasonInput.read(request.data)
        made = verbs.roll_back(version.model, request.user, given["reason"], leaving=version.pk)
        return Response(ChangeSerializer(made).data)


class PromotionFilter(StableFilterSet):
    status = django_filters.ChoiceFilter(choices=PromotionRequest.Status.choices)
    model = IdFilter(field_name="model_id")

    class Meta:
        model = PromotionRequest
        fields: list[str] = []


class PromotionsView(generics.ListAPIView):
    serializer_class = PromotionSerializer
    filterset_class = PromotionFilter
    queryset = PromotionRequest.objects.none()

    def get_queryset(self) -> QuerySet[PromotionRequest]:
        return approvers.requests_for(self.request.user)

    @extend_schema(operation_id="promotions_list", tags=TAGS, summary="Promotions that people decide, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class PromotionView(APIView):
    @extend_schema(operation_id="promotions_get", tags=TAGS, summary="One promotion", responses=PromotionSerializer)
    def get(self, request: Request, promotion_id: int) -> Response:
        return Response(PromotionSerializer(approvers.get_request(request.user, promotion_id)).data)


class ApproveView(APIView):
    @extend_schema(
        operation_id="promotions_approve",
        tags=TAGS,
        summary="Agree to a promotion",
        description="With the last approval that is needed the checks are made again: it is granted or refused.",
        request=PromotionNoteInput,
        responses=PromotionSerializer,
    )
    def post(self, request: Request, promotion_id: int) -> Response:
        return _decide(verbs.approve, request, promotion_id)


class RejectView(APIView):
    @extend_schema(
        operation_id="promotions_reject",
        tags=TAGS,
        summary="Refuse a promotion",
        request=PromotionNoteInput,
        responses=PromotionSerializer,
    )
    def post(self, request: Request, promotion_id: int) -> Response:
        return _decide(verbs.reject, request, promotion_id)


class WithdrawView(APIView):
    @extend_schema(
        operation_id="promotions_withdraw",
        tags=TAGS,
        summary="Take a promotion back",
        description="For whoever asked for it, and whoever may promote versions of the model.",
        request=PromotionNoteInput,
        responses=PromotionSerializer,
    )
    def post(self, request: Request, promotion_id: int) -> Response:
        return _decide(verbs.withdraw, request, promotion_id)


def _decide(verb: Callable[..., PromotionRequest], request: Request, promotion_id: int) -> Response:
    found = approvers.get_request(request.user, promotion_id)
    verb(found, request.user, PromotionNoteInput.read(request.data)["note"])
    return Response(PromotionSerializer(approvers.get_request(request.user, found.pk)).data)


def _promote(version: ModelVersion, request: Request, given: dict[str, Any]) -> AliasChange | PromotionRequest:
    return verbs.promote(version, request.user, reason=given["reason"], override=given["override"])


def _outcome(made: AliasChange | PromotionRequest) -> Response:
    return Response(PromotionOutcomeSerializer.of(made), status=200 if isinstance(made, AliasChange) else 202)
