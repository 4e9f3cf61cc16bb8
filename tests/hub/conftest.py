"""One hub for the tests that leave it whole; those that break it start their own."""

import pytest

from tests.hub.harness import running


@pytest.fixture(scope="session")
def hub():
    # Sources of this machine may be asked by address, as an administrator of an intranet would allow them.
    yield from running(
        TRAINHUB_CHECKPOINT_SECONDS="0.5", TRAINHUB_ALLOW_INTERNAL_SOURCES="127.0.0.1/32",
        TRAINHUB_ALLOW_INTERNAL_ENDPOINTS="127.0.0.1",
    )  # fmt: skip
