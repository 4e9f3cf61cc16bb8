"""Tokens and the signed-in person on the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import signin, tokens
from accounts.models import ApiToken
from common.access import get_visible
from common.serializers import Input, TextField

SIGN_IN_LIFETIME = timedelta(days=30)


class SignInInput(Input):
    username = TextField(max_length=150)
    password = TextField(max_length=1000, trim_whitespace=False, write_only=True)
    name = TextField(max_length=100, required=False, default="Signed in by API")


class TokenInput(Input):
    name = TextField(max_length=100)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="Empty: valid until revoked."
    )


class TokenSerializer(serializers.ModelSerializer):
    class Meta:
        model = ApiToken
        fields = ["id", "name", "prefix", "created_at", "last_used_at", "expires_at"]
        read_only_fields = fields


class NewTokenSerializer(TokenSerializer):
    token = serializers.CharField(help_text="The key. It is shown this once.")

    class Meta(TokenSerializer.Meta):
        fields = ["token", *TokenSerializer.Meta.fields]
        read_only_fields = fields


def _with_key(made: tuple[ApiToken, str]) -> dict[str, Any]:
    token, key = made
    return {"token": key} | TokenSerializer(token).data


class SignInView(APIView):
    # Without a session no cookie is read, so there is nothing to forge from another site.
    authentication_classes: list[type] = []
    permission_classes: list[type] = []

    @extend_schema(
        operation_id="auth_token",
        tags=["auth"],
        summary="Get a token with name and password",
        description="The token is valid for 30 days. The tenth wrong attempt within five minutes answers 429.",
        request=SignInInput,
        responses={200: NewTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        given = SignInInput.read(request.data)
        user = signin.sign_in(request._request, given["username"], given["password"])
        return Response(_with_key(tokens.create(user, given["name"], timezone.now() + SIGN_IN_LIFETIME)))


class TokensView(APIView):
    @extend_schema(
        operation_id="auth_tokens_list",
        tags=["auth"],
        summary="Your tokens, without their keys",
        responses={200: TokenSerializer(many=True)},
    )
    def get(self, request: Request) -> Response:
        return Response(TokenSerializer(ApiToken.objects.filter(user=request.user), many=True).data)

    @extend_schema(
        operation_id="auth_tokens_create",
        tags=["auth"],
        summary="Make a token",
        request=TokenInput,
        responses={201: NewTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        given = TokenInput.read(request.data)
        return Response(_with_key(tokens.create(request.user, given["name"], given["expires_at"])), status=201)


class TokenView(APIView):
    @extend_schema(operation_id="auth_tokens_delete", tags=["auth"], summary="Revoke a token", responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        # Also for staff only their own: a token of someone else is not even listed.
        mine = ApiToken.objects.filter(user=request.user)
        tokens.revoke(get_visible(mine, request.user, "user", pk=token_id))
        return Response(status=204)


class MeView(APIView):
    @extend_schema(
        operation_id="auth_me",
        tags=["auth"],
        summary="Who you are",
        responses={
            200: inline_serializer(
                "Me",
                {
                    "id": serializers.IntegerField(),
                    "username": serializers.CharField(),
                    "email": serializers.CharField(),
                    "is_staff": serializers.BooleanField(help_text="Staff see everyone's rows."),
                },
            )
        },
    )
    def get(self, request: Request) -> Response:
        user = request.user
        return Response({"id": user.pk, "username": user.username, "email": user.email, "is_staff": user.is_staff})
