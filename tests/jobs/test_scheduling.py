"""Who runs where: needs, several slots at once, limits, and who gives way."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from common.errors import ConflictError, ForbiddenError
from datasets.subjects.subjects import create as create_subject
from jobs import conclusion, limits
from jobs.conclusion import Ended, Ending
from jobs.control import VERBS, cancel, retry
from jobs.creation import create_job
from jobs.limits import set_limit
from jobs.models import Attempt, Job, Node, Slot
from jobs.needs import Needs
from jobs.preemption import make_room
from jobs.queue import claim, ready
from jobs.reasons import waiting_reason
from tests.jobs.invariants import check_all

STOPPED = Ending(Ended(code=5), {"event": "stopped", "step": 7})
KILLED = Ending(Ended(signal=9))


def make_node(name, *devices, labels=(), memory_gib=None):
    now = timezone.now()
    node = Node.objects.create(name=name, host=name, started_at=now, heartbeat_at=now, labels=list(labels))
    return [
        Slot.objects.create(
            node=node, index=index, device=device, queue=f"{name}.{index}",
            memory_bytes=None if memory_gib is None else int(memory_gib * 2**30),
        )
        for index, device in enumerate(devices)
    ]  # fmt: skip


def together(calls):
    """Each call in a thread with a connection of its own, all at the same moment; their results or errors."""
    found, start = [], threading.Barrier(len(calls))

    def run(call):
        try:
            start.wait()
            found.append(call())
        except ConflictError as refusal:
            found.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(calls)
    return found


def test_the_same_needs_are_one_lane_and_a_lane_gives_them_back():
    for given in (
        {},
        {"device": "cuda", "devices": 4, "memory_gib": 39.5, "labels": ["b", "a"]},
        {"device": "cpu", "memory_gib": 4096, "labels": "fast-disk"},
    ):
        needs = Needs.read(given)
        assert Needs.of_lane(needs.lane) == needs == Needs.read(needs.stored())


def test_labels_and_memory_decide_where_a_job_may_run(make_job, db, myself):
    (small,) = make_node("small", "cuda:0", memory_gib=16)
    (large,) = make_node("large", "cuda:0", memory_gib=80, labels=["a100"])
    job = make_job(resources={"device": "cuda", "memory_gib": 40})
    labelled = make_job(resources={"labels": ["a100"]})
    assert claim(small, myself) is None
    assert claim(large, myself).job_id == job.pk
    assert claim(small, myself) is None
    assert waiting_reason(labelled) == "Next; needs a device on a node labelled a100, node large has 0 free."


def test_a_job_of_several_devices_gets_all_of_them_or_none(make_job, db, myself):
    first, second, _ = make_node("n", "cuda:0", "cuda:1", "cuda:2")
    make_job(name="one")
    wide = make_job(name="wide", resources={"device": "cuda", "devices": 3})
    assert claim(first, myself).job.name == "one"
    assert claim(second, myself) is None
    assert waiting_reason(wide) == "Next; needs 3 GPUs, node n has 2 free."
    conclusion.conclude(Job.objects.get(name="one").pk, 1, STOPPED)
    cancel(Job.objects.get(name="one"), Job.objects.get(name="one").owner)
    attempt = claim(second, myself)
    assert attempt.job_id == wide.pk
    assert sorted(attempt.devices) == ["cuda:0", "cuda:1", "cuda:2"]
    assert attempt.held_slots.count() == 3
    check_all()


def test_a_gpu_with_two_slots_counts_once_for_a_job_of_several(make_job, db, myself):
    """Its processes need one each, and would be given the same one twice."""
    slots = make_node("shared", "cuda:0", "cuda:0")
    wide = make_job(name="wide", resources={"device": "cuda", "devices": 2})
    on_cpu = make_job(name="on the CPU", resources={"device": "cpu", "devices": 2})
    assert claim(slots[1], myself).job == on_cpu
    conclusion.conclude(on_cpu.pk, 1, Ending(Ended(code=4), {"event": "cancelled"}))
    assert [claim(slot, myself) for slot in slots] == [None, None]
    assert waiting_reason(wide) == "Needs 2 GPUs: no node that is running has that."
    slots = make_node("two", "cuda:0", "cuda:0", "cuda:1", "cuda:1")
    make_job(name="small", priority=1)
    assert claim(slots[0], myself).devices == ["cuda:0"]
    attempt = claim(slots[1], myself)
    assert (attempt.job, sorted(attempt.devices)) == (wide, ["cuda:0", "cuda:1"])
    check_all()


def test_smaller_jobs_behind_it_do_not_starve_a_job_of_several_devices(make_job, owner, db, myself):
    first, second = make_node("n", "cuda:0", "cuda:1")
    make_job(name="running")
    claim(first, myself)
    make_job(name="wide", resources={"devices": 2})
    small = make_job(name="small")
    assert claim(second, myself) is None  # kept
    assert waiting_reason(small).startswith("1 job before it; needs a device, node n has 1 free, kept for a job that")
    conclusion.conclude(Job.objects.get(name="running").pk, 1, Ending(Ended(code=4), {"event": "cancelled", "step": 1}))
    assert claim(first, myself).job.name == "wide"


def test_one_machine_is_kept_for_all_jobs_of_the_same_needs(make_job, db, myself):
    slots = [*make_node("a", "cpu", "cpu"), *make_node("b", "cpu", "cpu")]
    for name, place in (("one", slots[0]), ("two", slots[2])):
        make_job(name=name)
        claim(place, myself)
    for number in range(3):
        make_job(name=f"wide {number}", resources={"devices": 2})
    make_job(name="small")
    started = [claim(place, myself) for place in (slots[1], slots[3])]
    assert [attempt.job.name for attempt in started if attempt] == ["small"]


def test_slots_that_would_not_do_are_not_kept(make_job, db, myself):
    gpu, _, cpu = make_node("n", "cuda:0", "cuda:1", "cpu")
    make_job(name="running")
    claim(gpu, myself)
    make_job(name="wide", resources={"device": "cuda", "devices": 2})
    make_job(name="for the cpu")
    assert claim(cpu, myself).job.name == "for the cpu"


def test_a_limit_does_not_hold_up_others_and_ends_with_the_job(make_job, owner, stranger, administrator, db, myself):
    slots = make_node("n", "cpu", "cpu", "cpu")
    set_limit(administrator, user=owner, max_running=1)
    for number in range(3):
        make_job(name=f"a{number}")
    make_job(name="m0", owner=stranger)
    assert claim(slots[0], myself).job.name == "a0"
    assert claim(slots[1], myself).job.name == "m0"
    assert claim(slots[2], myself) is None
    wait = "Its owner has 1 running, as many as allowed: it waits until one of them ends."
    assert waiting_reason(Job.objects.get(name="a1")) == wait
    conclusion.fail(Job.objects.get(name="a0").pk, 1, code="CODE_ERROR", message="no")
    assert claim(slots[2], myself).job.name == "a1"


def test_a_subjects_limit_passes_its_jobs_over(make_job, owner, administrator, db, myself):
    slots = make_node("n", "cpu", "cpu")
    subject = create_subject(owner, name="line 4")
    set_limit(administrator, subject=subject, max_running=0)
    make_job(name="of the subject", subject=subject)
    make_job(name="free")
    assert claim(slots[0], myself).job.name == "free"
    wait = "Its subject may have none running: it waits until an administrator raises that limit."
    assert waiting_reason(Job.objects.get(name="of the subject")) == wait


def test_a_limit_that_was_lowered_below_what_runs_is_told_as_it_is(make_job, owner, administrator, db, myself):
    slots = make_node("n", "cpu", "cpu", "cpu")
    waiting = [make_job(name=f"a{number}") for number in range(3)][2]
    assert claim(slots[0], myself) and claim(slots[1], myself)
    set_limit(administrator, user=owner, max_running=1)
    assert claim(slots[2], myself) is None
    wait = "Its owner has 2 running, more than the 1 allowed: it waits until enough have ended."
    assert waiting_reason(waiting) == wait


def test_only_administrators_set_limits(owner):
    with pytest.raises(ForbiddenError):
        set_limit(owner, user=owner, max_running=100)


@pytest.mark.django_db(transaction=True)
def test_limits_are_exact_when_many_claim_and_create_at_once(make_job, owner, stranger, administrator, myself):
    slots = make_node("n", *["cpu"] * 10)
    set_limit(administrator, user=owner, max_running=3, max_active=7)
    made = together([lambda: create_job(owner, recipe="simulate")] * 12)
    assert sum(isinstance(one, ConflictError) for one in made) == 5
    assert Job.objects.count() == 7
    together([lambda place=place: claim(place, myself) for place in slots])
    assert Job.objects.filter(status="running").count() == 3
    check_all()


@pytest.mark.django_db(transaction=True)
def test_several_slots_are_all_taken_or_none_when_many_claim_at_once(make_job, owner, myself):
    slots = make_node("n", *["cpu"] * 9)
    for _ in range(6):
        make_job(resources={"devices": 3})
    together([lambda place=place: claim(place, myself) for place in slots])
    assert Job.objects.filter(status="running").count() == 3
    assert not Slot.objects.filter(held_by=None).exists()
    check_all()


@pytest.mark.django_db(transaction=True)
def test_a_request_sent_twice_takes_the_last_place_once(owner, administrator):
    set_limit(administrator, user=owner, max_active=1)
    found = together([lambda: create_job(owner, recipe="simulate", idempotency_key="k")[0].pk] * 8)
    assert found == [Job.objects.get().pk] * 8


def test_a_retry_is_one_more_active_job(make_job, owner, administrator):
    set_limit(administrator, user=owner, max_active=1)
    ended = cancel(make_job(), owner)
    make_job()
    with pytest.raises(ConflictError, match="alice has 1 job waiting or running, and the limit is 1"):
        retry(ended, owner)


@pytest.mark.django_db(transaction=True)
def test_a_retry_that_waits_for_its_turn_holds_no_row_that_a_new_job_may_look_at(make_job, owner, administrator):
    """The new job would wait for the row, and the retry for the new job's turn, until the database ends one."""
    set_limit(administrator, user=owner, max_active=9)
    ended = cancel(make_job(), owner)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    settings = connection.get_connection_params()
    address = {name: settings[name] for name in ("dbname", "user", "host")}
    with ThreadPoolExecutor(1) as pool, psycopg.connect(**address) as new_job:
        new_job.execute("SELECT pg_advisory_xact_lock(%s, %s)", [limits.LOCK, owner.pk])
        done = pool.submit(lambda: (retry(ended, owner), connection.close()))
        while not new_job.execute(waiting).fetchone()[0]:
            assert not done.done()
        new_job.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR KEY SHARE NOWAIT", [ended.pk])
        new_job.commit()
        done.result()
    ended.refresh_from_db()
    assert ended.status == "queued"


