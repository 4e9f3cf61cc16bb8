"""Why a job waits, in one sentence for each answer of the scheduler."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.control import pause
from jobs.limits import set_limit
from jobs.models import Attempt, Job, Node, Slot
from jobs.needs import Needs
from jobs.queue import claim, ready
from jobs.reasons import Forecast, _about, places_of, waiting_reason, waiting_reasons
from jobs.scheduling import Answer, Picture


@pytest.fixture
def lengths(owner):
    """Enough completed jobs to know how long one usually takes: ten minutes."""
    ended = {"status": "completed", "completed_at": timezone.now(), "spent_seconds": 600.0}
    Job.objects.bulk_create(Job(owner=owner, name="old", recipe="simulate", **ended) for _ in range(3))


def test_a_job_that_does_not_wait_has_no_reason(running, owner):
    assert waiting_reason(running.job) == ""


def test_the_next_one_is_told_so_and_others_how_many_are_before_them(make_job, slot):
    jobs = [make_job() for _ in range(3)]
    assert waiting_reasons(jobs) == {
        jobs[0].pk: "Next: a worker takes it at once.",
        jobs[1].pk: "1 job before it.",
        jobs[2].pk: "2 jobs before it.",
    }


def test_a_busy_hub_says_what_is_free_and_when_it_will_be_the_jobs_turn(running, make_job, lengths):
    Attempt.objects.update(started_at=timezone.now() - timedelta(minutes=4))
    Job.objects.filter(pk=running.job_id).update(attempt_started_at=timezone.now() - timedelta(minutes=4))
    first, second = make_job(), make_job()
    assert waiting_reason(first) == "Next; needs a device, node n1 has 0 free, expected in about 6 min."
    assert waiting_reason(second) == "1 job before it; needs a device, node n1 has 0 free, expected in about 16 min."


def test_the_speed_of_what_runs_is_better_known_than_the_usual_length(running, make_job, lengths):
    Job.objects.filter(pk=running.job_id).update(total_steps=100, current_step=40, step_seconds=0.5)
    assert waiting_reason(make_job()).endswith("expected in about 30 s.")


def test_on_a_new_hub_the_speed_of_what_runs_is_all_that_is_known(running, make_job):
    first, second = make_job(), make_job()
    assert waiting_reason(first) == "Next; needs a device, node n1 has 0 free."
    Job.objects.filter(pk=running.job_id).update(total_steps=100, current_step=40, step_seconds=0.5)
    assert waiting_reason(first).endswith("0 free, expected in about 30 s.")
    assert waiting_reason(second) == "1 job before it; needs a device, node n1 has 0 free."


def test_nothing_is_promised_before_there_is_something_to_reckon_with(running, make_job):
    assert waiting_reason(make_job()) == "Next; needs a device, node n1 has 0 free."


def test_each_other_answer_has_its_sentence(make_job, slot, owner, administrator):
    job = make_job()
    assert waiting_reason(make_job(resources={"devices": 2})) == "Needs 2 devices: no node that is running has that."
    Node.objects.update(draining=True)
    assert waiting_reason(job) == "Needs a device: node n1 has that, but takes no new jobs (it is being drained)."
    set_limit(administrator, max_running=0)
    assert waiting_reason(job).startswith("Its owner may have none running")
    set_limit(administrator)
    Node.objects.update(heartbeat_at=timezone.now() - timedelta(hours=1))
    assert waiting_reason(job) == "Waits for a worker: no node is running."
    assert waiting_reason(pause(job, owner)) == "Paused. Resume it to go on."


def test_the_sentence_and_the_claim_agree(make_job, slot, myself):
    job = make_job()
    verdict = Picture.take().judge(*_asked(job))
    assert verdict.answer is Answer.NOW
    assert claim(slot, myself).job_id == job.pk
    assert Picture.take().judge(*_asked(make_job())).answer is Answer.BUSY


def _asked(job):
    return Needs.of_lane(job.lane), job.owner_id, job.subject_id


def test_places_are_those_of_the_queues_order(make_job, owner, stranger):
    for number in range(12):
        make_job(owner=[owner, stranger][number % 2], priority=number % 3, resources={"devices": 1 + number % 2})
    Job.objects.filter(pk__in=list(Job.objects.values_list("pk", flat=True)[:2])).update(interrupted=True)
    order = list(ready().values_list("pk", flat=True))
    assert places_of(order) == {pk: place for place, pk in enumerate(order)}
    assert places_of(order[4:7:2]) == {order[4]: 4, order[6]: 6}
    assert [places_of([pk])[pk] for pk in order] == list(range(12))
    wide = list(ready().exclude(lane="any 1 0 ").values_list("pk", flat=True))
    assert places_of(order, ["any 1 0 "]) == {pk: place for place, pk in enumerate(wide)}
    assert places_of([0]) == {}


@pytest.mark.parametrize(
    ("slots", "devices", "before", "seconds"),
    [([0.0], 1, 0, 0), ([60.0], 1, 0, 60), ([60.0], 1, 2, 260), ([0.0, 50.0], 1, 2, 100), ([10.0, 70.0], 2, 0, 70)],
)
def test_the_forecast_runs_the_queue_on_the_slots(slots, devices, before, seconds):
    assert Forecast._wait(slots, devices, before, typical=100.0) == seconds


def test_a_forecast_is_as_coarse_as_what_it_knows():
    assert [_about(seconds) for seconds in (0, 45, 90, 3600, 7200, 200_000)] == [
        "1 s", "45 s", "2 min", "60 min", "2 h", "2 days",
    ]  # fmt: skip


def test_a_slot_of_a_closed_node_is_no_forecast(running, make_job, lengths):
    now = timezone.now()
    far = Node.objects.create(name="far", host="far", started_at=now, heartbeat_at=now, draining=True)
    Slot.objects.create(node=far, index=0, device="cpu", queue="far.0")
    assert "expected in about 10 min" in waiting_reason(make_job())
