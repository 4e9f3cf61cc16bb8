"""What is older than its policy goes, by whole days and in batches; outcomes stay as long as their own age allows."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from registry.logged import policies, retention
from registry.logged.outcomes import send
from registry.models import Outcome, Prediction, Route, RouteArm
from tests.registry.logged.cast import at, classifier, logged


@pytest.fixture
def version(owner):
    return classifier(owner)


def aged(monkeypatch, version, owner, days):
    with monkeypatch.context() as patch:
        at(patch, timezone.now() - timedelta(days=days))
        return logged(version, owner)


def test_what_is_older_than_the_policy_goes_and_the_rest_stays(owner, version, monkeypatch):
    other = classifier(owner, "Other")
    policies.change_policy(version.model, owner, keep="hash", share=1, days=7)
    kept = [
        aged(monkeypatch, version, owner, 6),
        aged(monkeypatch, other, owner, 60),
        aged(monkeypatch, other, owner, 89),
    ]
    for row in (version, other):
        aged(monkeypatch, row, owner, 92)
    aged(monkeypatch, version, owner, 9)
    monkeypatch.setattr(retention, "BATCH", 1)
    assert retention.run() == 3
    assert set(Prediction.objects.values_list("pk", flat=True)) == {row.pk for row in kept}
    assert retention.run() == 0


def test_an_outcome_outlives_its_prediction_by_its_own_age(owner, version, monkeypatch):
    policies.change_policy(version.model, owner, keep="hash", share=1, days=7)
    late, old = aged(monkeypatch, version, owner, 9), aged(monkeypatch, version, owner, 20)
    send(owner, late.pk, truth="cat")
    send(owner, old.pk, truth="cat")
    Outcome.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=9))
    retention.run()
    assert not Prediction.objects.exists()
    assert Outcome.objects.get().pk == late.pk


def test_days_are_kept_whole():
    now = timezone.now().replace(hour=13)
    assert retention.kept_since(1, now) == (now - timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_worker_is_asked_only_where_there_is_something_to_remove(owner, version, monkeypatch):
    monkeypatch.setattr(retention, "_look_at", 0.0)
    retention.sweep()
    aged(monkeypatch, version, owner, 200)
    retention.sweep()
    assert not OrmQ.objects.exists(), "it looked a moment ago"
    monkeypatch.setattr(retention, "_look_at", 0.0)
    retention.sweep()
    assert OrmQ.objects.count() == 1


def test_a_task_that_takes_long_leaves_the_rest_to_another(owner, version, monkeypatch):
    for _ in range(3):
        aged(monkeypatch, version, owner, 200)
    monkeypatch.setattr(retention, "BATCH", 1)
    assert retention.run(budget=0) == 1
    assert Prediction.objects.count() == 2 and OrmQ.objects.count() == 1


def test_what_an_open_comparison_is_made_of_stays_to_its_end(owner, version, monkeypatch):
    policies.change_policy(version.model, owner, keep="hash", share=1, days=7)
    route = Route.objects.create(model=version.model, salt="s", started_at=timezone.now() - timedelta(days=30))
    arm = RouteArm.objects.create(route=route, version=version, name="control", control=True, weight=1)
    with monkeypatch.context() as patch:
        at(patch, timezone.now() - timedelta(days=20))
        told = logged(version, owner, arm=arm)
        logged(version, owner)
    send(owner, told.pk, truth="cat")
    Outcome.objects.update(at=timezone.now() - timedelta(days=19))
    shadow = RouteArm.objects.create(route=route, version=classifier(owner), name="shadow", shadow=True)
    assert retention.run() == 1 and Prediction.objects.get() == told, "its pairs are made of predictions"
    assert not retention._due(), "what is kept makes no work"
    shadow.delete()
    assert retention.run() == 1 and not Prediction.objects.exists()
    assert Outcome.objects.exists() and not retention._due()
    Route.objects.update(ended_at=timezone.now())
    assert retention.run() == 1 and not Outcome.objects.exists()