# Giving way


@pytest.fixture
def busy(make_job, db, myself):
    """Two slots that run preemptible jobs of different priority."""
    slots = make_node("n", "cpu", "cpu")
    for name, priority in (("less", 0), ("more", 1)):
        make_job(name=name, priority=priority, preemptible=True)
    attempts = [claim(place, myself) for place in slots]
    assert [attempt.job.name for attempt in attempts] == ["more", "less"]
    return slots


def asked():
    return sorted(Job.objects.filter(request="preempt").values_list("name", flat=True))


def test_the_lowest_priority_gives_way_once_and_goes_back_to_its_place(busy, make_job, myself):
    make_job(name="behind", priority=0)
    make_job(name="urgent", priority=5)
    assert make_room() == 1
    assert asked() == ["less"]
    assert make_room() == 0  # it is on its way
    less = Job.objects.get(name="less")
    assert less.events.last().message.startswith("To give way to job")
    conclusion.conclude(less.pk, 1, STOPPED)
    assert [job.name for job in ready()] == ["urgent", "less", "behind"]
    assert Attempt.objects.get(job=less).outcome == "preempted"
    assert claim(busy[1], myself).job.name == "urgent"


def test_equals_and_lower_ones_ask_nobody(busy, make_job):
    make_job(name="equal", priority=0)
    make_job(name="lower", priority=-5)
    assert make_room() == 0
    assert asked() == []


