"""Attempts whose supervisor is gone are ended one by one: none waits for another's row."""

import socket
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from jobs.control import cancel
from jobs.folders import sweep_folders, work_folder
from jobs.models import Attempt, Job, Node, Slot
from jobs.preemption import make_room
from jobs.queue import Owner, claim
from jobs.recovery import release_lost
from jobs.waiting import release_due


@contextmanager
def someone_holding(job):
    """The job's row is locked on another connection, as by a process that is frozen within its transaction."""
    settings = connection.get_connection_params()
    address = {name: settings[name] for name in ("dbname", "user", "host")}
    with psycopg.connect(**address) as frozen:
        frozen.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR UPDATE", [job.pk])
        yield


@pytest.mark.django_db(transaction=True)
def test_a_frozen_supervisor_that_holds_its_row_does_not_hold_up_others(make_job, slot, myself):
    other = Slot.objects.create(node=slot.node, index=1, device="cpu", queue="slot.n1.1")
    jobs = [make_job(name=name) for name in ("frozen in a transaction", "lost")]
    for place in (slot, other):
        assert claim(place, myself)
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    with someone_holding(jobs[0]):
        assert release_lost() == 1
        states = dict(Job.objects.values_list("name", "status"))
        assert states == {"frozen in a transaction": "running", "lost": "queued"}
    assert release_lost() == 1
    assert not Attempt.objects.filter(ended_at__isnull=True).exists()


@pytest.mark.django_db(transaction=True)
def test_giving_way_does_not_wait_for_a_row_that_someone_holds(make_job, slot, myself):
    """All claims of the hub would wait with it, until the lock's time limit raises an error here."""
    low = make_job(name="low", preemptible=True)
    assert claim(slot, myself)
    make_job(name="high", priority=100)
    with someone_holding(low):
        assert make_room() == 0
    assert make_room() == 1


def test_another_machine_of_the_same_host_name_keeps_its_jobs_while_its_node_beats(make_job, slot):
    make_job()
    Node.objects.filter(pk=slot.node_id).update(boot_id="of the other machine")
    assert claim(slot, Owner(socket.gethostname(), "of the other machine", 4242, 1))
    assert release_lost() == 0
    Node.objects.filter(pk=slot.node_id).update(boot_id="of its next boot")
    assert release_lost() == 1


@pytest.mark.django_db(transaction=True)
def test_a_row_that_someone_holds_keeps_no_other_pending_job_from_the_queue(make_job):
    """The node would wait for it at each sweep, for five seconds, and never come to those behind."""
    jobs = [make_job(name=name, not_before=timezone.now() + timedelta(hours=1)) for name in ("held", "behind")]
    for job in jobs:
        Job.objects.filter(pk=job.pk).update(not_before=timezone.now())
    with someone_holding(jobs[0]):
        assert release_due() == 1
        assert dict(Job.objects.values_list("name", "status")) == {"held": "pending", "behind": "queued"}
    assert release_due() == 1


@pytest.mark.django_db(transaction=True)
def test_a_row_that_someone_holds_keeps_no_other_folder_from_being_removed(make_job, owner):
    held, behind = (make_job(name=name) for name in ("held", "behind"))
    for job in (held, behind):
        cancel(job, owner)
        work_folder(job.pk).mkdir(parents=True)
    with someone_holding(held):
        sweep_folders()
        assert [work_folder(job.pk).exists() for job in (held, behind)] == [True, False]
    sweep_folders()
    assert not work_folder(held.pk).exists()
