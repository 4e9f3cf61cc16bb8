"""The cast of the tests."""

import pytest
from django.conf import settings


def pytest_configure(config) -> None:
    # Argon2 is meant to be slow; hundreds of people are made and signed in here.
    # A fresh clone has collected no static files yet; a real hub collects its own.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


ALONE = ("tests/e2e/", "tests/hub/", "tests/faults/", "tests/engine/")
# Of these folders, what measures no time and can run beside something else.
BESIDE = (
    "tests/hub/test_real_sets.py", "tests/hub/test_killed_work.py", "tests/hub/test_search.py",
    "tests/hub/test_merging.py", "tests/e2e/test_merging.py",
    "tests/e2e/test_real_sets.py", "tests/e2e/test_accessibility.py", "tests/engine/test_own_recipe.py",
    "tests/engine/test_trial.py",
)  # fmt: skip


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if item.nodeid.startswith(ALONE) and not item.nodeid.startswith(BESIDE):
            item.add_marker(pytest.mark.alone)


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
