"""Channels and deliveries on the API. Secrets go in, come out once when they are made, and never again."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.serializers import Input, TextField
from performance.models import Channel, Delivery, DeliveryTry
from performance.notices import channels, delivering
from performance.notices.access import channels_for, get_channel, get_delivery

TAGS = ["notifications"]


class ChannelSerializer(serializers.ModelSerializer):
    owner = serializers.IntegerField(source="owner_id")

    class Meta:
        model = Channel
        fields = ["id", "owner", "name", "kind", "address", "enabled", "last_error", "created_at"]
        read_only_fields = fields


class NewChannelSerializer(ChannelSerializer):
    secret = serializers.CharField(help_text="What a webhook is signed with: shown this once. Empty for mail.")

    class Meta(ChannelSerializer.Meta):
        fields = [*ChannelSerializer.Meta.fields, "secret"]
        read_only_fields = fields


class ChannelChangeInput(Input):
    """What is named is changed."""

    name = TextField(max_length=100, required=False)
    address = TextField(max_length=channels.MAX_URL, required=False, allow_blank=True)
    enabled = serializers.BooleanField(required=False)
    secret = TextField(max_length=channels.MAX_SECRET, required=False, write_only=True)


class ChannelInput(Input):
    """A way to tell you."""

    name = TextField(max_length=100)
    kind = serializers.ChoiceField(Channel.Kind.choices)
    address = TextField(
        max_length=channels.MAX_URL, required=False, allow_blank=True,
        help_text="Of a webhook: https://…; mail goes to the address of your account.",
    )  # fmt: skip
    secret = TextField(
        max_length=channels.MAX_SECRET, required=False, allow_blank=True, write_only=True,
        help_text="What a webhook is signed with; one is made up when there is none here.",
    )  # fmt: skip


class DeliveryTrySerializer(serializers.ModelSerializer):
    class Meta:
        model = DeliveryTry
        fields = ["number", "at", "status", "milliseconds", "error"]
        read_only_fields = fields


class DeliverySerializer(serializers.ModelSerializer):
    channel = serializers.IntegerField(source="channel_id")
    tries = DeliveryTrySerializer(source="attempts", many=True)

    class Meta:
        model = Delivery
        fields = ["id", "channel", "event", "payload", "created_at", "next_at", "delivered_at", "dead_at", "tries"]
        read_only_fields = fields


class ChannelsView(generics.ListAPIView):
    serializer_class = ChannelSerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Channel]:
        return channels_for(self.request.user)

    @extend_schema(operation_id="performance_channels_list", tags=TAGS, summary="Channels, by name")
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="performance_channels_create",
        tags=TAGS,
        summary="Add a channel",
        request=ChannelInput,
        responses={201: NewChannelSerializer},
    )
    def post(self, request: Request) -> Response:
        made, secret = channels.make(request.user, **ChannelInput.read(request.data))
        return Response(ChannelSerializer(made).data | {"secret": secret}, status=201)


class ChannelView(APIView):
    @extend_schema(
        operation_id="performance_channels_get", tags=TAGS, summary="One channel", responses=ChannelSerializer
    )
    def get(self, request: Request, channel_id: int) -> Response:
        return Response(ChannelSerializer(get_channel(request.user, channel_id)).data)

    @extend_schema(
        operation_id="performance_channels_change",
        tags=TAGS,
        summary="Change a channel",
        request=ChannelChangeInput,
        responses=ChannelSerializer,
    )
    def patch(self, request: Request, channel_id: int) -> Response:
        channel = get_channel(request.user, channel_id)
        changed = channels.change(channel, request.user, **ChannelChangeInput.read(request.data))
        return Response(ChannelSerializer(changed).data)

    @extend_schema(
        operation_id="performance_channels_delete", tags=TAGS, summary="Delete a channel", responses={204: None}
    )
    def delete(self, request: Request, channel_id: int) -> Response:
        channels.remove(get_channel(request.user, channel_id), request.user)
        return Response(status=204)


class TestChannelView(APIView):
    @extend_schema(
        operation_id="performance_channels_test",
        tags=TAGS,
        summary="Send a notice that says it is a trial",
        request=None,
        responses={202: DeliverySerializer},
    )
    def post(self, request: Request, channel_id: int) -> Response:
        channel = get_channel(request.user, channel_id)
        Input.read(request.data)
        made = delivering.try_out(channel, request.user)
        return Response(DeliverySerializer(made).data, status=202)


class DeliveriesView(generics.ListAPIView):
    serializer_class = DeliverySerializer
    filter_backends: list[type] = []

    def get_queryset(self) -> QuerySet[Delivery]:
        channel = get_channel(self.request.user, self.kwargs["channel_id"])
        return channel.deliveries.prefetch_related("attempts")

    @extend_schema(
        operation_id="performance_channels_deliveries",
        tags=TAGS,
        summary="What was sent to a channel, newest first, with each try",
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class RedeliverView(APIView):
    @extend_schema(
        operation_id="performance_deliveries_redeliver",
        tags=TAGS,
        summary="Send a notice again, under the same id",
        request=None,
        responses={202: DeliverySerializer},
    )
    def post(self, request: Request, delivery_id: uuid.UUID) -> Response:
        Input.read(request.data)
        sent = delivering.redeliver(get_delivery(request.user, delivery_id), request.user)
        return Response(DeliverySerializer(sent).data, status=202)
