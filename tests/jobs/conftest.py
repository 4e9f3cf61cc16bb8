"""Jobs without a worker: the simulator needs no data."""

import os
import socket

import pytest
from django.utils import timezone

from datasets.creation import create_dataset
from engine.launch import boot_id, start_time_of
from jobs.creation import create_job
from jobs.models import Node, Slot
from jobs.queue import Owner, claim


@pytest.fixture
def make_job(owner):
    def make(**wanted):
        return create_job(wanted.pop("owner", owner), **{"recipe": "simulate", **wanted})[0]

    return make


@pytest.fixture
def slot(db):
    now = timezone.now()
    node = Node.objects.create(name="n1", host=socket.gethostname(), started_at=now, heartbeat_at=now)
    return Slot.objects.create(node=node, index=0, device="cpu", queue="slot.n1.0")


@pytest.fixture
def myself():
    return Owner(socket.gethostname(), boot_id(), os.getpid(), start_time_of(os.getpid()))


@pytest.fixture
def running(make_job, slot, myself):
    """A job with a claimed attempt, as a supervisor holds it."""
    make_job(name="running")
    return claim(slot, myself)


@pytest.fixture
def inside(settings, tmp_path):
    settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS = ["127.0.0.1"]
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store", "jobs"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def stories(owner, inside):
    return create_dataset(owner, name="Stories", modality="text")[0]
