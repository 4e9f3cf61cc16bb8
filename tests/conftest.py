"""The cast of the tests."""

from importlib import import_module

import hypothesis
import pytest
from django.apps import apps
from django.conf import settings
from django.db.models.signals import post_migrate
from xdist.scheduler import LoadScopeScheduling


def pytest_configure(config) -> None:
    # Argon2 is meant to be slow; hundreds of people are made and signed in here.
    # A fresh clone has collected no static files yet; a real hub collects its own.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    post_migrate.connect(_put_back)
    # How long an example takes says how busy the machine is, not whether it is right.
    slow = hypothesis.HealthCheck.too_slow
    hypothesis.settings.register_profile("shared", deadline=None, suppress_health_check=[slow])
    hypothesis.settings.load_profile("shared")


# What measures time or memory: one at a time, after all that share the machine.
ALONE = (
    "tests/faults/test_smoke.py", "tests/hub/test_doors.py", "tests/engine/test_ahead.py",
    "tests/engine/test_commands.py", "tests/engine/test_events.py", "tests/engine/test_launch.py",
    "tests/engine/test_predict.py", "tests/engine/test_results.py", "tests/engine/test_several_processes.py",
    "tests/engine/test_telemetry.py", "tests/engine/test_warm.py",
)  # fmt: skip
# Of these folders one process runs all, with one hub; of the others it runs a module as a whole.
TOGETHER = ("tests/e2e", "tests/hub")


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker(pytest.mark.alone)


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


class Scheduling(LoadScopeScheduling):
    """What shares costly fixtures runs in one process."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if module.startswith(folder)), module)


def _put_back(sender, **found) -> None:
    """A flush after a test with transactions of its own takes what migrations have put there, too."""
    if sender.name == "datasets":
        import_module("datasets.migrations.0004_default_policy").make(apps, None)


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
