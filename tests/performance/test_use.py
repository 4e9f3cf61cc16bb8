"""Figures of use: reckoned by hour and day, again whenever something in them changed, and then exactly right."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from performance import sweep
from performance.models import MetricRecord, RetrainingPolicy
from performance.trends import names as names_of
from performance.trends import trend
from performance.use import estimates, names, reading, rollup
from performance.use.rollup import Period
from registry.logged import policies
from registry.logged.outcomes import send
from registry.models import Prediction, Touched
from tests.registry.logged.cast import CAT, at, classifier, logged, regressor
from tests.world import make_version

NOW = timezone.now().astimezone(UTC)
YESTERDAY = NOW.replace(hour=9, minute=20, second=0, microsecond=0) - timedelta(days=1)
HOUR = YESTERDAY.replace(minute=0)
DAY = YESTERDAY.replace(hour=0, minute=0)


@pytest.fixture
def version(owner):
    return classifier(owner)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(rollup, "WAITS", dict.fromkeys(rollup.WAITS, -5))


def on(monkeypatch, moment, *arguments, **wanted):
    """A prediction of that time."""
    with monkeypatch.context() as patch:
        at(patch, moment)
        return logged(*arguments, **wanted)


def figures(version, since, bucket="hour", group=""):
    rows = MetricRecord.objects.filter(version=version, since=since, bucket=bucket, group=group, source="logged")
    return {(row.name, row.estimated): (round(row.value, 4), row.count) for row in rows}


def test_new_figures_are_looked_at_by_alerts_and_by_policies_that_watch_one(owner, version, monkeypatch):
    told = []
    monkeypatch.setattr(rollup.evaluating, "soon", lambda: told.append("alerts"))
    monkeypatch.setattr(rollup.triggers, "knock", told.append)
    policy = RetrainingPolicy.objects.create(model=version.model, enabled=True)
    on(monkeypatch, YESTERDAY, version, owner)
    assert rollup.run() == 2 and set(told) == {"alerts"}
    RetrainingPolicy.objects.filter(pk=policy.pk).update(metric=names.ACCURACY, metric_value=0.9)
    on(monkeypatch, YESTERDAY + timedelta(minutes=5), version, owner)
    rollup.run()
    assert version.model_id in told
    told.clear()
    assert rollup.run() == 0 and not told


def test_an_hour_and_its_day_are_reckoned_with_all_figures(owner, version, monkeypatch):
    for n in range(10):
        on(monkeypatch, YESTERDAY, version, owner, {"label": "cat", "confidence": 0.8}, latency_ms=10.0 * (n + 1))
    on(monkeypatch, YESTERDAY + timedelta(hours=3), version, owner, latency_ms=5.0)
    on(monkeypatch, YESTERDAY, version, owner, error="No process.", latency_ms=30_000)
    assert rollup.run() == 3, "two hours and a day"
    assert figures(version, HOUR) == {
        (names.REQUESTS, False): (11.0, 11), (names.ERRORS, False): (round(1 / 11, 4), 11),
        (names.P50, False): (55.0, 10), (names.P95, False): (95.5, 10), (names.ACCURACY, True): (0.8, 10),
    }  # fmt: skip
    assert figures(version, DAY, "day")[names.REQUESTS, False] == (12.0, 12)
    row = MetricRecord.objects.filter(bucket="day").first()
    assert (row.since, row.recorded_at) == (DAY, DAY + timedelta(days=1))
    assert not Touched.objects.exists() and rollup.run() == 0


def test_late_truth_makes_the_figures_of_its_time_exactly_right(owner, version, monkeypatch):
    rows = [on(monkeypatch, YESTERDAY, version, owner) for _ in range(4)]
    rollup.run()
    assert (names.ACCURACY, False) not in figures(version, HOUR)
    for row, truth in zip(rows, ("cat", "cat", "dog"), strict=False):
        send(owner, row.pk, truth=truth)
    rollup.run()
    assert figures(version, HOUR)[names.ACCURACY, False] == figures(version, DAY, "day")[names.ACCURACY, False]
    assert figures(version, HOUR)[names.ACCURACY, False] == (0.6667, 3)
    send(owner, rows[2].pk, truth="cat", replace=True)
    rollup.run()
    assert figures(version, DAY, "day")[names.ACCURACY, False] == (1.0, 3)
    assert figures(version, HOUR)[names.REQUESTS, False] == (4.0, 4)


def test_numbers_have_their_error_and_bias_and_feedback_its_mean(owner, monkeypatch):
    version = regressor(owner)
    for value, truth in ((10.0, 12.0), (10.0, 9.0)):
        row = on(monkeypatch, YESTERDAY, version, owner, {"value": value})
        send(owner, row.pk, truth=truth, value=1.0 if truth > 10 else 0.0)
    ahead = make_version(owner, "Ahead", "forecast")
    steps = {"forecast": [{"value": 1.0}, {"value": 2.0}]}
    send(owner, on(monkeypatch, YESTERDAY, ahead, owner, steps).pk, truth=[3, 1])
    rollup.run()
    found = figures(version, HOUR)
    assert (found[names.MAE, False], found[names.BIAS, False]) == ((1.5, 2), (-0.5, 2))
    assert found[names.FEEDBACK, False] == (0.5, 2) and (names.ACCURACY, True) not in found
    assert figures(ahead, HOUR)[names.MAE, False] == (1.5, 1) and (names.BIAS, False) not in figures(ahead, HOUR)


def test_groups_have_figures_of_their_own_the_largest_of_them(owner, version, monkeypatch):
    monkeypatch.setattr(rollup, "GROUPS", 2)
    for group, count in (("north", 3), ("south", 2), ("west", 1), ("", 1)):
        for n in range(count):
            row = on(monkeypatch, YESTERDAY, version, owner, group=group)
            send(owner, row.pk, truth="dog" if n else "cat")
    rollup.run()
    assert figures(version, HOUR)[names.ACCURACY, False] == (round(4 / 7, 4), 7)
    assert figures(version, HOUR, group="north")[names.ACCURACY, False] == (0.3333, 3)
    assert figures(version, HOUR, group="south")[names.REQUESTS, False] == (2.0, 2)
    assert figures(version, HOUR, group="west") == {}


def test_versions_and_hours_are_kept_apart_to_the_millisecond(owner, version, monkeypatch):
    second = classifier(owner)
    tick = timedelta(milliseconds=1)
    on(monkeypatch, HOUR, version, owner)
    on(monkeypatch, HOUR + timedelta(hours=1) - tick, version, owner)
    on(monkeypatch, HOUR + timedelta(hours=1), version, owner)
    on(monkeypatch, HOUR, second, owner)
    rollup.run()
    counts = [figures(one, hour)[names.REQUESTS, False][1] for one, hour in (
        (version, HOUR), (version, HOUR + timedelta(hours=1)), (second, HOUR))]  # fmt: skip
    assert counts == [2, 1, 1]


def test_what_goes_on_is_reckoned_now_and_then_and_what_is_over_soon(owner, version, monkeypatch):
    waits = {"past_hour": 3, "current_hour": 60, "past_day": 10, "current_day": 600, "first": 5}
    monkeypatch.setattr(rollup, "WAITS", waits)
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    known = {"version": version, "source": "logged", "name": names.REQUESTS, "value": 1, "count": 1, "bucket": "hour"}
    MetricRecord.objects.create(model=version.model, since=this_hour, recorded_at=NOW, **known)
    Touched.objects.create(version=version, since=this_hour)
    Touched.objects.create(version=version, since=HOUR)
    assert rollup._due(9) == []
    Touched.objects.update(at=timezone.now() - timedelta(seconds=30))
    assert rollup._due(9) == [Period(version.pk, HOUR, False)]
    Touched.objects.update(at=timezone.now() - timedelta(seconds=90))
    assert len(rollup._due(9)) == 2


def test_the_first_figures_of_today_are_there_within_seconds(owner, version, monkeypatch):
    monkeypatch.setattr(rollup, "WAITS", {"past_hour": 3, "current_hour": 60, "past_day": 10, "current_day": 600,
                                          "first": 5})  # fmt: skip
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    Touched.objects.create(version=version, since=today, day=True)
    Touched.objects.update(at=timezone.now() - timedelta(seconds=6))
    assert rollup._due(9) == [Period(version.pk, today, True)]
    MetricRecord.objects.create(
        model=version.model, version=version, source="logged", name=names.REQUESTS, value=1, count=1, bucket="day",
        since=today, recorded_at=NOW,
    )  # fmt: skip
    assert rollup._due(9) == []


def test_a_period_that_was_partly_removed_keeps_its_figures(owner, version, monkeypatch):
    row = on(monkeypatch, YESTERDAY, version, owner)
    on(monkeypatch, YESTERDAY, version, owner)
    send(owner, row.pk, truth="cat")
    rollup.run()
    before = figures(version, DAY, "day")
    policies.change_policy(version.model, owner, keep="hash", share=1, days=1)
    monkeypatch.setattr(rollup, "kept_since", lambda days: DAY + timedelta(days=1))
    Prediction.objects.exclude(pk=row.pk).delete()
    send(owner, row.pk, truth="dog", replace=True)
    rollup.run()
    assert figures(version, DAY, "day") == before and not Touched.objects.exists()


def test_hours_of_long_ago_are_forgotten_and_days_are_not(owner, version, monkeypatch):
    old = YESTERDAY - timedelta(days=40)
    on(monkeypatch, old, version, owner)
    rollup.run()
    assert set(MetricRecord.objects.values_list("bucket", flat=True)) == {"day"}


def test_a_worker_is_asked_when_something_is_due(owner, version):
    sweep.run()
    assert not OrmQ.objects.exists()
    Touched.objects.create(version=version, since=HOUR)
    sweep.run()
    assert OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_reckon_a_period_once_and_miss_nothing(django_user_model, monkeypatch):
    owner = django_user_model.objects.create_user("alice")
    version = classifier(owner)
    on(monkeypatch, YESTERDAY, version, owner)
    write, begun, go_on = rollup._write, threading.Event(), threading.Event()

    def slow(*given):
        if threading.current_thread() is not threading.main_thread():
            write(*given)
            begun.set()
            go_on.wait(5)
        else:
            write(*given)

    def work():
        rollup.reckon(Period(version.pk, HOUR, False))
        connection.close()

    monkeypatch.setattr(rollup, "_write", slow)
    other = threading.Thread(target=work)
    other.start()
    begun.wait(5)
    on(monkeypatch, YESTERDAY, version, owner)  # it comes while the first one is at work, which can't see it
    threading.Timer(0.3, go_on.set).start()
    assert rollup.reckon(Period(version.pk, HOUR, False)) is True
    other.join()
    assert figures(version, HOUR)[names.REQUESTS, False] == (2.0, 2)
    assert rollup.reckon(Period(version.pk, HOUR, False)) is False


def test_an_estimate_takes_off_what_a_version_was_too_sure_by():
    assert estimates.accuracy(0.9, {"validation/confidence": 0.85, "validation/accuracy": 0.75}) == pytest.approx(0.8)
    assert estimates.accuracy(0.9, {"test/confidence": 0.5, "test/accuracy": 0.9}) == 1.0
    assert estimates.accuracy(0.9, {"validation/accuracy": 0.75}) == 0.9
    assert not estimates.calibrated({"validation/accuracy": 0.75})
    assert not estimates.can_be_estimated("anomaly") and not estimates.can_be_estimated("text-generation")


def test_the_trend_is_asked_by_group_source_bucket_and_estimate(owner, version, monkeypatch):
    row = on(monkeypatch, YESTERDAY, version, owner, group="north")
    on(monkeypatch, YESTERDAY, version, owner)
    send(owner, row.pk, truth="cat")
    rollup.run()
    model = version.model

    def values(**wanted):
        return [(one.value, one.bucket, one.count) for one in trend(model, names.ACCURACY, **wanted).records]

    assert sorted(values()) == [(0.9, "day", 2), (1.0, "day", 1)]
    assert values(estimated=False) == [(1.0, "day", 1)]
    assert values(estimated=True, bucket="hour", group="north") == [(0.9, "hour", 1)]
    assert values(source="reported") == [] == values(until=YESTERDAY - timedelta(days=3))
    assert set(names_of(model)) == {names.ACCURACY, names.REQUESTS, names.ERRORS, names.P50, names.P95}


def test_what_is_shown_is_summed_by_version_and_group_and_drawn_over_time(owner, version, monkeypatch):
    second = classifier(owner, metrics={"validation/confidence": 0.9, "validation/accuracy": 0.8})
    for one, group, truths in ((version, "north", ("cat", "dog")), (second, "south", ("cat", "cat", "dog"))):
        for days, truth in enumerate(truths):
            row = on(monkeypatch, YESTERDAY - timedelta(days=days), one, owner, group=group)
            send(owner, row.pk, truth=truth)
    on(monkeypatch, YESTERDAY, second, owner, CAT)
    rollup.run()
    use = reading.shown(version.model, days=30)
    assert use.name == names.ACCURACY and len(use.chart.x) == 30
    assert [(line.name, line.dashed) for line in use.chart.lines] == [
        ("v2", False), ("v2, estimated", True), ("v1", False), ("v1, estimated", True),
    ]  # fmt: skip
    assert [row.name for row in use.versions] == ["v2", "v1"]
    assert round(use.versions[0].values[names.ACCURACY], 4) == 0.6667 and use.versions[0].counts[names.ACCURACY] == 3
    assert use.versions[0].estimate == pytest.approx(0.8) and use.uncalibrated == ["v1"]
    assert use.chart.lines[2].values[-3:] == [0.0, 1.0, None]
    assert [(row.name, row.values[names.REQUESTS]) for row in use.groups] == [("south", 3.0), ("north", 2.0)]
    north = reading.shown(version.model, names.REQUESTS, 7, "north")
    assert [line.name for line in north.chart.lines] == ["v1"] and len(north.chart.x) > 140
    assert reading.shown(version.model, "nonsense", 12, "nowhere").name == names.ACCURACY


def test_a_model_that_was_never_used_has_nothing_to_show(version):
    assert reading.shown(version.model) is None


def test_the_pages_show_figures_of_use_and_say_what_is_estimated(client, owner, stranger, version, monkeypatch):
    client.force_login(owner)
    page = f"/performance/models/{version.model_id}"
    assert "Not in use yet" in client.get(page).content.decode()
    on(monkeypatch, YESTERDAY, version, owner, group="north")
    rollup.run()
    for asked in (f"figure={names.ERRORS}", f"name={names.ERRORS}"):  # the latter as links of alerts have it
        assert client.get(f"{page}?{asked}").context["use"].name == names.ERRORS
    text = client.get(f"{page}?days=7&figure={names.ACCURACY}&group=north").content.decode()
    assert "v1, estimated" in text and "uncalibrated" in text and "90.0 % estimated" in text
    assert "estimated" in client.get("/performance").content.decode()
    client.force_login(stranger)
    assert client.get(page).status_code == 404


def test_the_list_of_models_costs_the_same_for_few_and_for_many(client, owner, django_assert_num_queries):
    client.force_login(owner)
    for number in range(8):
        MetricRecord.objects.create(
            version=classifier(owner, f"model {number}"), model=owner.models.latest("id"), name=names.REQUESTS, value=1,
            count=1, source="logged", bucket="day", since=DAY, recorded_at=DAY + timedelta(days=1),
        )  # fmt: skip
    with django_assert_num_queries(10):  # the count of open alerts among them
        assert client.get("/performance").status_code == 200


def test_months_are_asked_in_utc():
    assert reading._begin(1) == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
