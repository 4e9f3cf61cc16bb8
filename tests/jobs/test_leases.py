"""A lease is held while a large result is stored."""

import threading

import pytest

from jobs import conclusion
from jobs.conclusion import Ended, Ending
from jobs.leases import held
from jobs.models import Attempt, Job

pytestmark = pytest.mark.django_db(transaction=True)


def moved(attempt, seconds=10.0):
    """Wait until the attempt's lease was renewed."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if Attempt.objects.get(pk=attempt.pk).lease_until != attempt.lease_until:
            return True
        pause.wait(0.05)
    return False


def test_storing_a_result_holds_the_lease_however_long_it_takes(running, monkeypatch, settings):
    settings.LEASE_SECONDS = 0.6
    seen = []

    def store_slowly(folder, listed):
        seen.append(moved(running))
        return []

    monkeypatch.setattr(conclusion, "_keep_artifact", store_slowly)
    completed = {"event": "completed", "step": 5, "metrics": {}, "artifact": []}
    conclusion.conclude(running.job_id, 1, Ending(ended=Ended(code=0), event=completed))
    assert seen == [True]
    assert Job.objects.get().status == "completed"


def test_a_lease_that_is_over_is_not_taken_again(running, settings):
    settings.LEASE_SECONDS = 0.3
    conclusion.conclude(running.job_id, 1, Ending(ended=Ended(signal=9)))
    before = Attempt.objects.get(pk=running.pk)
    with held(running.job_id, 1):
        assert not moved(before, 0.5)
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]
