"""Turns between users, and moving a job among one's own or, for staff, among all."""

from __future__ import annotations

import random

import pytest

from common.errors import ConflictError
from jobs.control import pause, resume
from jobs.models import Job
from jobs.places import Move, move_in_queue
from jobs.queue import claim, ready


def names():
    return [job.name for job in ready()]


def before_each(owner):
    """For each job of `owner`, how many jobs stand before it."""
    return {job.pk: place for place, job in enumerate(ready()) if job.owner_id == owner.pk}


@pytest.fixture
def two(make_job, owner, stranger):
    """Alice sends four jobs, then Mallory sends three."""
    for number in range(4):
        make_job(name=f"a{number}")
    for number in range(3):
        make_job(name=f"m{number}", owner=stranger)


def test_users_take_turns_whoever_sent_more_or_earlier(two):
    assert names() == ["a0", "m0", "a1", "m1", "a2", "m2", "a3"]


def test_who_comes_late_is_not_put_behind_all_who_were_there_nor_before_them(
    two, make_job, administrator, slot, myself
):
    for expected in ("a0", "m0", "a1"):
        attempt = claim(slot, myself)
        assert attempt.job.name == expected
        slot.held_by = None
        slot.attempts.all().delete()
        Job.objects.filter(pk=attempt.job_id).delete()
    for number in range(2):
        make_job(name=f"x{number}", owner=administrator)
    assert names() == ["m1", "x0", "a2", "m2", "x1", "a3"]


def test_a_job_of_several_devices_takes_as_many_turns(make_job, stranger):
    make_job(name="a0")
    make_job(name="wide", resources={"devices": 3})
    for number in range(4):
        make_job(name=f"m{number}", owner=stranger)
    assert names() == ["a0", "m0", "m1", "m2", "wide", "m3"]


def test_a_job_that_comes_back_from_a_pause_has_its_old_place(two, owner):
    job = Job.objects.get(name="a1")
    pause(job, owner)
    assert "a1" not in names()
    resume(job, owner)
    assert names() == ["a0", "m0", "a1", "m1", "a2", "m2", "a3"]


def test_a_user_moves_own_jobs_only_among_their_own_places(two, owner):
    move_in_queue(Job.objects.get(name="a3"), owner, Move.TOP)
    assert [name for name in names() if name[0] == "a"] == ["a3", "a0", "a1", "a2"]
    assert [name for name in names() if name[0] == "m"] == ["m0", "m1", "m2"]
    move_in_queue(Job.objects.get(name="a3"), owner, Move.DOWN)
    assert [name for name in names() if name[0] == "a"] == ["a0", "a3", "a1", "a2"]
    move_in_queue(Job.objects.get(name="a2"), owner, Move.UP)
    assert [name for name in names() if name[0] == "a"] == ["a0", "a3", "a2", "a1"]


@pytest.mark.parametrize("seed", range(4))
def test_no_moves_of_a_user_put_anybody_elses_job_further_back(make_job, owner, stranger, seed):
    order = random.Random(seed)
    for number in range(12):
        make_job(
            name=str(number), owner=order.choice([owner, stranger]), resources={"devices": order.choice([1, 1, 2])}
        )
    for _ in range(25):
        job = order.choice(list(Job.objects.filter(owner=owner)))
        theirs, own = before_each(stranger), [one.pk for one in ready() if one.owner_id == owner.pk]
        where = order.choice(list(Move))
        move_in_queue(job, owner, where)
        assert all(place <= theirs[pk] for pk, place in before_each(stranger).items())
        at = own.index(job.pk)
        own.remove(job.pk)
        own.insert({Move.UP: max(0, at - 1), Move.DOWN: at + 1, Move.TOP: 0}[where], job.pk)
        assert [one.pk for one in ready() if one.owner_id == owner.pk] == own


@pytest.mark.parametrize("seed", range(4))
def test_staff_move_any_job_by_one_place_among_all(make_job, owner, stranger, administrator, seed):
    order = random.Random(seed)
    for number in range(9):
        make_job(name=str(number), owner=order.choice([owner, stranger]))
    for _ in range(25):
        expected = names()
        name, where = order.choice(expected), order.choice(list(Move))
        move_in_queue(Job.objects.get(name=name), administrator, where)
        at = expected.index(name)
        expected.remove(name)
        expected.insert({Move.UP: max(0, at - 1), Move.DOWN: at + 1, Move.TOP: 0}[where], name)
        assert names() == expected


def test_a_key_held_down_carries_a_job_through_many_others_and_back(make_job, stranger, administrator):
    for number in range(60):
        make_job(name=str(number), owner=stranger)
    Job.objects.update(position=7.0)  # all in one place: only their ids tell them apart
    job = Job.objects.get(name="59")
    for _ in range(70):
        move_in_queue(job, administrator, Move.UP)
    assert names() == ["59", *map(str, range(59))]
    assert job.events.filter(kind="moved").count() == 59  # at the end of the way nothing happens
    for _ in range(70):
        move_in_queue(job, administrator, Move.DOWN)
    assert names() == list(map(str, range(60)))


def test_two_jobs_that_pass_each_other_again_and_again_never_run_out_of_room(make_job, stranger, administrator):
    for number in range(4):
        make_job(name=str(number), owner=stranger)
    for _ in range(60):
        move_in_queue(Job.objects.get(name="2"), administrator, Move.UP)
        move_in_queue(Job.objects.get(name="1"), administrator, Move.UP)
    assert names() == ["0", "1", "2", "3"]


def test_moves_stay_within_a_priority_and_are_refused_for_what_does_not_wait(make_job, owner, running):
    high, low = make_job(name="high", priority=5), make_job(name="low")
    move_in_queue(low, owner, Move.TOP)
    assert names() == ["high", "low"]
    with pytest.raises(ConflictError, match="has no place in the queue"):
        move_in_queue(running.job, owner, Move.UP)
    Job.objects.filter(pk=high.pk).update(interrupted=True)
    with pytest.raises(ConflictError, match="goes on before all others"):
        move_in_queue(high, owner, Move.DOWN)
