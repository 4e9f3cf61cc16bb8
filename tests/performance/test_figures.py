"""Figures of versions over time."""

from datetime import timedelta

import pytest
from django.utils import timezone

from common.errors import InvalidInputError, NotFoundError
from performance.models import MetricRecord
from performance.recording import record, record_evaluations
from performance.trends import trend
from tests.api.conftest import Api
from tests.world import make_version


def test_the_evaluation_of_a_new_version_is_taken_once(owner):
    metrics = {"validation/loss": 1.5, "steps": 20, "diverged": None, "note": "x", "ok": True}
    version = make_version(owner, metrics=metrics)
    assert record_evaluations() == 2
    assert record_evaluations() == 0
    rows = MetricRecord.objects.filter(version=version, source="evaluation")
    assert dict(rows.values_list("name", "value")) == {"validation/loss": 1.5, "steps": 20.0}
    assert rows.first().recorded_at == version.created_at


def test_a_version_without_figures_is_no_hindrance(owner):
    make_version(owner, metrics={})
    make_version(owner, metrics={"x": None})
    make_version(owner, metrics={"loss": 1.0})
    assert record_evaluations() == 1


def test_reported_figures_do_not_count_as_an_evaluation(owner):
    version = make_version(owner)
    record(version, "validation/loss", 9.0)
    assert record_evaluations() == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_refused(owner, value):
    with pytest.raises(InvalidInputError):
        record(make_version(owner), "x", value)


@pytest.mark.parametrize("name", ["", " x", "a\nb", "<script>", "x" * 101])
def test_a_strange_name_is_refused(owner, name):
    with pytest.raises(InvalidInputError) as error:
        record(make_version(owner), name, 1.0)
    assert "name" in error.value.fields


def test_the_future_is_refused(owner):
    with pytest.raises(InvalidInputError):
        record(make_version(owner), "x", 1.0, timezone.now() + timedelta(hours=1))


def test_a_trend_runs_over_versions_from_old_to_new(owner):
    now = timezone.now()
    first, second = make_version(owner), make_version(owner)
    record(second, "accuracy", 0.9, now)
    record(first, "accuracy", 0.8, now - timedelta(days=2))
    record(first, "other", 1.0, now)
    found = trend(first.model, "accuracy")
    assert [(point.version.number, point.value) for point in found.records] == [(1, 0.8), (2, 0.9)]
    assert [point.value for point in trend(first.model, "accuracy", since=now).records] == [0.9]
    assert [point.value for point in trend(first.model, "accuracy", until=now - timedelta(days=1)).records] == [0.8]


def test_a_long_trend_keeps_the_newest(owner):
    version, now = make_version(owner), timezone.now()
    for number in range(5):
        record(version, "x", number, now - timedelta(minutes=5 - number))
    found = trend(version.model, "x", limit=2)
    assert ([point.value for point in found.records], found.total) == ([3.0, 4.0], 5)


def test_a_figure_that_a_model_never_had_names_those_that_it_has(owner):
    version = make_version(owner)
    record(version, "accuracy", 0.5)
    with pytest.raises(NotFoundError) as error:
        trend(version.model, "precision")
    assert "accuracy" in error.value.hint


def test_figures_are_recorded_and_read_by_the_api(owner):
    alice, version = Api(owner), make_version(owner)
    answer = alice.post_json("performance/metrics/record", {"version": version.pk, "name": "accuracy", "value": 0.75})
    assert answer.status_code == 201
    assert answer.json()["source"] == "reported"
    shown = alice.get(f"performance/metrics/trend?model={version.model_id}&name=accuracy").json()
    assert (shown["total_points"], shown["points"][0]["value"]) == (1, 0.75)
    empty = alice.get(f"performance/metrics/trend?model={version.model_id}&name=nothing")
    assert empty.status_code == 404
    assert "accuracy" in empty.json()["hint"]
