"""A model is looked at by itself: when it is due, once, when something new was logged, and without crying wolf."""

from __future__ import annotations

import threading
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ForbiddenError, InvalidInputError
from common.identifiers import moment_of
from performance.drift import monitors, verbs
from performance.drift.columns import Kind, compare
from performance.drift.monitors import change, level, look, monitor_of
from performance.models import DriftCheck, DriftMonitor
from performance.rounds import Rounds
from performance.sweep import PARTS
from registry.access import make_roles
from registry.models import Prediction
from tests.performance.drift.made import log, sensor, tell
from tests.world import make_version

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def put_back(monitor, by=25 * HOUR):
    DriftMonitor.objects.filter(pk=monitor.pk).update(next_at=timezone.now() - by)


def test_what_is_due_is_checked_once_and_again_after_its_time(trained, owner):
    log(trained, sensor(2, 400))
    monitor = change(trained.model, owner, every_hours=24, about=["inputs", "predictions"])
    assert monitors.sweep in PARTS and monitors.sweep() == 2
    assert [(row.about, row.look, row.monitor) for row in DriftCheck.objects.order_by("pk")] == [
        ("inputs", 1, monitor), ("predictions", 1, monitor),
    ]  # fmt: skip
    assert monitors.sweep() == 0
    monitor.refresh_from_db()
    assert monitor.next_at > timezone.now() + 23 * HOUR
    put_back(monitor)
    log(trained, sensor(3, 5))
    assert monitors.sweep() == 2


def test_many_that_are_due_are_looked_at_in_turn_and_one_that_fails_hinders_none(owner, monkeypatch):
    versions = [make_version(owner, f"Line {number}", recipe="table-baseline") for number in range(4)]
    for version in versions:
        log(version, sensor(1, 40))
        change(version.model, owner, about=["predictions"])
    monkeypatch.setattr(monitors, "AT_ONCE", 2)
    monkeypatch.setattr(monitors, "_rounds", Rounds())
    broken, look = DriftMonitor.objects.get(model=versions[0].model).pk, monitors.look
    monkeypatch.setattr(monitors, "look", lambda pk: 1 / 0 if pk == broken else look(pk))
    assert [monitors.sweep() for _ in range(2)] == [2, 1]
    assert list(DriftCheck.objects.order_by("pk").values_list("version", flat=True)) == [one.pk for one in versions[1:]]


def test_nothing_is_checked_again_when_nothing_new_was_logged(trained, owner):
    monitor = change(trained.model, owner, enabled=True)
    assert monitors.sweep() == 0
    put_back(monitor)
    told = log(trained, sensor(2, 100))
    assert monitors.sweep() == 2  # inputs and predictions: no outcome yet
    put_back(monitor)
    assert monitors.sweep() == 0
    monitor.refresh_from_db()
    assert monitor.next_at > timezone.now() and monitor.looks == 1
    put_back(monitor)
    tell(told, [False] * 100)
    assert monitors.sweep() == 1
    assert DriftCheck.objects.latest("pk").about == "errors"


def test_so_many_predictions_are_a_reason_to_look(trained, owner):
    change(trained.model, owner, every_hours=None, every_predictions=100, about=["inputs"])
    log(trained, sensor(2, 99))
    assert monitors.sweep() == 0
    log(trained, sensor(3, 1))
    assert monitors.sweep() == 1
    log(trained, sensor(4, 99), step=timedelta(0), ago=-timedelta(seconds=2))
    assert monitors.sweep() == 0


def test_what_was_counted_is_not_counted_again_and_what_is_written_late_is_counted(trained, owner):
    monitor = change(trained.model, owner, every_hours=None, every_predictions=100, about=["inputs"])
    log(trained, sensor(2, 60), ago=10 * MINUTE, step=timedelta(0))
    log(trained, sensor(3, 20), step=timedelta(0))
    assert monitors.sweep() == 0
    monitor.refresh_from_db()
    assert monitor.fresh == 60, "those of the last minute are not settled"
    assert moment_of(monitor.counted) < timezone.now() - 9 * MINUTE
    Prediction.objects.filter(id__lte=monitor.counted).delete()
    log(trained, sensor(4, 19), ago=timedelta(seconds=40), step=timedelta(0))
    assert monitors.sweep() == 0
    log(trained, sensor(5, 1), ago=timedelta(seconds=45))
    assert monitors.sweep() == 1, "60 that were counted, and 40 of the last minute"
    monitor.refresh_from_db()
    assert (monitor.fresh, monitor.counted) == (0, monitor.seen)


def test_where_nothing_can_be_checked_the_next_so_many_are_the_next_reason_to_look(trained, owner, monkeypatch):
    change(trained.model, owner, every_hours=None, every_predictions=50, about=["errors"])
    log(trained, sensor(2, 60))
    looked, look = [], monitors.look
    monkeypatch.setattr(monitors, "look", lambda pk: looked.append(pk) or look(pk))
    assert [monitors.sweep() for _ in range(3)] == [0, 0, 0] and len(looked) == 1, "no outcome is known"
    tell(log(trained, sensor(3, 50), step=timedelta(0)), [False] * 50)
    assert monitors.sweep() == 1


