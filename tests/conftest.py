"""The cast of the tests."""

import pytest


@pytest.fixture
def owner(db, django_user_model):
    """The one who made it."""
    return django_user_model.objects.create_user("alice", "alice@example.org", "correct horse battery")


@pytest.fixture
def stranger(db, django_user_model):
    """Signed in, but owns nothing of it."""
    return django_user_model.objects.create_user("mallory", "mallory@example.org", "correct horse battery")


@pytest.fixture
def administrator(db, django_user_model):
    return django_user_model.objects.create_superuser("admin", "admin@example.org", "correct horse battery")
