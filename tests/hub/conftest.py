"""One hub for the tests that leave it whole; those that break it start their own."""

import pytest

from tests.hub.harness import running


@pytest.fixture(scope="session")
def hub():
    yield from running(TRAINHUB_CHECKPOINT_SECONDS="0.5")
