"""How a request to the API says who sends it: a token, or the session of the pages.

The token comes first, so that REST framework answers an anonymous request with 401 and its challenge.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import tokens
from accounts.models import ApiToken

__all__ = ["SessionAuthentication", "TokenAuthentication"]

SCHEME = "Bearer"
LONGEST_KEY = 200


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiToken] | None:
        """None when the request carries no token, so that the session is asked."""
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != SCHEME.lower().encode():
            return None
        if len(parts) != 2 or len(parts[1]) > LONGEST_KEY:
            raise AuthenticationFailed("The Authorization header must be 'Bearer' and one token.")
        token = tokens.authenticate(parts[1].decode("utf-8", "surrogateescape"))
        if token is None:
            raise AuthenticationFailed("This token is not valid: it is unknown, expired, or was revoked.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="TrainHub"'


class TokenScheme(OpenApiAuthenticationExtension):
    """How the API's schema describes the token."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token from POST /api/v1/auth/token."}
