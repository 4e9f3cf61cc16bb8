"""Deployments on the API."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.filters import IdFilter, StableFilterSet
from registry.access import get_model, get_version
from registry.models import Deployment
from registry.models.aliases import Name
from registry.serving import verbs
from registry.serving.serializers import DeployInput, DeploymentSerializer, DeployNameInput
from registry.serving.states import in_use


class DeploymentFilter(StableFilterSet):
    model = IdFilter(field_name="model_id")
    alias = django_filters.ChoiceFilter(choices=Name.choices)

    class Meta:
        model = Deployment
        fields: list[str] = []


class DeploymentsView(generics.ListAPIView):
    serializer_class = DeploymentSerializer
    filterset_class = DeploymentFilter
    queryset = Deployment.objects.none()

    def get_queryset(self) -> QuerySet[Deployment]:
        return verbs.deployments_for(self.request.user)

    @extend_schema(operation_id="deployments_list", tags=["serving"], summary="What is deployed, newest first")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(DeploymentSerializer(in_use(page or []), many=True).data)


class DeploymentView(APIView):
    @extend_schema(
        operation_id="deployments_get", tags=["serving"], summary="One deployment", responses=DeploymentSerializer
    )
    def get(self, request: Request, deployment_id: int) -> Response:
        return Response(_shown(verbs.get_deployment(request.user, deployment_id)))

    @extend_schema(
        operation_id="deployments_end",
        tags=["serving"],
        summary="End a deployment",
        description="The version is unloaded once nobody has asked for it for a while.",
        responses={204: None},
    )
    def delete(self, request: Request, deployment_id: int) -> Response:
        verbs.undeploy(verbs.get_deployment(request.user, deployment_id), request.user)
        return Response(status=204)


class DeployVersionView(APIView):
    @extend_schema(
        operation_id="versions_deploy",
        tags=["serving"],
        summary="Keep a version loaded",
        description="Asked again it changes the number of replicas.",
        request=DeployInput,
        responses={201: DeploymentSerializer},
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get_version(request.user, version_id)
        given = DeployInput.read(request.data)
        made = verbs.deploy(version.model, request.user, version=version, **given)
        return Response(_shown(made), status=201)


class DeployModelView(APIView):
    @extend_schema(
        operation_id="models_deploy",
        tags=["serving"],
        summary="Keep whichever version has a name loaded",
        description="A promotion loads the new version by itself, and keeps the one before it warm for a day.",
        request=DeployNameInput,
        responses={201: DeploymentSerializer},
    )
    def post(self, request: Request, model_id: int) -> Response:
        model = get_model(request.user, model_id)
        given = {"alias": Name.CHAMPION.value, **DeployNameInput.read(request.data)}
        return Response(_shown(verbs.deploy(model, request.user, **given)), status=201)


def _shown(deployment: Deployment) -> Any:
    return DeploymentSerializer(in_use([deployment])[0]).data