def test_a_job_that_is_not_marked_never_gives_way(busy, make_job):
    Job.objects.update(preemptible=False)
    make_job(priority=900)
    assert make_room() == 0


def test_nobody_gives_way_while_a_slot_is_free(busy, make_job):
    (free,) = make_node("m", "cpu")
    make_job(name="urgent", priority=5)
    assert make_room() == 0
    Slot.objects.filter(pk=free.pk).update(enabled=False)
    assert make_room() == 1


def test_nobody_gives_way_when_that_would_not_be_enough(busy, make_job):
    Job.objects.filter(name="more").update(preemptible=False)
    make_job(name="wide", priority=5, resources={"devices": 2})
    assert make_room() == 0
    Job.objects.filter(name="more").update(preemptible=True)
    assert make_room() == 2
    assert asked() == ["less", "more"]


def test_nobody_gives_way_for_a_slot_that_another_would_take(busy, make_job, myself):
    """The first in the queue would keep what becomes free, and the job that it was freed for got nothing."""
    Job.objects.filter(name="more").update(preemptible=False)
    make_job(name="wide", priority=9, resources={"devices": 2})
    make_job(name="urgent", priority=5)
    assert make_room() == 0
    interrupted = make_job(name="interrupted")
    Job.objects.filter(name="wide").delete()
    Job.objects.filter(pk=interrupted.pk).update(interrupted=True)
    assert make_room() == 0


def test_no_more_give_way_than_are_needed(make_job, db, myself):
    slots = make_node("n", "cpu", "cpu", "cpu")
    make_job(name="two", priority=1, preemptible=True, resources={"devices": 2})
    make_job(name="one", priority=0, preemptible=True)
    assert [claim(place, myself).job.name for place in (slots[0], slots[2])] == ["two", "one"]
    make_job(name="urgent", priority=5, resources={"devices": 2})
    assert make_room() == 1
    assert asked() == ["two"]


def test_a_job_that_dies_instead_of_giving_way_does_not_come_first(busy, make_job, myself):
    make_job(name="urgent", priority=5)
    make_room()
    conclusion.conclude(Job.objects.get(name="less").pk, 1, KILLED)
    assert [job.name for job in ready()] == ["urgent", "less"]


def test_a_limit_of_its_owner_asks_nobody_to_give_way(busy, make_job, administrator, owner):
    set_limit(administrator, user=owner, max_running=2)
    make_job(priority=5)
    assert make_room() == 0


def test_a_pause_that_comes_while_a_job_gives_way_pauses_it(busy, make_job, owner):
    make_job(priority=5)
    make_room()
    less = VERBS["pause"](Job.objects.get(name="less"), owner)
    conclusion.conclude(less.pk, 1, STOPPED)
    less.refresh_from_db()
    assert (less.status, less.events.last().message) == ("paused", "At step 7.")
