"""What starts a training again: each thing seen once, one training of a model at a time."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from jobs.models import Job
from performance import recording
from performance.models import Retraining, RetrainingEvent, RetrainingPolicy
from performance.retraining import bounds, decisions, overview, policies, starting, story, triggers
from performance.retraining.lines import champion_of
from tests.performance.retrained import drift_check, end, figure, make_line
from tests.registry.test_access import with_role
from tests.world import make_job, make_user, make_version

pytestmark = pytest.mark.django_db
FREE = {"enabled": True, "approvals_start": 0, "cooldown_hours": 0, "budget_jobs": None}


@pytest.fixture
def model(owner):
    return make_line(owner)


def events(row) -> list[str]:
    return list(row.events.values_list("kind", flat=True))


def new_jobs(model) -> list[Job]:
    return list(Job.objects.filter(model=model).order_by("pk"))


def test_by_hand_without_a_policy_it_starts_at_once_as_the_champion_was_trained(owner):
    model = make_line(owner, config={"steps": 7}, seed=3, priority=5)
    row, new = triggers.trigger(model, owner, reason="Spring.")
    assert (new, row.status, row.champion) == (True, "queued", model.versions.get())
    assert (row.job.config["steps"], row.job.seed, row.job.priority, row.job.model) == (7, 3, 5, model)
    assert events(row) == ["triggered", "job_made"]
    told = row.job.events.get(kind="triggered")
    assert told.details["retraining"] == row.pk and told.details["reason"] == "Spring."
    assert AuditEntry.objects.filter(verb="retraining triggered", actor_name=owner.username).count() == 1


def test_a_second_one_is_told_which_runs_and_that_stands_in_the_story(model, owner):
    row, _ = triggers.trigger(model, owner)
    with pytest.raises(ConflictError) as refusal:
        triggers.trigger(model, owner)
    assert f"retraining {row.pk}, job {row.job_id}" in refusal.value.message
    assert (refusal.value.extra["retraining"], refusal.value.extra["job"]) == (row.pk, row.job_id)
    assert events(row)[-1] == "also_triggered" and len(new_jobs(model)) == 1


def test_the_same_request_again_is_the_same_retraining(model, owner):
    one, new = triggers.trigger(model, owner, idempotency_key="k")
    again, anew = triggers.trigger(model, owner, idempotency_key="k")
    assert (one.pk, new, again.pk, anew) == (again.pk, True, one.pk, False)
    with pytest.raises(ConflictError, match="Idempotency-Key"):
        triggers.trigger(make_line(owner, "Other"), owner, idempotency_key="k")


def test_a_job_that_trains_the_model_is_named(model, owner):
    job = make_job(owner, model=model)
    with pytest.raises(ConflictError, match=f"Job {job.pk}"):
        triggers.trigger(model, owner)
    assert not Retraining.objects.exists()


def test_what_no_job_made_can_not_be_trained_again_without_a_template(owner):
    model = make_version(owner, "Found").model
    with pytest.raises(InvalidInputError, match="made by no job"):
        triggers.trigger(model, owner)


def test_the_cooldown_says_when_it_may_be_again(model, owner):
    policies.change(model, owner, **FREE | {"cooldown_hours": 6})
    row, _ = triggers.trigger(model, owner)
    end(row.job, status="cancelled")
    Retraining.objects.filter(pk=row.pk).update(status="failed", ended_at=timezone.now())
    with pytest.raises(ConflictError, match="less than 6 hours ago: the next time is possible from"):
        triggers.trigger(model, owner)
    Retraining.objects.update(created_at=F("created_at") - timedelta(hours=7))
    assert triggers.trigger(model, owner)[1]


def test_the_budget_of_the_month_says_when_it_begins_anew(model, owner):
    policy = policies.change(model, owner, **FREE | {"budget_jobs": 1})
    row, _ = triggers.trigger(model, owner)
    end(row.job, status="cancelled")
    Retraining.objects.filter(pk=row.pk).update(status="failed", ended_at=timezone.now())
    with pytest.raises(ConflictError, match="1 of 1 trainings") as refusal:
        triggers.trigger(model, owner)
    assert refusal.value.extra["possible_from"][8:10] == "01"
    assert bounds.next_month(timezone.datetime(2026, 12, 31, 23)).isoformat()[:10] == "2027-01-01"
    Retraining.objects.update(created_at=F("created_at") - timedelta(days=32))
    bounds.check(policy)


def test_a_drift_that_was_seen_starts_one_training_once(model, owner):
    policies.change(model, owner, **FREE, drift_inputs=True)
    drift_check(model, about="errors")
    assert triggers.sweep() == 0
    check = drift_check(model)
    assert [triggers.sweep(), triggers.sweep(), triggers.look(model.pk)] == [1, 0, 0]
    row = Retraining.objects.get()
    assert (row.kind, row.evidence["check"], row.status) == ("drift", check.pk, "queued")
    assert RetrainingEvent.objects.get(key=f"drift:{check.pk}").retraining == row


def test_a_drift_that_has_gone_again_starts_nothing(model, owner):
    policies.change(model, owner, **FREE, drift_inputs=True)
    drift_check(model)
    drift_check(model, moved=False)
    assert triggers.sweep() == 0


def test_a_figure_must_be_beyond_its_limit_so_many_times_with_enough_behind_it(model, owner):
    version = model.versions.get()
    wanted = {"metric": "accuracy", "metric_value": 0.9, "metric_periods": 2, "metric_count": 50}
    policies.change(model, owner, **FREE, **wanted)
    figure(version, 0.8)
    assert triggers.sweep() == 0
    figure(version, 0.8, count=10)
    assert triggers.sweep() == 0
    figure(version, 0.8)
    assert triggers.sweep() == 0
    figure(version, 0.7, group="north")
    last = figure(version, 0.7)
    assert [triggers.sweep(), triggers.sweep()] == [1, 0]
    row = Retraining.objects.get()
    assert row.evidence["records"][0] == last.pk and "accuracy 70.0 %, below 90.0 %, 2 times in a row" in row.reason


def test_after_downtime_one_training_stands_for_all_missed_times(model, owner):
    hourly = {"kind": "every", "minutes": 60, "from": "2026-01-01T00:00:00Z"}
    policy = policies.change(model, owner, **FREE, rule=hourly, zone="UTC")
    assert policy.next_at > timezone.now()
    RetrainingPolicy.objects.update(next_at=timezone.now() - timedelta(hours=5, minutes=30))
    assert [triggers.sweep(), triggers.sweep()] == [1, 0]
    row = Retraining.objects.get()
    assert row.evidence["missed"] in {5, 6}
    policy.refresh_from_db()
    assert policy.next_at > timezone.now()


def test_a_time_that_comes_in_the_cooldown_is_left_out_in_words(model, owner):
    policies.change(model, owner, **FREE | {"cooldown_hours": 6}, rule={"kind": "every", "minutes": 60}, zone="UTC")
    row, _ = triggers.trigger(model, owner)
    Retraining.objects.filter(pk=row.pk).update(status="failed", ended_at=timezone.now())
    RetrainingPolicy.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    assert triggers.sweep() == 0
    policy = RetrainingPolicy.objects.get()
    assert "possible from" in policy.refusal and policy.next_at > timezone.now()
    assert RetrainingEvent.objects.filter(kind="not_started").count() == 1


def test_a_figure_that_changes_all_the_time_in_the_cooldown_is_no_flood_of_events(model, owner):
    policies.change(model, owner, **FREE | {"cooldown_hours": 6}, metric="accuracy", metric_value=0.9)
    row, _ = triggers.trigger(model, owner)
    Retraining.objects.filter(pk=row.pk).update(status="failed", ended_at=timezone.now())
    for value in (0.8, 0.7, 0.6):
        figure(model.versions.order_by("number").first(), value, recorded_at=timezone.now() + timedelta(hours=9))
        assert triggers.sweep() == 0
    assert "accuracy 60.0 %" in RetrainingPolicy.objects.get().refusal
    assert RetrainingEvent.objects.filter(kind="not_started").count() == 1


def test_what_is_seen_while_one_is_open_is_told_in_its_story_once(model, owner):
    policies.change(model, owner, **FREE, drift_inputs=True)
    row, _ = triggers.trigger(model, owner)
    check = drift_check(model)
    assert [triggers.sweep(), triggers.sweep()] == [0, 0]
    (told,) = row.events.filter(kind="also_triggered")
    assert f"check {check.pk}" in told.message and f"job {row.job_id}" in told.message


def test_a_policy_that_is_off_starts_nothing(model, owner):
    policies.change(model, owner, **FREE | {"enabled": False}, drift_inputs=True)
    drift_check(model)
    assert [triggers.sweep(), triggers.look(model.pk)] == [0, 0]


def test_with_approval_it_waits_and_whoever_asked_can_not_approve(model, owner):
    policies.change(model, owner, **FREE | {"approvals_start": 1})
    approver = with_role("bob", "Approvers")
    row, _ = triggers.trigger(model, owner)
    assert (row.status, row.job, Job.objects.filter(model=model).exists()) == ("awaiting_approval", None, False)
    for somebody in (owner, make_user("eve")):
        with pytest.raises(ForbiddenError):
            decisions.approve(row, somebody)
    decisions.approve(row, approver, "Go")
    assert (row.status, row.approved_by, row.job.model) == ("queued", approver, model)
    with pytest.raises(ConflictError, match="waits for no decision"):
        decisions.approve(row, approver)
    assert row.job.events.get(kind="triggered").details["approved_by"] == "bob"


def test_an_approver_who_asked_needs_another_one(model, owner):
    policies.change(model, owner, **FREE | {"approvals_start": 1})
    boss = with_role("bob", "Approvers")
    boss.groups.add(*with_role("ann", "Release managers").groups.all())
    row, _ = triggers.trigger(model, type(boss).objects.get(pk=boss.pk))
    with pytest.raises(ForbiddenError, match="You asked for this"):
        decisions.approve(row, type(boss).objects.get(pk=boss.pk))


def test_declined_it_is_over_with_the_reason_and_the_next_may_come(model, owner):
    policies.change(model, owner, **FREE | {"approvals_start": 1})
    approver = with_role("bob", "Approvers")
    row, _ = triggers.trigger(model, owner)
    with pytest.raises(InvalidInputError):
        decisions.decline(row, approver, " ")
    decisions.decline(row, approver, "Not in spring")
    assert (row.status, row.message) == ("refused", "Declined by bob: Not in spring.")
    other, _ = triggers.trigger(model, owner)
    decisions.decline(other, owner, "Not now")
    assert other.message.startswith("Withdrawn by alice")


def test_the_owner_can_not_take_away_an_approval(model, owner):
    policies.change(model, owner, approvals_start=1)
    with pytest.raises(ForbiddenError, match="fewer approvals"):
        policies.change(model, owner, approvals_start=0)
    with pytest.raises(ForbiddenError):
        policies.change(model, with_role("bob", "Approvers"), enabled=True)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rule": {"kind": "daily"}}, "rule.at"),
        ({"zone": "Mars"}, "zone"),
        ({"new_items": 0}, "new_items"),
        ({"metric": "accuracy"}, "metric_value"),
        ({"metric_value": 0.5}, "metric"),
        ({"window": "days"}, "window_count"),
        ({"window": "ever"}, "window"),
        ({"after": "nothing"}, "after"),
        ({"approvals_start": 2}, "approvals_start"),
        ({"collect": True}, "collect"),
        ({"metric_source": "dreams"}, "metric_source"),
    ],
)
def test_a_policy_that_can_not_work_is_refused_by_field(owner, given, field):
    model = make_line(owner, recipe="simulate")
    with pytest.raises(InvalidInputError) as refusal:
        policies.change(model, owner, **given)
    assert field in refusal.value.fields


def test_a_policy_names_only_what_the_owner_of_the_model_has(model, owner, stranger):
    from tests.tables import make_table

    with pytest.raises(NotFoundError) as refusal:
        policies.change(model, owner, dataset=make_table(stranger).pk)
    assert "dataset" in refusal.value.fields


def test_a_policy_says_in_words_what_it_will_do(model, owner):
    daily = {"kind": "daily", "at": "02:30"}
    policy = policies.change(model, owner, enabled=True, drift_inputs=True, new_items=500, after="promote", rule=daily)
    words = policies.in_words(policy)
    parts = ("every day at 02:30, UTC", "500 new items", "a drift of inputs", "at most once in 24 hours")
    for part in (*parts, "Somebody must approve it first", "promoted when it is better, once somebody has approved"):
        assert part in words, words


def test_a_figure_that_the_model_has_not_is_told_and_one_that_it_has_is_shown(model, owner):
    policy = policies.change(model, owner, enabled=True, metric="production/acuracy", metric_value=0.9)
    said = "The model has no figure production/acuracy so far."
    assert said in policies.in_words(policy) and overview.standing(policy)[0] == said
    for name in ("production/accuracy", "validation/loss"):
        recording.record(champion_of(model), name, 0.5)
    assert overview.standing(policy)[0] == f"{said} Is production/accuracy meant?"
    policy = policies.change(model, owner, metric="score")
    assert "has no figure score so far" in policies.in_words(policy)
    recording.record(champion_of(model), "score", 0.4)
    assert "has no figure" not in policies.in_words(policy)
    assert overview.standing(policy)[0] == "score is 0.4, just now; the limit is 0.9."


def test_what_is_in_the_way_of_the_job_is_waited_for_and_told_once(model, owner, monkeypatch):
    def busy(*given):
        raise ConflictError("The dataset is still importing.", "Wait.")

    monkeypatch.setattr(starting.requests, "freeze", busy)
    row, _ = triggers.trigger(model, owner)
    assert (row.status, row.job, row.message) == ("queued", None, "The dataset is still importing.")
    Retraining.objects.update(retry_at=None)
    starting.sweep()
    assert row.events.filter(kind="waits").count() == 1
    monkeypatch.undo()
    assert starting.sweep() == 0, "not before its time"
    Retraining.objects.update(retry_at=None)
    assert starting.sweep() == 1
    assert Retraining.objects.get().job is not None


def test_much_data_are_left_to_a_worker_and_hold_up_no_sweep(model, owner, monkeypatch):
    asked = []
    monkeypatch.setattr(starting, "_is_heavy", lambda row: True)
    monkeypatch.setattr(starting, "enqueue", lambda task, pk: asked.append(pk))
    row, _ = triggers.trigger(model, owner)
    asked.clear()
    assert [starting.sweep(), starting.sweep()] == [0, 0] and asked == [row.pk], "one worker"
    assert starting.start(row.pk) is not None


def test_a_job_is_made_once_whoever_tries(model, owner):
    row, _ = triggers.trigger(model, owner)
    assert starting.start(row.pk) is None
    assert len(new_jobs(model)) == 1


def test_what_happened_is_only_added_to(model, owner):
    from django.db import IntegrityError, transaction

    row, _ = triggers.trigger(model, owner)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.events.update(message="another")
    with pytest.raises(IntegrityError), transaction.atomic():
        row.events.all().delete()


def test_two_who_move_it_do_not_both_win(model, owner):
    row, _ = triggers.trigger(model, owner)
    other = Retraining.objects.get(pk=row.pk)
    story.move(row, "failed", "failed", "One.", expected=["queued"])
    with pytest.raises(story.MovedOnError):
        story.move(other, "training", "training", "Two.", expected=["queued"])
    assert Retraining.objects.get().message == "One."


@pytest.mark.django_db(transaction=True)
def test_a_schedule_a_drift_and_a_double_click_at_once_start_one_job(django_user_model):
    owner = django_user_model.objects.create_user("alice")
    model = make_line(owner)
    policies.change(model, owner, **FREE, drift_inputs=True, rule={"kind": "every", "minutes": 60}, zone="UTC")
    RetrainingPolicy.objects.update(next_at=timezone.now() - timedelta(minutes=1))
    drift_check(model)
    said: list[str] = []
    ready = threading.Barrier(6)

    def click() -> None:
        ready.wait()
        try:
            triggers.trigger(model, owner, reason="Click.")
        except ConflictError as problem:
            said.append(problem.message)
        finally:
            connections.close_all()

    def look() -> None:
        ready.wait()
        try:
            triggers.sweep()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=target) for target in (click, click, click, look, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = Retraining.objects.get()
    (job,) = new_jobs(model)
    assert row.job == job
    assert all(f"retraining {row.pk}" in text for text in said) and len(said) in {2, 3}
    keys = set(RetrainingEvent.objects.exclude(key="").values_list("key", flat=True))
    assert {key.split(":")[0] for key in keys} == {"schedule", "drift"}
    assert row.events.filter(kind="also_triggered").count() == len(said) + 2 - (row.kind != "manual")


def test_many_policies_are_looked_at_in_turn_and_one_that_is_broken_hinders_none(owner, monkeypatch):
    from performance import rounds

    monkeypatch.setattr(rounds, "AT_ONCE", 2)
    monkeypatch.setattr(triggers, "_rounds", rounds.Rounds())
    models = [make_line(owner, f"Line {number}") for number in range(5)]
    for model in models:
        policies.change(model, owner, **FREE, drift_inputs=True)
        drift_check(model)
    broken = RetrainingPolicy.objects.get(model=models[0])
    RetrainingPolicy.objects.filter(pk=broken.pk).update(rule={"kind": "odd"}, next_at=timezone.now())
    assert [triggers.sweep() for _ in range(3)] == [1, 2, 1]
    assert triggers.sweep() == 0, "round again"
