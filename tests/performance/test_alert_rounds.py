"""Rounds of all rules: their cost, and which version's figures they judge."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.models import Job
from performance.alerts import dealing, evaluating, rules
from performance.alerts.signals import reading
from performance.models import Alert, AlertRule
from performance.recording import record
from registry import access
from registry.models import Alias, ModelVersion
from tests.performance.crowd import FIGURE, make_checks, make_figures, make_models, make_rules
from tests.performance.retrained import figure
from tests.world import make_job, make_node, make_user, make_version

pytestmark = pytest.mark.django_db
BELOW = {"kind": "metric", "metric": FIGURE, "comparison": "below", "threshold": 0.8, "cool_down_minutes": 0}
HOUR = timedelta(hours=1)


def cost() -> int:
    with CaptureQueriesContext(connection) as queries:
        evaluating.evaluate_all()
    return len(queries)


def test_fifty_rules_of_each_kind_take_as_many_queries_as_five(owner):
    def watch(count: int) -> int:
        champions = make_models(owner, count)
        make_figures(champions)
        make_checks(champions)
        make_rules(champions)
        return cost()

    assert watch(5) == watch(45)
    assert AlertRule.objects.count() == 50 * 7 and not Alert.objects.exists()


def test_alerts_that_stay_as_they_are_cost_nothing_more_however_many_there_are(owner):
    def wrong(count: int) -> None:
        champions = make_models(owner, count)
        make_figures(champions, 0.1)
        make_checks(champions, moved=True)
        ModelVersion.objects.filter(pk__in=[one.pk for one in champions]).update(damaged_at=timezone.now())
        make_rules(champions)
        AlertRule.objects.update(minimum_count=0, in_a_row=1)
        evaluating.evaluate_all()

    wrong(3)
    few, opened = cost(), Alert.objects.count()
    wrong(9)
    assert Alert.objects.count() == 4 * opened and cost() == few
    Alert.objects.update(last_seen_at=F("last_seen_at") - 2 * HOUR)
    assert cost() <= few + 10, "seen again after a minute, they are written by one query of each kind"
    assert set(Alert.objects.values_list("times_seen", flat=True)) == {2}


def test_each_rule_finds_in_a_round_what_it_finds_alone(owner, stranger, administrator):
    """Rules of several people, of kinds and limits that differ, over the same things."""
    lines = ((owner, "Line"), (stranger, "Line"), (owner, "Other"))
    versions = [make_version(person, name, recipe="simulate") for person, name in lines]
    for place, version in enumerate(versions):
        for hour in range(3):
            figure(version, 0.8 - 0.1 * hour, name=FIGURE, count=50 + 100 * place)
        record(version, FIGURE, 0.7)
        failed = make_job(version.model.owner, model=version.model)
        Job.objects.filter(pk=failed.pk).update(
            status="failed", failure_code="CRASHED", completed_at=timezone.now() - place * timedelta(minutes=40)
        )
        Job.objects.filter(pk=make_job(version.model.owner).pk).update(queued_at=timezone.now() - 2 * HOUR)
    for _ in range(2):
        make_checks(versions, moved=True)
    make_node("n1", state="active", heartbeat_at=timezone.now() - HOUR)
    ModelVersion.objects.filter(pk=versions[2].pk).update(damaged_at=timezone.now())
    for person in (None, owner, stranger, administrator):
        for place, kind in enumerate(AlertRule.Kind.values):
            given = {"metric": FIGURE, "comparison": "below", "threshold": 0.75} if kind == "metric" else {}
            for model in (None, versions[0].model, versions[1].model):
                AlertRule.objects.create(
                    owner=person, name="A rule", kind=kind, model=model, in_a_row=1 + place % 3,
                    minimum_count=100 if kind == "metric" else 1, minutes=30 + 20 * place,
                    **({"threshold": 1.0} | given),
                )  # fmt: skip

    def found(signals):
        return sorted((one.target, one.title, one.wrong, one.well, one.mark, str(one.evidence)) for one in signals)

    for kind in AlertRule.Kind.values:
        rows = list(AlertRule.objects.filter(kind=kind).select_related("owner", "model"))
        together = reading.look_all(rows)
        assert [found(one) for one in together] == [found(reading.look(rule)) for rule in rows], kind
        assert any(one.wrong for signals in together for one in signals), kind
    theirs = [one for rule in AlertRule.objects.filter(owner=stranger) for one in reading.look(rule)]
    assert {one.model_id for one in theirs if one.wrong} == {None, versions[1].model_id}, "what it sees"


def test_what_was_called_settled_costs_one_query_for_all(owner):
    for champion in make_models(owner, 4):
        make_figures([champion], 0.1)
    rule = AlertRule.objects.create(owner=owner, name="All", **BELOW)
    assert evaluating.evaluate(rule) == 4
    for alert in Alert.objects.all():
        dealing.resolve(alert, owner)
    with CaptureQueriesContext(connection) as queries:
        assert evaluating.evaluate(rule) == 0
    assert len([query for query in queries if "performance_alert" in query["sql"]]) == 2
    assert not Alert.objects.exclude(status="resolved").exists()


def champion(version) -> None:
    """It is promoted now."""
    given = {"version": version, "since": timezone.now()}
    Alias.objects.update_or_create(model=version.model, name="champion", defaults=given)


@pytest.fixture
def two(owner):
    """A champion that does badly, with an alert, and another version of its model."""
    first = make_version(owner)
    champion(first)
    rule = rules.make(owner, owner, name="Watch", **BELOW)
    record(first, FIGURE, 0.5)
    evaluating.evaluate(rule)
    assert Alert.objects.get().status == "active"
    return first, make_version(owner, model=first.model), rule


def test_a_new_champion_is_not_judged_by_what_the_old_one_did(two):
    first, second, rule = two
    champion(second)
    evaluating.evaluate(rule)
    alert = Alert.objects.get()
    assert alert.status == "resolved" and "v2 is in use now" in alert.events.last().words
    record(first, FIGURE, 0.4)
    assert evaluating.evaluate(rule) == 0, "the old one goes on being measured"
    record(second, FIGURE, 0.7)
    assert evaluating.evaluate(rule) == 1
    assert Alert.objects.filter(status="active").get().words.startswith(f"{FIGURE} of v2 is 0.7")


def test_what_a_version_did_before_it_was_promoted_does_not_count(two):
    first, second, rule = two
    record(second, FIGURE, 0.3)
    champion(second)
    assert evaluating.evaluate(rule) == 0
    champion(first)  # rolled back: what it was replaced for was seen
    assert evaluating.evaluate(rule) == 0
    record(first, FIGURE, 0.4)
    assert evaluating.evaluate(rule) == 1


def test_hours_of_use_count_from_that_of_the_promotion_on(two):
    _first, second, rule = two
    champion(second)
    Alias.objects.update(since=F("since") - 3 * HOUR)
    since = timezone.now().replace(minute=0, second=0, microsecond=0) - 5 * HOUR
    figure(second, 0.2, name=FIGURE, since=since, recorded_at=since + HOUR)
    assert evaluating.evaluate(rule) == 0, "that hour was over before"
    figure(second, 0.2, name=FIGURE, since=since + 3 * HOUR, recorded_at=since + 4 * HOUR)
    assert evaluating.evaluate(rule) == 1


def test_the_evaluation_of_the_champion_counts_though_it_is_older(owner):
    rule = rules.make(owner, owner, name="Watch", **BELOW | {"metric": "accuracy"})
    first = make_version(owner)
    second = make_version(owner, model=first.model)
    for version, value in ((first, 0.9), (second, 0.5)):
        figure(version, value, name="accuracy", source="evaluation", recorded_at=version.created_at, bucket="")
    champion(first)
    assert evaluating.evaluate(rule) == 0
    champion(second)
    assert evaluating.evaluate(rule) == 1


def test_who_sees_all_models_is_the_same_asked_of_one_or_of_many(owner, administrator):
    access.make_roles()
    permission = Permission.objects.get(codename="deploy_model")
    people = [owner, administrator, *(make_user(name) for name in ("ann", "bob", "eve", "dan", "joe"))]
    ann, bob, eve, dan, joe = people[2:]
    ann.groups.add(Group.objects.get(name="Analysts"))
    bob.user_permissions.add(permission)
    eve.user_permissions.add(Permission.objects.get(codename="add_user"))
    for left in (dan, joe):
        left.groups.add(Group.objects.get(name="Approvers"))
    type(dan).objects.filter(pk=dan.pk).update(is_active=False)
    type(joe).objects.filter(pk=joe.pk).update(is_superuser=True)
    people = list(type(owner).objects.filter(pk__in=[one.pk for one in people]))
    assert access.who_see_all([one.pk for one in people]) == {one.pk for one in people if access.sees_all(one)}
    assert len(access.who_see_all([one.pk for one in people])) == 4
