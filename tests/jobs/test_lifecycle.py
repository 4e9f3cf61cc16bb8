"""Every change of status is one guarded update with its event."""

import threading

import pytest
from django.db import connection
from django.utils import timezone

from jobs import conclusion
from jobs.conclusion import Ending
from jobs.control import cancel, pause, resume, retry
from jobs.lifecycle import NotInStateError, StaleAttemptError, move
from jobs.models import Attempt, Job, OutboxMessage
from jobs.queue import claim
from jobs.states import ACTIVE, LOOKS, MOVES, TERMINAL, Status
from jobs.waiting import release_due


def pass_time():
    """Until every job that waits for its next attempt may have it."""
    Job.objects.filter(status="pending").update(not_before=timezone.now())
    release_due()


def story(job):
    return [(event.kind, event.from_status, event.to_status) for event in job.events.order_by("sequence")]


def test_every_state_has_a_group_a_look_and_moves():
    assert set(Status) == set(MOVES) == set(LOOKS) == ACTIVE | TERMINAL
    assert not ACTIVE & TERMINAL
    assert all(MOVES[status] for status in ACTIVE)


def test_a_new_job_is_queued_with_its_first_event(make_job):
    job = make_job()
    assert job.status == Status.QUEUED
    assert story(job) == [("created", "", "queued")]


def test_a_claim_starts_the_first_attempt_with_a_lease(running):
    job = running.job
    assert (job.status, job.phase, job.attempt_number) == ("running", "preparing", 1)
    assert running.lease_until > running.started_at
    assert story(job) == [("created", "", "queued"), ("started", "queued", "running")]


def test_an_attempt_that_lost_its_job_can_write_nothing(running):
    conclusion.requeue(running.job_id, 1, Attempt.Outcome.LOST, "gone")
    with pytest.raises(StaleAttemptError):
        move(running.job_id, Status.COMPLETED, kind="completed", expected={Status.RUNNING}, attempt=1)
    with pytest.raises(StaleAttemptError):
        conclusion.fail(running.job_id, 1, code="X", message="too late")
    assert Job.objects.get(pk=running.job_id).status == Status.QUEUED


def test_an_end_that_was_written_before_is_not_written_again(running):
    completed = {"event": "completed", "step": 3, "metrics": {}, "artifact": []}
    ending = Ending(ended=conclusion.Ended(code=0), event=completed)
    conclusion.conclude(running.job_id, 1, ending)
    conclusion.conclude(running.job_id, 1, ending)
    job = Job.objects.get(pk=running.job_id)
    assert [kind for kind, *_ in story(job)] == ["created", "started", "completed"]
    assert OutboxMessage.objects.filter(job=job).count() == 1


def test_a_queued_job_is_cancelled_at_once_and_a_second_time_is_refused_in_words(make_job, owner):
    job = cancel(make_job(), owner)
    assert (job.status, bool(job.completed_at)) == ("cancelled", True)
    with pytest.raises(NotInStateError, match=r"Job \d+ is cancelled"):
        cancel(job, owner)


def test_cancelling_a_running_job_is_a_request_that_its_supervisor_carries_out(running, owner):
    job = cancel(running.job, owner)
    assert (job.status, job.request) == ("running", "cancel")
    cancel(running.job, owner)
    conclusion.conclude(job.pk, 1, Ending(ended=conclusion.Ended(code=4), event={"event": "cancelled", "step": 2}))
    job.refresh_from_db()
    assert (job.status, job.request, job.phase) == ("cancelled", "", "")
    assert [kind for kind, *_ in story(job)] == ["created", "started", "cancel_requested", "cancelled"]


def test_a_paused_job_goes_on_when_it_is_resumed(running, owner, slot, myself):
    pause(running.job, owner)
    conclusion.conclude(running.job_id, 1, Ending(ended=conclusion.Ended(code=3), event={"event": "paused", "step": 2}))
    job = Job.objects.get(pk=running.job_id)
    assert job.status == Status.PAUSED
    resume(job, owner)
    assert claim(slot, myself).number == 2


