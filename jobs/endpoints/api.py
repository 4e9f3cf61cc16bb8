"""Endpoints on the API. Keys go in and never come out."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import get_visible, visible
from common.serializers import FiniteFloatField, Input, TextField, WholeField
from jobs.endpoints import verbs
from jobs.models import Endpoint

TAGS = ["endpoints"]


class EndpointSerializer(serializers.ModelSerializer):
    owner = serializers.IntegerField(source="owner_id")
    has_key = serializers.BooleanField(help_text="Whether a key is stored; it is never shown.")

    class Meta:
        model = Endpoint
        fields = [
            "id", "owner", "name", "url", "model", "has_key", "timeout_seconds", "retries", "requests_per_minute",
            "created_at", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class EndpointInput(Input):
    """A model that runs elsewhere, behind an address that speaks as OpenAI's chat completions do."""

    name = TextField(max_length=50, help_text="Small letters, digits and dashes; settings call it 'endpoint <name>'.")
    url = TextField(max_length=verbs.MAX_URL, help_text="Up to and with /v1.")
    model = TextField(max_length=verbs.MAX_MODEL, help_text="What the server calls the model.")
    key = TextField(
        max_length=verbs.MAX_KEY, required=False, allow_blank=True, write_only=True,
        help_text="Sent as a bearer token; stored sealed, and never shown again.",
    )  # fmt: skip
    timeout_seconds = FiniteFloatField(required=False, min_value=0.1, max_value=verbs.MAX_SECONDS)
    retries = WholeField(required=False, max_value=verbs.MAX_RETRIES, help_text="After an answer that may pass.")
    requests_per_minute = WholeField(required=False, max_value=verbs.MAX_RATE, help_text="0: as many as it takes.")


class EndpointChangeInput(EndpointInput):
    """What is named is changed; an empty key takes the key away."""

    name = TextField(max_length=50, required=False)
    url = TextField(max_length=verbs.MAX_URL, required=False, help_text="Another server needs the key again.")
    model = TextField(max_length=verbs.MAX_MODEL, required=False)


class EndpointAnswerSerializer(serializers.Serializer):
    text = serializers.CharField(help_text="What the model said.")
    seconds = serializers.FloatField()


def find(request: Request, endpoint_id: int) -> Endpoint:
    return get_visible(Endpoint.objects.all(), request.user, pk=endpoint_id)


class EndpointsView(generics.ListAPIView):
    serializer_class = EndpointSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Endpoint]:
        return visible(Endpoint.objects.all(), self.request.user).order_by("name", "id")

    @extend_schema(operation_id="training_endpoints_list", tags=TAGS, summary="Endpoints of models, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="training_endpoints_create",
        tags=TAGS,
        summary="Add an endpoint",
        request=EndpointInput,
        responses={201: EndpointSerializer},
    )
    def post(self, request: Request) -> Response:
        made = verbs.make(request.user, **EndpointInput.read(request.data))
        return Response(EndpointSerializer(made).data, status=201)


class EndpointView(APIView):
    @extend_schema(
        operation_id="training_endpoints_get", tags=TAGS, summary="One endpoint", responses=EndpointSerializer
    )
    def get(self, request: Request, endpoint_id: int) -> Response:
        return Response(EndpointSerializer(find(request, endpoint_id)).data)

    @extend_schema(
        operation_id="training_endpoints_change",
        tags=TAGS,
        summary="Change an endpoint",
        request=EndpointChangeInput,
        responses=EndpointSerializer,
    )
    def patch(self, request: Request, endpoint_id: int) -> Response:
        changed = verbs.change(find(request, endpoint_id), **EndpointChangeInput.read(request.data))
        return Response(EndpointSerializer(changed).data)

    @extend_schema(
        operation_id="training_endpoints_delete", tags=TAGS, summary="Delete an endpoint", responses={204: None}
    )
    def delete(self, request: Request, endpoint_id: int) -> Response:
        verbs.remove(find(request, endpoint_id))
        return Response(status=204)


class TryEndpointView(APIView):
    @extend_schema(
        operation_id="training_endpoints_try",
        tags=TAGS,
        summary="Ask an endpoint for one word",
        request=None,
        responses=EndpointAnswerSerializer,
    )
    def post(self, request: Request, endpoint_id: int) -> Response:
        Input.read(request.data)
        tried = verbs.try_out(find(request, endpoint_id), request.user)
        return Response({"text": tried.text, "seconds": round(tried.seconds, 3)})
