"""The documented example does a newcomer's whole path by the API alone, with the standard library alone."""

import subprocess
import sys

import pytest

from common.paths import PROJECT
from tests.hub.harness import PASSWORD

pytestmark = pytest.mark.hub
SCRIPT = PROJECT / "docs" / "examples" / "first_job.py"


def run(*arguments):
    # -I: neither our packages nor the environment help it along.
    command = [sys.executable, "-I", str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_example_goes_from_nothing_to_a_prediction_and_a_session(hub):
    done = run(hub.url, "--username", "admin", "--password", PASSWORD)
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("holds 80 pictures", "completed 100.0 %", "Loss fell from", "is taken for: cross", "Session"):
        assert step in done.stdout


def test_the_example_says_what_went_wrong(hub):
    done = run(hub.url, "--username", "admin", "--password", "wrong")
    assert done.returncode == 1
    assert "don't match an active account" in done.stderr
    assert "Traceback" not in done.stderr
