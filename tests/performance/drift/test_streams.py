"""Outcomes and scores are followed as they come: each is taken once, and a change makes one check with its evidence."""

from __future__ import annotations

import threading
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection

from performance.drift import detectors, streams, verbs
from performance.drift.detectors import Watcher
from performance.models import DriftCheck, DriftMonitor, DriftStream
from performance.rounds import Rounds
from performance.sweep import PARTS
from tests.performance.drift.made import log, sensor, tell, wrongs
from tests.world import make_version

MINUTE = timedelta(minutes=1)


def outcomes(version, *stretches, ago=MINUTE, seed=1):
    said = wrongs(seed, *stretches)
    return tell(log(version, [{}] * len(said), ago=ago), said)


@pytest.fixture
def followed(version):
    return DriftMonitor.objects.create(model=version.model, every_hours=None)


def test_a_change_of_the_errors_makes_one_check_with_the_place_and_the_evidence(version, followed):
    made = outcomes(version, (1500, 0.1), (600, 0.3))
    assert streams.sweep in PARTS and streams.sweep() == 2 * 2100  # outcomes, and predictions without a score
    assert streams.sweep() == 0
    (check,) = DriftCheck.objects.all()
    assert (check.about, check.version, check.reference_data, check.asked_by) == ("errors", version, None, None)
    assert abs((check.recent_from - made[1500].at).total_seconds()) < 60
    assert (check.reference_from, check.reference_until) == (made[0].at, check.recent_from)
    seen = check.evidence
    assert seen["detector"] == "ADWIN" and abs(seen["number"] - 1500) < 60
    assert seen["before"] == pytest.approx(0.1, abs=0.03) and seen["after"] == pytest.approx(0.3, abs=0.1)
    ended = verbs.run(check.pk)
    assert ended.moved and ended.message.startswith("ADWIN saw the share of wrong answers go from 9.2 % to 33.7 % ")
    assert "beside" in ended.message and ended.findings[0]["column"] == "wrong"


def test_each_outcome_is_taken_once_however_it_is_cut(version, followed, monkeypatch):
    monkeypatch.setattr(streams, "AT_ONCE", 70)
    monkeypatch.setattr(streams, "MOST", 2)
    said = wrongs(2, (900, 0.2))
    tell(log(version, [{}] * 900, ago=MINUTE), said)
    while streams.follow(version, "errors"):
        pass
    row = DriftStream.objects.get(about="errors")
    assert row.count == 900
    assert list(streams._numbers(row.values)) == list(map(float, said))
    later = wrongs(3, (40, 0.2))
    tell(log(version, [{}] * 40, ago=timedelta(seconds=40), step=timedelta(milliseconds=100)), later)
    assert streams.follow(version, "errors") == 40
    row.refresh_from_db()
    assert list(streams._numbers(row.values)) == list(map(float, said + later))
    assert len(streams._numbers(row.times)) == 940


@pytest.mark.django_db(transaction=True)
def test_two_nodes_at_once_take_each_outcome_once(version, followed):
    outcomes(version, (1200, 0.1), (600, 0.4))
    together, taken = threading.Barrier(3), []

    def node():
        together.wait()
        while now := streams.follow(version, "errors"):
            taken.append(now)
        connection.close()

    threads = [threading.Thread(target=node) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == DriftStream.objects.get().count == 1800
    assert DriftCheck.objects.count() == 1


def test_a_crash_before_the_end_takes_nothing(version, followed, monkeypatch):
    outcomes(version, (1500, 0.1), (600, 0.5))
    real = streams.verbs.check

    def broken(*given, **more):
        real(*given, **more)
        raise OSError("gone")

    monkeypatch.setattr(streams.verbs, "check", broken)
    with pytest.raises(OSError):
        streams.follow(version, "errors")
    assert not DriftCheck.objects.exists()
    monkeypatch.setattr(streams.verbs, "check", real)
    streams.follow(version, "errors")
    assert DriftCheck.objects.count() == 1


def test_a_round_that_takes_long_is_gone_on_with_by_the_next_and_one_that_fails_hinders_none(owner, monkeypatch):
    versions = [make_version(owner, f"Line {number}", recipe="table-baseline") for number in range(3)]
    for version in versions:
        log(version, [{}], ago=MINUTE)
        DriftMonitor.objects.create(model=version.model, every_hours=None, about=["predictions"])
    seen = []

    def follow(version, about):
        seen.append(version)
        if version == versions[1]:
            raise ValueError("no")
        return 1

    monkeypatch.setattr(streams, "follow", follow)
    monkeypatch.setattr(streams, "_rounds", Rounds())
    assert streams.sweep() == 2 and seen == versions
    seen.clear()
    monkeypatch.setattr(streams, "BUDGET", 0.0)
    for _ in range(3):
        streams.sweep()
    assert seen == versions


def test_what_is_not_settled_waits(version, followed):
    outcomes(version, (10, 0.1), ago=timedelta(seconds=5))
    assert streams.follow(version, "errors") == 0


def test_fewer_errors_and_errors_that_stay_make_no_check(version, followed):
    outcomes(version, (1200, 0.4), (800, 0.1))
    streams.follow(version, "errors")
    assert DriftStream.objects.get().changes == 1
    assert not DriftCheck.objects.exists()


def test_scores_that_fall_are_a_change_of_the_predictions(version, followed):
    dice = np.random.default_rng(3)
    scores = [*map(float, dice.beta(9, 1, 1000)), *map(float, dice.beta(5, 3, 600))]
    log(version, sensor(1, 1600), ago=MINUTE, score=scores, label="a")
    streams.sweep()
    check = DriftCheck.objects.get()
    assert check.about == "predictions" and check.evidence["after"] < check.evidence["before"]


def test_errors_of_numbers_are_followed_by_their_size(version, followed):
    dice = np.random.default_rng(4)
    errors = [*dice.normal(0, 10, 1000), *dice.normal(0, 40, 500)]
    tell(log(version, [{}] * 1500, ago=MINUTE), errors=errors)
    streams.sweep()
    assert DriftCheck.objects.get().evidence["after"] > 20


def test_a_new_stream_begins_with_what_its_detectors_would_remember(version, followed, monkeypatch):
    monkeypatch.setattr(streams, "KEEP", 300)
    outcomes(version, (900, 0.1))
    assert streams.follow(version, "errors") == 300


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(detectors, "KEEP", 400)
    watcher = Watcher()
    for value in wrongs(5, (5000, 0.2)):
        watcher.take(float(value))
    assert len(watcher.values) < 400


def test_only_what_is_monitored_is_followed(version):
    outcomes(version, (50, 0.1))
    assert streams.sweep() == 0
    monitor = DriftMonitor.objects.create(model=version.model, streams=False)
    assert streams.sweep() == 0
    DriftMonitor.objects.filter(pk=monitor.pk).update(streams=True, about=["errors"])
    assert streams.sweep() == 50
