"""An experiment begins, is looked at, and ends by a verdict, a person, its time, or who was promoted meanwhile."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from performance import tasks
from performance.experiments import looking, verbs
from performance.models import Experiment, Look
from performance.rounds import alone
from registry import access, routing
from registry.models import Alias, Model, ModelVersion, Route, RouteArm
from tests.performance.experiments.conftest import answer, judged
from tests.world import make_user, make_version

pytestmark = pytest.mark.django_db


def arms_of(experiment):
    return looking.arms_of(experiment)


def test_it_divides_the_traffic_from_then_on(begun, versions, owner):
    row = begun((1, 2), name="  Which   one? ", expected=5000)
    assert (row.name, row.status, row.expected, row.higher_is_better) == ("Which one?", "running", 5000, True)
    control, *others = arms_of(row)
    assert (control.version, control.control, control.weight) == (versions[0], True, 1)
    assert [(arm.version, arm.weight, arm.name) for arm in others] == [(versions[1], 1, "v2"), (versions[2], 1, "v3")]
    assert routing.choose(row.model, "somebody").arm is not None
    entry = AuditEntry.objects.get(verb="experiment started")
    assert entry.actor_name == owner.username and str(row.pk) == entry.object_id


def test_in_the_shadow_the_control_answers_all(begun, versions):
    row = begun(kind="shadow")
    choice = routing.choose(row.model, "somebody")
    assert choice.version == versions[0] and [arm.version for arm in choice.shadows] == [versions[1]]


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"metric": "beauty"}, "metric", "choose one of"),
        ({"kind": "shadow", "metric": "feedback_mean"}, "metric", "choose one of"),
        ({"kind": "abc"}, "kind", "ab, shadow"),
        ({"expected": 10}, "expected", "from 100 to"),
        ({"minimum": True}, "minimum", "whole number"),
        ({"max_days": 400}, "max_days", "1 to 365"),
        ({"alpha": 0.5}, "alpha", "0.001 to 0.2"),
        ({"margin": float("nan")}, "margin", "number from 0"),
        ({"margin": -1}, "margin", "number from 0"),
        ({"higher_is_better": False}, "higher_is_better", "higher value is better"),
        ({"others": ()}, "arms", "1 to 4 versions beside v1"),
    ],
)
def test_what_makes_no_sense_is_named(begun, given, field, words):
    with pytest.raises(InvalidInputError) as refused:
        begun(given.pop("others", (1,)), **given)
    assert words in refused.value.fields[field][0]
    assert not Route.objects.exists()


def test_only_ready_versions_of_the_model_take_part_once_with_sound_weights(versions, owner):
    def refused(*arms, **given):
        with pytest.raises(InvalidInputError) as error:
            verbs.start(versions[0].model, owner, arms=arms, **given)
        return " ".join(text for texts in error.value.fields.values() for text in texts)

    other = make_version(owner, "Another", "text-classification")
    assert "another model" in refused({"version": other})
    ModelVersion.objects.filter(pk=versions[1].pk).update(status="failed")
    versions[1].refresh_from_db()
    assert "can't answer" in refused({"version": versions[1]})
    assert "once" in refused({"version": versions[2]}, {"version": versions[2], "name": "again"})
    assert "once" in refused({"version": versions[2], "name": "x"}, {"version": versions[3], "name": "x"})
    assert "1 to 1,000" in refused({"version": versions[2], "weight": -3})
    assert "the champion" in refused({"version": versions[2]}, control=versions[3])
    Alias.objects.all().delete()
    assert "no champion" in refused({"version": versions[2]})
    made = verbs.start(versions[0].model, owner, arms=[{"version": versions[2]}], control=versions[3])
    assert arms_of(made)[0].version == versions[3]


def test_a_model_has_one_at_a_time(begun):
    first = begun()
    with pytest.raises(ConflictError, match="is running") as refused:
        begun((2,))
    assert refused.value.extra["experiment"] == first.pk
    with pytest.raises(IntegrityError), transaction.atomic():
        Route.objects.create(model=first.model, salt="s", started_at=timezone.now())


def test_the_same_request_twice_is_one_experiment(begun):
    first = begun(idempotency_key="k")
    assert begun(idempotency_key="k") == first
    with pytest.raises(ConflictError, match="used before"):
        begun((2,), idempotency_key="k")
    assert Experiment.objects.count() == 1


def test_who_may_begin_and_end_it(versions, begun):
    somebody = make_user("bob")
    arms = [{"version": versions[1]}]
    Group.objects.get_or_create(name="Analysts")
    access.make_roles()
    somebody.groups.add(Group.objects.get(name="Analysts"))
    with pytest.raises(ForbiddenError, match="may not deploy"):
        verbs.start(versions[0].model, somebody, arms=arms)
    row = begun()
    for verb in (verbs.stop, verbs.ask_for_look):
        with pytest.raises(ForbiddenError):
            verb(row, somebody)
    verbs.stop(row, None)  # the hub itself
    made = verbs.start(versions[0].model, None, arms=arms)
    assert made.started_by is None


def test_a_better_version_wins_and_the_route_ends(begun, versions, owner, promotion):
    row = begun()
    control, variant = arms_of(row)
    judged(control, 400, 200)
    judged(variant, 400, 300)
    verbs.ask_for_look(row, owner)
    assert tasks.look_at_experiments() == 1
    row.refresh_from_db()
    assert (row.status, row.verdict, row.winner) == ("decided", "better", variant)
    assert row.ended_at and row.route.ended_at
    assert "v2 is better than v1: the share of right answers differs by +25.0 points (from +" in row.words
    (version, kind, passed, evidence, against) = promotion.notes[0]
    assert (version, kind, passed, against) == (versions[1], "ab", True, versions[0])
    assert evidence["experiment"] == row.pk and "better" in evidence["words"]
    assert routing.choose(row.model, "somebody").arm is None
    assert AuditEntry.objects.get(verb="experiment decided").actor_name == ""
    verbs.promote(row, owner)
    assert promotion.promoted[0][:2] == (versions[1], owner) and "won" in promotion.promoted[0][2]
    assert looking.look(row.pk) is None


def test_one_that_does_harm_ends_it_long_before_the_minimum(begun, promotion):
    row = begun(minimum=5000)
    control, variant = arms_of(row)
    judged(control, 150, 140)
    judged(variant, 150, 30)
    looking.look(row.pk)
    row.refresh_from_db()
    assert (row.status, row.verdict, row.winner) == ("decided", "worse", None)
    assert promotion.notes[0][2] is False
    with pytest.raises(ConflictError, match="no winner"):
        verbs.promote(row, row.started_by)


def test_one_of_several_that_does_harm_is_withdrawn_and_the_others_go_on(begun):
    row = begun((1, 2))
    control, bad, fair = arms_of(row)
    for arm, right in ((control, 180), (bad, 40), (fair, 178)):
        judged(arm, 200, right)
    looking.look(row.pk)
    row.refresh_from_db()
    bad.refresh_from_db()
    fair.refresh_from_db()
    assert row.status == "running" and bad.withdrawn_at and not fair.withdrawn_at
    judged(control, 20, 1)  # the control gets worse; what was found of the withdrawn one stands
    assert looking.look(row.pk).arms[0]["verdict"] == "worse"


def test_the_errors_that_are_allowed_are_shared_by_the_variants(begun):
    row = begun((1, 2, 3))
    arms = arms_of(row)
    plan = looking.plan_of(row, arms[1], arms)
    assert plan.alpha == pytest.approx(0.05 / 3) and plan.expected == 1000


def test_a_look_is_kept_once_there_is_something_new(begun):
    row = begun()
    control, variant = arms_of(row)
    judged(control, 60, 30)
    judged(variant, 60, 31)
    first = looking.look(row.pk)
    assert "can't be told apart yet" in first.words and first.arms[0]["low"] < 0 < first.arms[0]["high"]
    assert looking.look(row.pk) is None
    judged(control, 60, 30)
    assert looking.look(row.pk) is not None
    assert Look.objects.count() == 2
    with pytest.raises(DatabaseError), transaction.atomic():
        Look.objects.update(verdict="better")
    with pytest.raises(DatabaseError), transaction.atomic():
        Look.objects.all().delete()


def test_keys_that_went_astray_put_everything_in_doubt(begun):
    row = begun()
    control, variant = arms_of(row)
    judged(control, 900, 100)
    judged(variant, 600, 500)
    looking.look(row.pk)
    row.refresh_from_db()
    assert (row.status, row.verdict) == ("running", "untrusted")
    assert "can't be trusted" in row.words and row.looks.first().ratio_p_value < 0.001


def test_a_shadow_that_is_no_worse_passes(begun, promotion):
    row = begun(kind="shadow", margin=0.05)
    control, shadow = arms_of(row)
    given = judged(control, 600, 600, label="a")
    answer(shadow, 600, label="a", shadow_of=[one.pk for one in given])
    looking.look(row.pk)
    row.refresh_from_db()
    assert (row.status, row.verdict) == ("decided", "no_difference")
    assert promotion.notes[0][1:3] == ("shadow", True)
    assert "do not differ by 5.0 points or more" in row.words


def test_when_its_time_is_over_it_ends_with_what_is_known(begun):
    row = begun(max_days=2)
    Experiment.objects.update(started_at=timezone.now() - timedelta(days=2, minutes=1))
    looking.look(row.pk)
    row.refresh_from_db()
    assert row.status == "expired" and row.words.startswith("2 days are over.") and row.route.ended_at


def test_it_ends_when_another_version_was_promoted(begun, versions):
    row = begun()
    Alias.objects.filter(name="champion").update(version=versions[3])
    looking.look(row.pk)
    row.refresh_from_db()
    assert row.status == "stopped" and "another version was promoted" in row.words


def test_a_person_stops_it_once(begun, owner):
    row = begun()
    stopped = verbs.stop(row, owner, "We know enough")
    assert stopped.status == "stopped" and stopped.words.startswith("Stopped: We know enough.")
    assert Route.objects.get().ended_at
    with pytest.raises(ConflictError, match="has ended: stopped"):
        verbs.stop(row, owner)
    with pytest.raises(ConflictError, match="has ended"):
        verbs.ask_for_look(row, owner)
    begun((2,))


def test_the_sweep_asks_for_a_look_when_its_time_has_come(begun):
    row = begun()
    assert not looking.sweep() and not OrmQ.objects.exists()
    Experiment.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    assert looking.sweep() and OrmQ.objects.count() == 1
    assert [looking.run(), looking.run()] == [1, 0]
    row.refresh_from_db()
    assert timedelta(seconds=20) < row.due_at - row.looked_at < timedelta(minutes=1)


def due(owner, count: int) -> list[Experiment]:
    """So many experiments whose time has come."""
    made = []
    for number in range(count):
        first = make_version(owner, f"Line {number}", "text-classification")
        other = make_version(owner, f"Line {number}", "text-classification", model=first.model)
        made.append(verbs.start(first.model, owner, arms=[{"version": other}], control=first))
    Experiment.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    return made


def test_many_that_are_due_are_one_task_which_takes_them_in_turn_and_leaves_the_rest_to_another(owner, monkeypatch):
    rows, looked = due(owner, 5), []
    long_ago = timezone.now() - timedelta(hours=2)
    for place, number in enumerate((3, 1, 4, 0)):  # the third was never looked at
        Experiment.objects.filter(pk=rows[number].pk).update(looked_at=long_ago + timedelta(minutes=place))
    monkeypatch.setattr(looking, "look", lambda pk: looked.append(pk) or (1 / 0 if pk == rows[3].pk else None))
    looking.sweep()
    assert OrmQ.objects.filter(key="background").count() == 1, "and not one for each"
    assert looking.run(budget=0) == 0 and OrmQ.objects.filter(key="background").count() == 2, "the rest is left"
    assert looking.run() == 5
    assert looked == [rows[number].pk for number in (2, 3, 1, 4, 0)], "one that fails hinders none"
    assert looking.run() == 0 and OrmQ.objects.filter(key="background").count() == 2


@pytest.mark.django_db(transaction=True)
def test_one_process_looks_at_a_time(owner):
    due(owner, 1)
    counted = []

    def other() -> None:
        counted.append(looking.run())
        connection.close()

    with alone(looking.LOCK) as mine:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
    assert mine and counted == [0] and looking.run() == 1


@pytest.mark.parametrize(
    "impossible",
    [
        {"status": "decided"},
        {"ended_at": timezone.now()},
        {"status": "decided", "ended_at": timezone.now(), "verdict": "not_yet", "words": "x"},
        {"alpha": 0},
        {"expected": 0},
    ],
)
def test_what_must_not_be_is_refused_by_the_database(begun, impossible):
    begun()
    with pytest.raises(IntegrityError), transaction.atomic():
        Experiment.objects.update(**impossible)


def test_a_loser_can_be_no_winner(begun):
    row = begun()
    with pytest.raises(IntegrityError), transaction.atomic():
        Experiment.objects.update(winner=RouteArm.objects.filter(route=row.route).first())


@pytest.mark.parametrize(
    ("recipe", "metrics", "fits", "not_this"),
    [
        ("text-classification", {}, "correct", "error_mean"),
        ("forecast", {}, "error_rank", "correct"),
        ("text-generation", {}, "feedback_share", "correct"),
        ("table-baseline", {"validation/accuracy": 0.9}, "correct", "error_mean"),
        ("table-baseline", {"validation/mae": 3.0}, "error_mean", "correct"),
    ],
)
def test_versions_are_compared_by_what_the_truth_can_say_of_their_answers(
    versions, begun, recipe, metrics, fits, not_this
):
    Model.objects.update(recipe=recipe)
    ModelVersion.objects.update(metrics=metrics)
    with pytest.raises(InvalidInputError, match="no outcome would count") as refused:
        begun(metric=not_this)
    assert fits in refused.value.fields["metric"][0]
    assert begun(metric=fits).metric == fits