@pytest.mark.django_db(transaction=True)
def test_two_nodes_at_once_make_one_check(trained, owner):
    log(trained, sensor(2, 50))
    monitor = change(trained.model, owner, about=["inputs"])
    together, made = threading.Barrier(4), []

    def node():
        together.wait()
        made.extend(look(monitor.pk))
        connection.close()

    threads = [threading.Thread(target=node) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == DriftCheck.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        verbs.check(trained.model, "inputs", monitor=monitor, look=1)


@pytest.mark.django_db(transaction=True)
def test_a_change_of_the_settings_writes_over_no_look_that_was_made_meanwhile(trained, owner, monkeypatch):
    log(trained, sensor(2, 50))
    monitor = change(trained.model, owner, about=["inputs"])
    checked = monitors._check

    def look_meanwhile(row):
        node = threading.Thread(target=lambda: (look(monitor.pk), connection.close()))
        node.start()
        node.join()
        checked(row)

    monkeypatch.setattr(monitors, "_check", look_meanwhile)
    change(trained.model, owner, every_hours=12)
    monkeypatch.undo()
    put_back(monitor)
    monitors.sweep()
    put_back(monitor)
    log(trained, sensor(3, 5))
    monitors.sweep()
    monitor.refresh_from_db()
    assert monitor.looks == DriftCheck.objects.count()
    assert sorted(DriftCheck.objects.values_list("look", flat=True)) == list(range(1, monitor.looks + 1))


def test_the_looks_share_one_level_which_begins_anew_with_another_version(trained, owner):
    assert sum(level(0.01, 1, number) for number in range(1, 10_000)) <= 0.01
    log(trained, sensor(2, 50))
    monitor = change(trained.model, owner, about=["inputs", "errors"])
    levels = []
    for number in range(3):
        put_back(monitor)
        log(trained, sensor(number, 3), step=timedelta(0), ago=-timedelta(seconds=number + 2))
        monitors.sweep()
        levels.append(DriftCheck.objects.latest("pk").alpha)
    assert levels == pytest.approx([0.01 / 4, 0.01 / 12, 0.01 / 24])
    other = make_version(owner, model=trained.model, name=trained.model.name, recipe="table-baseline")
    log(other, sensor(9, 3), step=timedelta(0), ago=-timedelta(seconds=9))
    put_back(monitor)
    monitors.sweep()
    assert DriftCheck.objects.latest("pk").alpha == pytest.approx(0.01 / 4)


def test_a_monitor_that_is_off_looks_at_nothing(trained, owner):
    assert monitor_of(trained.model).enabled is False and monitor_of(trained.model).pk is None
    log(trained, sensor(2, 50))
    change(trained.model, owner, enabled=False, every_predictions=30)
    assert monitors.sweep() == 0 and not DriftCheck.objects.exists()


def test_who_may_deploy_changes_it_and_that_is_written_down(trained, owner, stranger):
    make_roles()
    stranger.groups.add(Group.objects.get(name="Analysts"))
    with pytest.raises(ForbiddenError):
        change(trained.model, stranger, enabled=True)
    change(trained.model, owner, window=500)
    change(trained.model, owner, window=500)
    entry = AuditEntry.objects.get()
    assert (entry.actor_name, entry.kind) == ("alice", "driftmonitor") and '"window": 500' in entry.details


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"about": []}, "about"), ({"about": ["inputs", "inputs"]}, "about"), ({"about": ["weather"]}, "about"),
        ({"reference": "training"}, "reference"), ({"alpha": 0.5}, "alpha"), ({"window": 5}, "window"),
        ({"every_hours": 0}, "every_hours"), ({"every_predictions": 1}, "every_predictions"),
        ({"every_hours": None, "streams": False}, "every_hours"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused_by_name(trained, owner, wanted, field):
    with pytest.raises(InvalidInputError) as refusal:
        change(trained.model, owner, **{"enabled": True, **wanted})
    assert field in refusal.value.fields and not DriftMonitor.objects.exists()


def _looks(seed, shift=0.0, looks=50):
    """The look at which a monitor says that something moved, and that at which one without care says so; 0: never."""
    dice = np.random.default_rng([9, seed])
    kinds = {f"n{number}": Kind.NUMBER for number in range(3)} | {"kind": Kind.CATEGORY}

    def rows(count, by=0.0):
        numbers = {f"n{number}": dice.normal(by if number == 0 else 0, 1, count).tolist() for number in range(3)}
        return numbers | {"kind": dice.choice(["a", "b", "c"], count).tolist()}

    reference, alarms, naive = rows(1000), [], []
    for number in range(1, looks + 1):
        found = compare(reference, rows(200, shift if number > looks // 2 else 0.0), kinds)
        alarms += [number] if any(one.moved(level(0.01, 1, number)) for one in found) else []
        naive += [number] if any(one.corrected < 0.05 for one in found) else []
    return (alarms or [0])[0], (naive or [0])[0]


def test_fifty_looks_at_what_stays_as_it_is_raise_no_alarm():
    found = [_looks(seed) for seed in range(20)]
    alarms, naive = (sum(one[side] > 0 for one in found) for side in (0, 1))
    print(f"{alarms} of 20 rows of 50 looks raised an alarm; by p < 0.05 at each look {naive} would have")
    assert alarms == 0 and naive >= 10


def test_what_moves_after_many_looks_is_found_at_the_next_ones():
    found = [_looks(100 + seed, shift=0.6)[0] for seed in range(5)]
    print(f"a mean that moved by 0.6 standard deviations after look 25 was found at looks {found}")
    assert all(26 <= number <= 28 for number in found)
