"""What this room looks at now and then: a part that fails does not keep the others from their turn."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ

from common.background import QUEUE, long_work
from jobs import outbox
from jobs.sweep import background_hangs
from performance import sweep, tasks

pytestmark = pytest.mark.django_db


def test_a_part_that_fails_is_told_and_the_others_go_on(monkeypatch, caplog):
    done = []

    def broken() -> None:
        raise ValueError("no")

    monkeypatch.setattr(sweep, "PARTS", (broken, lambda: done.append(1)))
    assert sweep.run() == 1
    assert done == [1]
    assert "broken failed" in caplog.text


def test_rounds_that_have_piled_up_are_one(monkeypatch):
    done = []
    monkeypatch.setattr(sweep, "PARTS", (lambda: done.append(1),))
    monkeypatch.setattr(tasks, "_swept", [time.monotonic() - settings.LOOK_SECONDS])
    assert [tasks.sweep(), tasks.sweep(), tasks.sweep()] == [0, 0, 0] and done == [1]
    tasks._swept[0] -= settings.LOOK_SECONDS
    tasks.sweep()
    assert done == [1, 1]


def test_a_look_at_all_rules_is_followed_by_a_rest_as_long_as_it_took(monkeypatch):
    done = []
    monkeypatch.setattr(tasks, "_alerts_rest", [0.0])
    monkeypatch.setattr(tasks.evaluating, "evaluate_all", lambda: done.append(time.sleep(0.2)) or 1)
    assert [tasks.evaluate_alerts(), tasks.evaluate_alerts()] == [1, 0] and len(done) == 1
    time.sleep(0.25)
    assert tasks.evaluate_alerts() == 1


def test_it_is_looked_at_now_and_then(monkeypatch):
    monkeypatch.setattr(outbox, "_looked", [0.0])
    outbox.have_looked()
    outbox.have_looked()
    assert OrmQ.objects.filter(key=QUEUE).count() == 1


def test_work_that_says_it_is_long_is_not_taken_for_work_that_hangs():
    row = OrmQ.objects.create(key=QUEUE, payload="x", lock=timezone.now() - timedelta(minutes=3))
    assert background_hangs()
    with long_work():
        assert not background_hangs()
        OrmQ.objects.filter(pk=row.pk).update(lock=timezone.now() - timedelta(minutes=30))
        assert background_hangs(), "not even that takes so long"
    OrmQ.objects.filter(pk=row.pk).update(lock=timezone.now() - timedelta(minutes=3))
    assert background_hangs()
