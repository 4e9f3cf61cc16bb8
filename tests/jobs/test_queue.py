"""The order of the queue, and that no two workers take the same job."""

import threading
from dataclasses import replace

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from common.errors import ConflictError, InvalidInputError
from jobs.control import change
from jobs.models import Attempt, Job, Node, Slot
from jobs.queue import claim, knock, ready
from jobs.reasons import waiting_reason
from jobs.recovery import release_lost, release_slot
from jobs.sweep import deaf_queues, oldest
from jobs.tasks import answer


def names(jobs):
    return [job.name for job in jobs]


def test_higher_priority_goes_first_and_equals_in_order_of_arrival(make_job, owner):
    for name, priority in [("a", 0), ("b", 5), ("c", 0), ("d", 5)]:
        make_job(name=name, priority=priority)
    assert names(ready()) == ["b", "d", "a", "c"]
    change(Job.objects.get(name="c"), owner, priority=9)
    assert names(ready()) == ["c", "b", "d", "a"]


def test_a_job_for_a_gpu_is_left_for_a_gpu(make_job, slot, myself):
    make_job(name="gpu", resources={"device": "cuda"})
    assert claim(slot, myself) is None
    assert waiting_reason(Job.objects.get()) == "Needs a GPU: no node that is running has that."
    Slot.objects.update(device="cuda:0")
    assert claim(slot, myself).job.name == "gpu"


def test_a_slot_runs_one_job_at_a_time(running, make_job, slot, myself):
    make_job()
    assert claim(slot, myself) is None
    Slot.objects.update(held_by=None)  # were the slot's own note lost, the schema would still refuse
    with pytest.raises(Exception, match="attempt_one_active_per_slot"):
        claim(slot, myself)


def test_each_waiting_job_says_what_it_waits_for(make_job, slot):
    first, second = make_job(), make_job()
    assert waiting_reason(first).startswith("Next")
    assert waiting_reason(second) == "1 job before it."
    Node.objects.update(state=Node.State.STOPPED)
    assert waiting_reason(first) == "Waits for a worker: no node is running."


@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_take_every_job_once(make_job, slot, myself):
    for number in range(24):
        make_job(name=str(number))
    slots = [slot] + [
        Slot.objects.create(node=slot.node, index=index, device="cpu", queue=f"q{index}") for index in range(1, 24)
    ]
    taken = []

    def work(place):
        try:
            taken.append(claim(place, myself))
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(place,)) for place in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = [claim(place, myself) for place in slots if not Attempt.objects.filter(slot=place).exists()]
    jobs = [attempt.job_id for attempt in [*taken, *again] if attempt]
    assert sorted(jobs) == sorted(Job.objects.values_list("pk", flat=True))


def test_a_model_has_one_active_job_and_the_second_hears_which(make_job, owner):
    from registry.models import Model

    model = Model.objects.create(owner=owner, name="m", recipe="simulate")
    first = make_job(model=model)
    with pytest.raises(ConflictError, match=f"Job {first.pk} .* is queued for the model 'm'"):
        make_job(model=model)


def test_the_same_key_and_request_make_one_job(make_job):
    first, again = make_job(idempotency_key="k"), make_job(idempotency_key="k")
    assert first.pk == again.pk
    with pytest.raises(ConflictError, match="another request"):
        make_job(idempotency_key="k", name="other")


@pytest.mark.django_db(transaction=True)
def test_twenty_requests_at_once_with_one_key_make_one_job(make_job, owner):
    found = []

    def send():
        try:
            found.append(make_job(idempotency_key="same").pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    assert len(set(found)) == Job.objects.count() == 1


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"recipe": "nothing"}, "recipe"),
        ({"config": {"steps": -1}}, "config.steps"),
        ({"config": {"unknown": 1}}, "config.unknown"),
        ({"seed": -1}, "seed"),
        ({"resources": {"device": "tpu"}}, "resources"),
        ({"recipe": "text-generation"}, "dataset"),
    ],
)
def test_a_wrong_request_names_the_field_and_makes_nothing(make_job, wanted, field):
    with pytest.raises(InvalidInputError) as problem:
        make_job(**wanted)
    assert field in problem.value.fields
    assert problem.value.hint
    assert not Job.objects.exists()


def test_a_dead_supervisor_of_this_host_is_found_without_waiting_for_its_lease(make_job, slot, myself):
    make_job()
    attempt = claim(slot, replace(myself, start_time=myself.start_time - 1))  # our number, another process
    assert release_lost() == 1
    attempt.refresh_from_db()
    assert (attempt.outcome, attempt.job.__class__.objects.get().status) == ("lost", "queued")


def test_a_living_supervisor_is_left_alone_until_its_lease_runs_out(running):
    assert release_lost() == 0
    Attempt.objects.update(lease_until=timezone.now() - timezone.timedelta(seconds=1))
    assert release_lost() == 1


def test_another_hosts_attempt_is_ended_only_when_its_lease_ran_out(make_job, slot, myself):
    make_job()
    claim(slot, replace(myself, host="elsewhere", boot_id="other"))
    assert release_lost() == 0
    assert not release_slot(slot, myself)
    Attempt.objects.update(lease_until=timezone.now() - timezone.timedelta(seconds=1))
    assert release_lost() == 1


@pytest.mark.django_db(transaction=True)
def test_a_free_slot_is_knocked_at_once_only_and_an_unanswered_knock_is_noticed(make_job, slot):
    make_job()
    assert OrmQ.objects.filter(key=slot.queue).count() == 1  # by the creation's commit
    assert knock() == 0
    assert deaf_queues(slot.node_id) == []
    OrmQ.objects.update(lock=timezone.now() - timezone.timedelta(seconds=30))
    assert 29 < oldest(slot.queue) < 32
    assert deaf_queues(slot.node_id) == [slot.queue]


def test_an_attempt_whose_claim_was_never_heard_of_is_given_back_by_its_own_process(running, slot, myself):
    assert release_slot(slot, myself)
    assert Job.objects.get().status == "queued"


def test_a_knock_from_a_host_whose_clock_is_ahead_is_not_taken_for_old(slot):
    OrmQ.objects.create(key=slot.queue, payload="", lock=timezone.now() + timezone.timedelta(seconds=30))
    assert oldest(slot.queue) <= 0


def test_an_answer_to_a_node_that_stops_takes_nothing(make_job, slot):
    make_job()
    Node.objects.update(state=Node.State.STOPPED)
    assert answer(slot.pk) == 0
    assert answer(10**9) == 0


def test_the_claim_uses_its_index_among_many_jobs(make_job, owner, slot):
    Job.objects.bulk_create(
        Job(owner=owner, name=str(number), recipe="simulate", status="completed", completed_at=timezone.now())
        for number in range(3000)
    )
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job")
    assert "Seq Scan" not in ready().explain()  # of the indexes of queued jobs, any will do for so few


def test_a_job_that_no_slot_can_run_stands_in_nobodys_way(make_job, slot):
    make_job(resources={"device": "cuda"})
    assert waiting_reason(make_job()).startswith("Next")
