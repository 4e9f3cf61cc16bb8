"""Alerts: when one opens, that it is one however often it is seen, and when it is over."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from jobs.models import Job
from performance.alerts import dealing, defaults, evaluating, rules
from performance.models import Alert, AlertEvent, AlertRule, DriftCheck
from performance.recording import record
from registry.models import Alias, ModelVersion
from tests.performance.retrained import figure
from tests.world import make_job, make_node, make_version

METRIC = {"kind": "metric", "metric": "production/accuracy", "comparison": "below", "threshold": 0.8}


@pytest.fixture
def version(owner):
    return make_version(owner)


def make_rule(owner, **values):
    return rules.make(owner, owner, **{"name": "Watch", "cool_down_minutes": 0, **METRIC, **values})


def see(version, *values):
    """Figures, one after another, each a moment later than the one before."""
    for value in values:
        record(version, "production/accuracy", value)


def hour(version, value, **more):
    """The figure of one hour of use after another."""
    return figure(version, value, name="production/accuracy", **more)


def later(minutes):
    """Time passes for what waits to be over."""
    past = timezone.now() - timedelta(minutes=minutes)
    Alert.objects.filter(well_since__isnull=False).update(well_since=past)


def kinds(alert):
    return list(alert.events.values_list("kind", flat=True))


def test_a_figure_that_falls_below_opens_one_alert_with_its_evidence(owner, version):
    rule = make_rule(owner)
    see(version, 0.9, 0.79)
    assert [evaluating.evaluate(rule) for _ in range(3)] == [1, 0, 0]
    alert = Alert.objects.get()
    assert alert.status == "active" and alert.value == 0.79 and alert.threshold == 0.8
    assert alert.words == "production/accuracy of v1 is 0.79, below 0.8."
    assert alert.evidence["figures"][0]["value"] == 0.79 and kinds(alert) == ["opened"]


def test_it_is_over_only_past_the_other_threshold(owner, version):
    rule = make_rule(owner, clear_threshold=0.85)
    see(version, 0.7)
    evaluating.evaluate(rule)
    see(version, 0.82)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "active", "between the two it stays as it is"
    see(version, 0.86)
    evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert alert.status == "resolved" and alert.resolved_at and kinds(alert) == ["opened", "resolved"]


def test_so_many_in_a_row_are_needed_to_open_and_to_end(owner, version):
    rule = make_rule(owner, in_a_row=3)
    see(version, 0.7, 0.7, 0.9, 0.7, 0.7)
    assert evaluating.evaluate(rule) == 0
    see(version, 0.6)
    assert evaluating.evaluate(rule) == 1
    see(version, 0.9, 0.9)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "active"
    see(version, 0.9)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "resolved"


def test_what_rests_on_too_little_says_nothing(owner, version):
    rule = make_rule(owner, minimum_count=100)
    hour(version, 0.1, count=99)
    assert evaluating.evaluate(rule) == 0
    hour(version, 0.1, count=100)
    assert evaluating.evaluate(rule) == 1


def test_a_figure_of_a_group_or_another_source_is_another_figure(owner, version):
    rule = make_rule(owner, group="north", source="logged")
    see(version, 0.1)
    hour(version, 0.1, group="south")
    assert evaluating.evaluate(rule) == 0
    hour(version, 0.1, group="north")
    assert evaluating.evaluate(rule) == 1


def test_an_hour_that_is_reckoned_again_is_no_new_finding_and_its_day_does_not_hide_it(owner, version):
    rule = make_rule(owner)
    first = hour(version, 0.1)
    hour(version, 0.95, bucket="day", recorded_at=first.recorded_at + timedelta(hours=20))
    assert evaluating.evaluate(rule) == 1
    dealing.resolve(Alert.objects.get(), owner)
    first.delete()
    hour(version, 0.2, since=first.since, recorded_at=first.recorded_at)
    assert evaluating.evaluate(rule) == 0, "the same hour, reckoned anew"
    hour(version, 0.2, since=first.recorded_at, recorded_at=first.recorded_at + timedelta(hours=1))
    assert evaluating.evaluate(rule) == 1


def test_an_estimate_steps_back_where_the_same_hour_is_known(owner, version):
    rule = make_rule(owner, in_a_row=2)
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours in (2, 1):
        given = {"since": now - timedelta(hours=hours), "recorded_at": now - timedelta(hours=hours - 1)}
        hour(version, 0.2, **given)
        hour(version, 0.95, estimated=True, **given)
    assert evaluating.evaluate(rule) == 1
    shown = Alert.objects.get().evidence["figures"]
    assert [row["estimated"] for row in shown] == [False, False]


def test_figures_of_the_version_in_production_count(owner, version):

    rule = make_rule(owner)
    challenger = make_version(owner, model=version.model)
    Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    see(version, 0.9)
    see(challenger, 0.2)
    assert evaluating.evaluate(rule) == 0
    see(version, 0.2)
    assert evaluating.evaluate(rule) == 1


def test_a_flapping_figure_is_one_alert_that_stays_open(owner, version):
    rule = make_rule(owner, cool_down_minutes=5)
    for _ in range(5):
        see(version, 0.7)
        evaluating.evaluate(rule)
        see(version, 0.9)
        evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert alert.status == "active" and kinds(alert) == ["opened"] and alert.times_seen == 5
    later(4)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "active"
    later(5)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "resolved"


def test_seen_again_and_again_it_is_written_down_seldom(owner, version, django_assert_max_num_queries):
    rule = make_rule(owner)
    see(version, 0.7)
    evaluating.evaluate(rule)
    with django_assert_max_num_queries(7) as queries:
        evaluating.evaluate(rule)
    assert not [
        q for q in queries if q["sql"].startswith(("INSERT", "DELETE")) or "SELECT pg_notify" in q["sql"]
    ] and Alert.objects.get().times_seen == 1  # fmt: skip


def test_what_was_resolved_by_hand_opens_again_for_something_new_only(owner, version):
    rule = make_rule(owner)
    see(version, 0.7)
    evaluating.evaluate(rule)
    dealing.resolve(Alert.objects.get(), owner, "Known.")
    assert evaluating.evaluate(rule) == 0
    see(version, 0.6)
    assert evaluating.evaluate(rule) == 1
    assert Alert.objects.count() == 2


def test_acknowledging_is_kept_with_who_and_why_and_in_the_audit_trail(owner, version):
    see(version, 0.7)
    evaluating.evaluate(make_rule(owner))
    alert = dealing.acknowledge(Alert.objects.get(), owner, "I look at it.")
    assert (alert.status, alert.acknowledged_by, bool(alert.acknowledged_at)) == ("acknowledged", owner, True)
    event = alert.events.last()
    assert (event.kind, event.by, event.words) == ("acknowledged", "alice", "I look at it.")
    assert AuditEntry.objects.filter(verb="acknowledged", kind="alert", object_id=alert.pk, actor_name="alice").exists()


def test_what_is_over_can_t_be_dealt_with(owner, version):
    see(version, 0.7)
    evaluating.evaluate(make_rule(owner))
    alert = dealing.resolve(Alert.objects.get(), owner)
    for verb in (dealing.acknowledge, dealing.resolve):
        with pytest.raises(ConflictError, match="over already"):
            verb(alert, owner)
    with pytest.raises(ConflictError, match="over already"):
        dealing.snooze(alert, owner, timezone.now() + timedelta(hours=1))


@pytest.mark.parametrize("hours", [-1, 0, 24 * 31])
def test_a_snooze_ends_within_thirty_days(owner, version, hours):
    see(version, 0.7)
    evaluating.evaluate(make_rule(owner))
    with pytest.raises(InvalidInputError, match="until then"):
        dealing.snooze(Alert.objects.get(), owner, timezone.now() + timedelta(hours=hours))


def test_what_happened_to_an_alert_is_never_written_anew(owner, version):
    from django.db import DatabaseError, transaction

    see(version, 0.7)
    evaluating.evaluate(make_rule(owner))
    with pytest.raises(DatabaseError, match="only added to"), transaction.atomic():
        AlertEvent.objects.update(words="It was nothing.")


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_make_one_alert(owner):
    version = make_version(owner)
    rule = make_rule(owner)
    see(version, 0.7)
    start, opened = threading.Barrier(4), []

    def sweep():
        try:
            start.wait(10)
            opened.append(evaluating.evaluate(rule))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join(20) for thread in threads]
    assert sum(opened) == 1 and len(opened) == 4 and Alert.objects.count() == 1
    assert AlertEvent.objects.count() == 1


def test_drift_opens_and_ends_with_the_verdicts_of_checks(owner, version):
    rule = rules.make(owner, owner, name="Drift", kind="drift", cool_down_minutes=0)
    now = timezone.now()

    def check(moved, about="inputs"):
        DriftCheck.objects.create(
            model=version.model, about=about, recent_from=now, recent_until=now, status="completed", moved=moved,
            finished_at=now, message="2 of 3 columns moved." if moved else "Nothing moved.",
            findings=[{"column": "a", "picture": {"labels": ["x"]}}],
        )  # fmt: skip

    check(None)
    assert evaluating.evaluate(rule) == 0, "too little to say"
    check(True)
    check(False, "predictions")
    assert evaluating.evaluate(rule) == 1
    alert = Alert.objects.get()
    assert alert.words == "2 of 3 columns moved." and alert.target.endswith(":inputs")
    assert alert.evidence["url"] == f"/performance/drift/checks/{alert.evidence['check']}"
    assert alert.evidence["findings"] == [{"column": "a"}], "and not the picture, which shows values"
    check(False)
    evaluating.evaluate(rule)
    alert.refresh_from_db()
    assert alert.status == "resolved"


def test_drift_of_a_version_that_is_no_longer_in_use_is_over(owner, version):
    rule = rules.make(owner, owner, name="Drift", kind="drift", cool_down_minutes=0)
    then = timezone.now() - timedelta(minutes=5)
    DriftCheck.objects.create(
        model=version.model, about="errors", recent_from=then, recent_until=then, status="completed", moved=True,
        finished_at=then, message="Errors grew.", findings=[],
    )  # fmt: skip
    assert evaluating.evaluate(rule) == 1
    Alias.objects.update_or_create(
        model=version.model, name="champion", defaults={"version": version, "since": timezone.now()}
    )
    evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert alert.status == "resolved"
    assert f"v{version.number} is in use since" in " ".join(alert.events.values_list("words", flat=True))


def fail(job, minutes_ago=0):
    Job.objects.filter(pk=job.pk).update(
        status="failed", failure_code="CRASHED", completed_at=timezone.now() - timedelta(minutes=minutes_ago)
    )


def test_a_burst_of_failed_jobs_is_one_alert(owner, stranger):
    rule = rules.make(owner, owner, name="Failures", kind="job_failed", threshold=3, minutes=60, cool_down_minutes=0)
    for ago in (0, 1, 61):
        fail(make_job(owner), ago)
    fail(make_job(stranger))
    assert evaluating.evaluate(rule) == 0, "one is too long ago, one is somebody else's"
    fail(make_job(owner))
    assert evaluating.evaluate(rule) == 1
    alert = Alert.objects.get()
    assert alert.value == 3 and "3 jobs failed within 60 minutes, the last with CRASHED." in alert.words
    Job.objects.filter(status="failed").update(completed_at=timezone.now() - timedelta(hours=2))
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "resolved"


def test_jobs_that_wait_long_are_told_of(owner):
    rule = rules.make(owner, owner, name="Waits", kind="jobs_waiting", threshold=30, cool_down_minutes=0)
    assert evaluating.evaluate(rule) == 0
    job = make_job(owner)
    Job.objects.update(queued_at=timezone.now() - timedelta(minutes=31))
    assert evaluating.evaluate(rule) == 1
    assert Alert.objects.get().evidence["jobs"] == [{"id": job.pk, "name": job.name}]
    Job.objects.update(queued_at=timezone.now())
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "resolved"


def test_a_machine_that_is_silent_is_told_of_and_one_that_was_stopped_is_not(administrator):
    rule = rules.make(None, administrator, name="Silence", kind="node_silent", cool_down_minutes=0)
    old = timezone.now() - timedelta(minutes=3)
    node = make_node("up", state="active", heartbeat_at=old)
    make_node("down", heartbeat_at=old)
    assert evaluating.evaluate(rule) == 1
    assert Alert.objects.get().title == "Node up is silent"
    node.delete()
    evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert alert.status == "resolved" and alert.events.last().words == evaluating.GONE


def test_a_disk_that_fills_up_is_told_of(administrator, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    rule = rules.make(None, administrator, name="Disk", kind="disk", cool_down_minutes=0)
    for used, status in ((89, None), (90, "active"), (87, "active"), (85, "resolved")):
        monkeypatch.setattr("shutil.disk_usage", lambda path, used=used: usage(100, used, 100 - used))
        evaluating.evaluate(rule)
        assert Alert.objects.values_list("status", flat=True).first() == status, used


def test_damaged_files_are_told_of_until_the_version_is_deleted(owner, version):
    rule = rules.make(owner, owner, name="Damage", kind="artifact_damaged")
    assert evaluating.evaluate(rule) == 0
    ModelVersion.objects.update(damaged_at=timezone.now(), damage="model.safetensors is another.")
    assert evaluating.evaluate(rule) == 1
    assert Alert.objects.get().words == "model.safetensors is another."
    ModelVersion.objects.update(status="deleted", artifact=[])
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "resolved"


def test_a_rule_never_tells_of_models_that_its_owner_does_not_see(owner, stranger, version):
    see(version, 0.1)
    assert evaluating.evaluate(make_rule(stranger)) == 0


def test_the_machines_of_the_hub_are_for_administrators(owner, administrator):
    with pytest.raises(ForbiddenError, match="administrators"):
        rules.make(owner, owner, name="Disk", kind="disk")
    with pytest.raises(ForbiddenError, match="administrators"):
        rules.make(None, owner, name="Failures", kind="job_failed")
    assert rules.make(administrator, administrator, name="Disk", kind="disk").threshold == 90


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "x" * 101), ("name", "a\x00"), ("kind", "weather"), ("metric", ""), ("metric", "a\nb"),
        ("source", "x"), ("group", "x" * 101), ("comparison", "=="), ("threshold", float("nan")), ("threshold", None),
        ("clear_threshold", 0.7), ("in_a_row", 0), ("in_a_row", 51), ("minutes", 0), ("minimum_count", -1),
        ("cool_down_minutes", -1), ("severity", "loud"),
    ],
)  # fmt: skip
def test_what_can_t_be_a_rule_is_refused_at_its_field(owner, field, value):
    with pytest.raises(InvalidInputError) as refused:
        make_rule(owner, **{field: value})
    assert list(refused.value.fields) == [field] and not AlertRule.objects.exists()


def test_a_rule_that_is_turned_off_or_deleted_ends_its_alerts_and_keeps_what_it_found(owner, version):
    see(version, 0.7)
    rule = make_rule(owner)
    evaluating.evaluate(rule)
    rules.change(rule, owner, enabled=False)
    assert Alert.objects.get().status == "resolved"
    assert evaluating.evaluate_all() == 0
    rules.remove(rule, owner)
    alert = Alert.objects.get()
    assert alert.rule is None and alert.rule_name == "Watch"
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["made", "changed", "deleted"]


def test_one_rule_that_can_t_be_looked_at_stops_no_other(owner, version, monkeypatch):
    make_rule(owner, name="A")
    make_rule(owner, name="B")
    see(version, 0.7)
    look = evaluating.look_all

    def broken(rules):
        if any(rule.name == "A" for rule in rules):
            raise ZeroDivisionError
        return look(rules)

    monkeypatch.setattr(evaluating, "look_all", broken)
    assert evaluating.evaluate_all() == 1


def test_the_hub_has_rules_from_the_beginning_and_makes_each_once(owner, version):
    for _ in range(2):
        defaults.make_defaults()
    assert AlertRule.objects.filter(owner=None).count() == 4
    mine = AlertRule.objects.get(owner=owner)
    assert mine.kind == "drift" and mine.model is None
    with pytest.raises(ConflictError, match="own"):
        rules.remove(mine, owner)
    rules.change(mine, owner, enabled=False)
    defaults.make_defaults()
    assert not AlertRule.objects.get(owner=owner).enabled
    evaluating.evaluate_all()


def test_a_figure_that_is_reported_has_the_rules_looked_at_soon(owner, version, monkeypatch):
    monkeypatch.setattr(evaluating, "_asked", [float("-inf")])
    asked = []
    monkeypatch.setattr(evaluating, "enqueue", asked.append)
    see(version, *[0.5] * 20)
    assert asked == ["performance.tasks.evaluate_alerts"], "many at once are one look"


def test_a_look_costs_as_many_queries_for_many_models_as_for_one(owner, django_assert_max_num_queries):
    rule = make_rule(owner, comparison="above", threshold=5)
    for n in range(6):
        see(make_version(owner, f"Model {n}"), 0.7, 0.8)
    with django_assert_max_num_queries(6):
        evaluating.evaluate(rule)
