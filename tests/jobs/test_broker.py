"""Tasks are put and taken in the database's time, so a machine whose clock is wrong works like any other."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from common.background import put
from jobs.broker import KnockBroker
from jobs.sweep import oldest

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-2), timedelta(days=-20_000)], ids=str)
def test_a_task_is_taken_once_under_a_wrong_clock(monkeypatch, wrong):
    real = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: real() + wrong)
    put("slot.wrong.0", "jobs.tasks.answer", 1)
    assert oldest("slot.wrong.0") < 5
    broker = KnockBroker("slot.wrong.0")
    assert len(broker._take()) == 1
    assert broker._take() == []
    assert oldest("slot.wrong.0") < 5
    monkeypatch.undo()
    assert broker._take() == []
    assert OrmQ.objects.count() == 1
