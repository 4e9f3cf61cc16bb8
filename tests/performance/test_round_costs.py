"""A round of a hub in which nothing happens costs some queries, however much there is to look at."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from performance import sweep
from performance.drift import monitors, streams
from performance.models import Alert, DriftMonitor
from performance.retraining import triggers
from performance.rounds import Rounds
from tests.performance.crowd import make_crowd

pytestmark = pytest.mark.django_db
MOST = 12  # of one part


def costs() -> dict[str, int]:
    """Queries of each part, in the second of two rounds: the first one takes what there is."""
    found = {}
    for _ in range(2):
        for part in sweep.PARTS:
            with CaptureQueriesContext(connection) as queries:
                part()
            found[f"{part.__module__}.{part.__name__}"] = len(queries)
    return found


@pytest.fixture
def rounds(monkeypatch):
    """Each test begins its rounds at the first row."""
    monkeypatch.setattr(monitors, "_rounds", Rounds())
    monkeypatch.setattr(streams, "_rounds", Rounds())
    monkeypatch.setattr(triggers, "_rounds", Rounds())
    monkeypatch.setattr(triggers, "_turns", Rounds(triggers.COUNTED))
    monkeypatch.setattr(triggers, "_rest", [0.0])


def test_a_quiet_round_takes_as_many_queries_for_many_models_as_for_few(owner, rounds):
    make_crowd(owner, 5)
    few = costs()
    make_crowd(owner, 25)
    many = costs()
    print(many)
    assert not Alert.objects.exists() and DriftMonitor.objects.count() == 30
    assert {part: (few[part], many[part]) for part in many if many[part] > few[part]} == {}
    # Rules are of seven kinds, which take two or three queries each.
    assert {part: count for part, count in many.items() if count > (40 if "alerts" in part else MOST)} == {}
