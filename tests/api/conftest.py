"""Clients of the API, each with a token of their own."""

import pytest
from django.test import Client

from accounts import tokens
from tests.world import make_world


class Api(Client):
    """Sends JSON with a token to addresses below /api/v1/."""

    def __init__(self, user=None):
        headers = {"Authorization": f"Bearer {tokens.create(user, 'test')[1]}"} if user else None
        super().__init__(headers=headers, raise_request_exception=False)

    def generic(self, method, path, *arguments, **options):
        path = path if path.startswith("/") else f"/api/v1/{path}"
        return super().generic(method, path, *arguments, **options)

    def send(self, method, path, body=None, **options):
        """With a JSON body, or none."""
        if body is None:
            return self.generic(method, path, **options)
        text = body if isinstance(body, str | bytes) else __import__("json").dumps(body)
        return self.generic(method, path, text, content_type="application/json", **options)

    def post_json(self, path, body=None, **options):
        return self.send("POST", path, {} if body is None else body, **options)


@pytest.fixture
def alice(owner):
    return Api(owner)


@pytest.fixture
def mallory(stranger):
    return Api(stranger)


@pytest.fixture
def staff(administrator):
    return Api(administrator)


@pytest.fixture
def anonymous(db):
    return Api()


@pytest.fixture
def world(owner):
    return make_world(owner)
