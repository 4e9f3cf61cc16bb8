"""Which sessions say that they started a fine-tuning, whichever of the two came first."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from datasets.creation import create_dataset
from history.models import Session, SessionDay
from history.recording import record_pending
from jobs import runs, tasks
from jobs.models import AutomaticTraining, FineTuning, Job, OutboxMessage
from tests.generating import ENOUGH, keep, make_generating, make_rule, session_of


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store", "jobs"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def stories(owner):
    return create_dataset(owner, name="Stories", modality="text")[0]


def again(rule):
    """As if the time until the next try had passed."""
    AutomaticTraining.objects.filter(pk=rule.pk).update(retry_at=timezone.now() - timedelta(seconds=1))
    return tasks.start_fine_tuning(rule.pk)


def sums():
    return sum(SessionDay.objects.values_list("fine_tuning", flat=True))


def test_a_session_says_so_when_the_fine_tuning_came_before_it(owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH)
    tasks.start_fine_tuning(rule.pk)
    assert record_pending() == 1, "there is no session yet to be marked"
    session = session_of(maker)
    assert session.fine_tuning_triggered and sums() == 1
    assert session.session_id == FineTuning.objects.get().session_id


def test_a_session_says_so_when_the_fine_tuning_came_after_it_and_once(owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH)
    other = make_generating(owner, stories, "Other")
    keep(other, 1)
    assert not session_of(maker).fine_tuning_triggered and sums() == 0
    assert not session_of(other).fine_tuning_triggered
    tasks.start_fine_tuning(rule.pk)
    assert record_pending() == 1
    OutboxMessage.objects.update(processed_at=None)
    record_pending()
    assert sums() == 1
    assert dict(Session.objects.values_list("job", "fine_tuning_triggered")) == {maker.pk: True, other.pk: False}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", range(4))
def test_recording_and_starting_at_once_agree(owner, stories, rounds):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH)
    ready, wrong = threading.Barrier(2), []

    def in_thread(call):
        ready.wait()
        try:
            call()
        except Exception as error:
            wrong.append(error)
        finally:
            connections.close_all()

    calls = [lambda: session_of(maker), lambda: tasks.start_fine_tuning(rule.pk)]
    threads = [threading.Thread(target=in_thread, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again(rule)
    record_pending()
    assert wrong == [] and FineTuning.objects.count() == 1
    assert Session.objects.get(job=maker).fine_tuning_triggered and sums() == 1


def test_a_run_that_was_retried_has_another_session(owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH - 1)
    first = session_of(maker)
    Job.objects.filter(pk=maker.pk).update(
        status="running", phase="training", attempt_number=2, completed_at=None, attempt_started_at=timezone.now()
    )
    maker.refresh_from_db()
    keep(maker, 1)
    tasks.start_fine_tuning(rule.pk)
    made = FineTuning.objects.get()
    assert made.session_id == runs.session_id_of(maker.pk, 2) != first.session_id
    first.refresh_from_db()
    assert not first.fine_tuning_triggered
