"""Jobs that start at a time or after others, what a retry can help, and how long it waits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from jobs import conclusion
from jobs.control import cancel, pause, resume, retry, start_now
from jobs.models import Attempt, Job
from jobs.queue import claim, ready
from jobs.reasons import waiting_reason
from jobs.retries import delay
from jobs.waiting import release_due
from tests.jobs.test_state_machine import ENDS, report


@pytest.fixture
def first(running):
    """The job that others start after; it runs."""
    return running.job


@pytest.fixture
def fail(first):
    return lambda: conclusion.fail(first.pk, first.attempt_number, code="CODE_ERROR", message="broken")


def state(job):
    job.refresh_from_db()
    return job.status


def pass_time():
    Job.objects.exclude(not_before=None).update(not_before=timezone.now())
    release_due()


def test_a_job_starts_when_all_that_it_starts_after_have_completed(make_job, first):
    second = make_job(name="second")
    job = make_job(after=[first, second])
    assert waiting_reason(job) == f"Starts after job {first.pk} 'running', {second.pk} 'second'."
    conclusion.conclude(first.pk, 1, ENDS["completed"])
    release_due()
    assert waiting_reason(job) == f"Starts after job {second.pk} 'second'."
    Job.objects.filter(pk=second.pk).update(status="completed", completed_at=timezone.now())
    assert release_due() == 1
    assert state(job) == "queued"
    assert job.events.last().message == "The jobs before it have ended."


def test_a_job_named_twice_is_waited_for_once(make_job, first):
    assert make_job(after=[first, first]).dependencies.count() == 1


@pytest.mark.parametrize(("policy", "becomes"), [("cancel", "cancelled"), ("wait", "pending"), ("run", "queued")])
@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_each_policy_when_the_job_before_it_does_not_complete(make_job, first, policy, becomes, end):
    job, behind = make_job(after=[first], after_failure=policy), None
    behind = make_job(after=[job], name="behind")
    how = {"failed": "code", "cancelled": "cancelled"}[end]
    conclusion.conclude(first.pk, 1, ENDS[how])
    while release_due():
        pass
    assert state(job) == becomes
    if policy == "cancel":
        ended = "failed" if end == "failed" else "was cancelled"
        assert job.events.last().message == f"Job {first.pk} 'running', after which it was to start, {ended}."
        assert state(behind) == "cancelled"
    else:
        assert state(behind) == "pending"


def test_one_that_waits_for_a_retry_goes_on_when_that_completes(make_job, first, fail, owner, slot, myself):
    job = make_job(after=[first], after_failure="wait")
    fail()
    release_due()
    assert waiting_reason(job) == f"Job {first.pk} 'running' failed: waits until it is retried and completes."
    retry(first, owner)
    release_due()
    assert waiting_reason(job) == f"Starts after job {first.pk} 'running'."
    conclusion.conclude(first.pk, claim(slot, myself).number, ENDS["completed"])
    release_due()
    assert state(job) == "queued"


def test_a_job_that_could_never_start_is_refused_and_others_are_made(make_job, first, fail):
    fail()
    with pytest.raises(InvalidInputError, match="has failed, so a job after it would never start"):
        make_job(after=[first])
    assert make_job(after=[first], after_failure="run").status == "queued"
    assert make_job(after=[first], after_failure="wait").status == "pending"


def test_a_paused_job_does_not_run_when_what_it_starts_after_has_failed(make_job, first, fail, owner):
    job = pause(make_job(after=[first]), owner)
    fail()
    with pytest.raises(ConflictError, match=f"Job {first.pk} 'running', after which job {job.pk} is to start, failed"):
        resume(job, owner)
    retry(first, owner)
    assert resume(job, owner).status == "pending"


def test_one_cancelled_with_the_job_before_it_is_retried_after_that(make_job, first, fail, owner):
    job = make_job(after=[first])
    fail()
    release_due()
    with pytest.raises(ConflictError):
        retry(job, owner)
    retry(first, owner)
    assert retry(job, owner).status == "pending"


def test_start_now_forgets_what_it_waited_for(make_job, first, owner):
    job = start_now(make_job(after=[first], not_before=timezone.now() + timedelta(days=1)), owner)
    assert (job.status, job.not_before, job.dependencies.count()) == ("queued", None, 0)
    assert start_now(job, owner).event_count == job.event_count


def test_a_job_for_later_waits_for_its_time_and_queues_up_then(make_job, owner, stranger):
    moment = timezone.now() + timedelta(hours=2)
    job = make_job(not_before=moment)
    assert job.status == "pending"
    assert waiting_reason(job) == f"Starts at {moment:%Y-%m-%d %H:%M} UTC."
    assert release_due() == 0
    for number in range(3):
        make_job(name=f"m{number}", owner=stranger)
    pass_time()
    assert ready().first() == job  # beside the first of the other user, before the rest


def test_a_paused_job_for_later_still_waits_when_it_is_resumed(make_job, owner):
    job = pause(make_job(not_before=timezone.now() + timedelta(hours=2)), owner)
    assert resume(job, owner).status == "pending"


def test_waits_grow_and_a_full_disk_waits_from_the_first_time(settings):
    settings.RETRY_DELAYS = (0.0, 1.0, 10.0, 60.0)
    assert [delay(wasted, "KILLED").total_seconds() for wasted in range(1, 7)] == [0, 1, 10, 60, 60, 60]
    assert [delay(wasted, "DISK_FULL").total_seconds() for wasted in range(1, 5)] == [1, 10, 60, 60]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("killed", "queued", "KILLED"),
        ("crashed", "queued", "CRASHED"),
        ("left", "queued", "CRASHED"),
        ("disk", "pending", "DISK_FULL"),
        ("oom", "failed", "OUT_OF_MEMORY"),
        ("code", "failed", "CODE_ERROR"),
        ("limit", "failed", "TIME_LIMIT"),
    ],
)
def test_what_a_retry_can_help_is_retried(first, how, status, code):
    conclusion.conclude(first.pk, 1, ENDS[how])
    assert state(first) == status
    assert Attempt.objects.get().code == code
    assert first.failure_code == (code if status == "failed" else "")


def test_a_wait_before_the_next_attempt_is_told_with_its_reason(first, settings, slot, myself):
    settings.RETRY_DELAYS = (0.0, 600.0)
    conclusion.conclude(first.pk, 1, ENDS["killed"])
    conclusion.conclude(first.pk, claim(slot, myself).number, ENDS["killed"])
    first.refresh_from_db()
    assert waiting_reason(first).startswith("Is tried again 10 m 00 s after attempt 2:")
    assert "The trainer was killed by SIGKILL." in waiting_reason(first)
    assert claim(slot, myself) is None
    pass_time()
    assert claim(slot, myself).number == 3


def test_a_checkpoint_further_on_begins_the_count_anew(first, slot, myself):
    for number in range(1, 8):
        report(first.pk, number, step=number, checkpoint=number)
        conclusion.conclude(first.pk, number, ENDS["killed"])
        first.refresh_from_db()
        assert (first.status, first.attempts_since_progress) == ("queued", 1)
        claim(slot, myself)


def test_a_poison_job_ends_after_its_attempts_while_others_go_on(make_job, first, slot, myself, settings):
    others = [make_job(name=f"other {number}") for number in range(3)]
    for number in range(1, settings.MAX_ATTEMPTS):
        conclusion.conclude(first.pk, number, ENDS["crashed"])
        if state(first) == "pending":  # it waits, and the slot is for others
            between = claim(slot, myself)
            assert between.job in others
            conclusion.conclude(between.job_id, 1, ENDS["completed"])
            pass_time()
        assert claim(slot, myself).job_id == first.pk
    conclusion.conclude(first.pk, settings.MAX_ATTEMPTS, ENDS["crashed"])
    assert (state(first), first.failure_code) == ("failed", "TOO_MANY_ATTEMPTS")
    assert "See the log" in first.failure_hint
    assert [state(job) for job in others] == ["completed"] * 3


def test_a_pause_does_not_forget_attempts_that_got_nowhere(first, owner):
    pause(first, owner)
    conclusion.conclude(first.pk, 1, ENDS["killed"])
    assert (state(first), first.attempts_since_progress) == ("paused", 1)


def test_a_cancel_stands_against_every_end_but_completion(make_job, slot, myself, owner):
    for how in ("paused", "stopped", "code", "disk", "killed", "oom", "limit"):
        make_job()
        attempt = claim(slot, myself)
        cancel(attempt.job, owner)
        conclusion.conclude(attempt.job_id, 1, ENDS[how])
        assert state(attempt.job) == "cancelled", how