def test_a_cancel_that_meets_a_crash_ends_cancelled_not_queued(running, owner):
    cancel(running.job, owner)
    conclusion.conclude(running.job_id, 1, Ending(ended=conclusion.Ended(signal=9)))
    assert Job.objects.get(pk=running.job_id).status == Status.CANCELLED


def test_a_crashed_trainer_is_tried_again_before_all_others(running, make_job, slot, myself):
    make_job(name="urgent", priority=100)
    conclusion.conclude(running.job_id, 1, Ending(ended=conclusion.Ended(signal=9)))
    job = Job.objects.get(pk=running.job_id)
    assert (job.status, job.interrupted) == ("queued", True)
    assert job.events.last().message == "The trainer was killed by SIGKILL."
    assert claim(slot, myself).job_id == job.pk


def test_a_job_whose_attempts_get_nowhere_fails_and_says_so(running, slot, myself):
    for number in range(1, 6):
        conclusion.conclude(running.job_id, number, Ending(ended=conclusion.Ended(signal=11)))
        if number < 5:
            pass_time()
            assert claim(slot, myself).number == number + 1
    job = Job.objects.get(pk=running.job_id)
    assert (job.status, job.failure_code) == ("failed", "TOO_MANY_ATTEMPTS")
    assert "SIGSEGV" in job.failure_message


def test_out_of_memory_fails_at_once_with_what_to_change(running):
    conclusion.conclude(running.job_id, 1, Ending(ended=conclusion.Ended(signal=9, oom=True)))
    job = Job.objects.get(pk=running.job_id)
    assert (job.status, job.failure_code) == ("failed", "OUT_OF_MEMORY")
    assert "batch size" in job.failure_hint


def test_a_failed_job_can_be_retried_and_forgets_its_failure(running, owner):
    conclusion.fail(running.job_id, 1, code="CODE_ERROR", message="broken")
    job = retry(running.job, owner)
    assert (job.status, job.failure_code, job.completed_at) == ("queued", "", None)


def test_a_retry_begins_at_step_0_when_no_checkpoint_can_be_used(running, owner):
    Job.objects.update(current_step=40)
    conclusion.fail(running.job_id, 1, code="CORRUPT_CHECKPOINTS", message="None can be used.")
    assert retry(running.job, owner).current_step == 0


@pytest.mark.django_db(transaction=True)
def test_twenty_people_pressing_different_buttons_end_in_one_legal_state(make_job, owner):
    job = make_job()
    verbs = [cancel, pause, resume, retry] * 5

    def press(verb):
        try:
            verb(job, owner)
        except NotInStateError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job.refresh_from_db()
    events = list(job.events.order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, job.event_count + 1))
    state = ""
    for event in events:  # the log replays to the row
        assert event.from_status == state
        assert not state or Status(event.to_status) in MOVES[Status(state)]
        state = event.to_status
    assert state == job.status


def test_a_refused_verb_is_named_as_it_was_asked(running, owner):
    for verb, word in ((resume, "resumed"), (retry, "retried")):
        with pytest.raises(NotInStateError, match=f"is running, so it can't be {word}"):
            verb(running.job, owner)


def test_a_simulated_run_makes_no_version(running):
    completed = {"event": "completed", "step": 3, "metrics": {"best/step": 3}, "artifact": []}
    conclusion.conclude(running.job_id, 1, Ending(ended=conclusion.Ended(code=0), event=completed))
    assert Job.objects.get().model_version is None


def test_the_folder_of_an_ended_job_is_swept_and_that_of_a_failed_one_kept(running, make_job, owner):
    from jobs.folders import sweep_folders, work_folder

    ended = cancel(make_job(), owner)
    conclusion.fail(running.job_id, 1, code="CODE_ERROR", message="broken")
    for job_id in (ended.pk, running.job_id):
        (work_folder(job_id) / "checkpoints").mkdir(parents=True)
    (work_folder(0).parent / ".trash-5-x").mkdir()
    sweep_folders()
    left = {path.name for path in work_folder(0).parent.iterdir()}
    assert str(running.job_id) in left
    assert not {str(ended.pk), ".trash-5-x"} & left
