"""Attempts whose supervisor is gone are ended one by one: none waits for another's row."""

from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from jobs.models import Attempt, Job, Slot
from jobs.queue import claim
from jobs.recovery import release_lost


@pytest.mark.django_db(transaction=True)
def test_a_frozen_supervisor_that_holds_its_row_does_not_hold_up_others(make_job, slot, myself):
    other = Slot.objects.create(node=slot.node, index=1, device="cpu", queue="slot.n1.1")
    jobs = [make_job(name=name) for name in ("frozen in a transaction", "lost")]
    for place in (slot, other):
        assert claim(place, myself)
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    settings = connection.get_connection_params()
    address = {name: settings[name] for name in ("dbname", "user", "host")}
    with psycopg.connect(**address) as frozen:
        frozen.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR UPDATE", [jobs[0].pk])
        assert release_lost() == 1
        states = dict(Job.objects.values_list("name", "status"))
        assert states == {"frozen in a transaction": "running", "lost": "queued"}
    assert release_lost() == 1
    assert not Attempt.objects.filter(ended_at__isnull=True).exists()
