"""Many models at once, as a hub has them after a year: watched, monitored, tested and trained again, and all quiet."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from django.utils import timezone

from common.identifiers import uuid7
from datasets.models import Dataset, DatasetVersion, Item
from jobs.models import Job
from performance.models import (
    AlertRule,
    ArmSum,
    DriftCheck,
    DriftMonitor,
    Experiment,
    MetricRecord,
    Retraining,
    RetrainingPolicy,
)
from registry.models import Alias, Model, ModelVersion, Outcome, Prediction, Route, RouteArm
from tests.world import make_user

FIGURE = "production/accuracy"
HOUR = timedelta(hours=1)


def make_models(owner, count: int, name: str = "Line") -> list[ModelVersion]:
    """The champions of so many models, which stand at their second version; the first is the champion."""
    began = Model.objects.count()
    models = Model.objects.bulk_create(
        Model(owner=owner, name=f"{name} {began + number}", recipe="text-classification") for number in range(count)
    )
    versions = ModelVersion.objects.bulk_create(
        ModelVersion(model=model, number=number, created_by=owner, metrics={"accuracy": 0.9})
        for model in models
        for number in (1, 2)
    )
    long_ago = timezone.now() - 30 * HOUR
    Alias.objects.bulk_create(
        Alias(model=one.model, name="champion", version=one, since=long_ago) for one in versions if one.number == 1
    )
    return [one for one in versions if one.number == 1]


def make_figures(champions: list[ModelVersion], value: float = 0.9) -> None:
    """Reported, and of an hour of use."""
    at = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = [
        {"source": "reported", "recorded_at": at},
        {"source": "logged", "recorded_at": at, "since": at - HOUR, "bucket": "hour", "count": 100},
    ]
    MetricRecord.objects.bulk_create(
        MetricRecord(model=one.model, version=one, name=FIGURE, value=value, **row) for one in champions for row in rows
    )


def make_checks(champions: list[ModelVersion], moved: bool = False) -> None:
    now = timezone.now()
    DriftCheck.objects.bulk_create(
        DriftCheck(
            model=one.model, about=about, recent_from=now, recent_until=now, status="completed", moved=moved,
            finished_at=now, findings=[{"column": "a"}], recent_count=1000,
        )
        for one in champions for about in ("inputs", "errors")
    )  # fmt: skip


def make_rules(champions: list[ModelVersion], owner=None) -> None:
    """Of each kind one for each model; `owner` None: the hub's."""
    more = {"metric": {"metric": FIGURE, "comparison": "below", "threshold": 0.8}}
    AlertRule.objects.bulk_create(
        AlertRule(
            owner=owner, model=one.model if kind not in AlertRule.OF_MACHINES else None, name=f"{kind} {place}",
            kind=kind, cool_down_minutes=place % 3, minimum_count=place % 7, in_a_row=1 + place % 2,
            minutes=60 + place, **more.get(kind, {"threshold": 100.0}),
        )
        for place, one in enumerate(champions) for kind in AlertRule.Kind.values
    )  # fmt: skip


def make_answers(champions: list[ModelVersion], ago: timedelta = HOUR) -> None:
    """Three of each, whose truth is known."""
    at = timezone.now() - ago
    made = Prediction.objects.bulk_create(
        Prediction(id=uuid7(at), at=at, model=one.model, version=one, input_hash="0" * 64, latency_ms=1.0)
        for one in champions for _ in range(3)
    )  # fmt: skip
    Outcome.objects.bulk_create(
        Outcome(prediction=one, model_id=one.model_id, version_id=one.version_id, predicted_at=at, at=at, correct=True,
                truth="a")
        for one in made
    )  # fmt: skip


def make_monitors(champions: list[ModelVersion]) -> None:
    later = timezone.now() + HOUR
    DriftMonitor.objects.bulk_create(
        DriftMonitor(model=one.model, next_at=later, every_predictions=1000) for one in champions
    )


def make_frozen(owner, name: str, items: int = 2) -> DatasetVersion:
    """A dataset with so many items, of which a version was frozen since."""
    dataset = Dataset.objects.create(owner=owner, name=name, modality="text", status="active", item_count=items)
    Item.objects.bulk_create(
        Item(dataset=dataset, sha256=hashlib.sha256(f"{name} {n}".encode()).hexdigest(), name=f"{n}.txt", bytes=1,
             media_type="text/plain")
        for n in range(items)
    )  # fmt: skip
    Item.objects.filter(dataset=dataset).update(created_at=timezone.now() - 9 * HOUR)
    return DatasetVersion.objects.create(
        dataset=dataset, number=1, content_hash=hashlib.sha256(name.encode()).hexdigest(), validation_fraction=0,
        test_fraction=0, counts={"train": items}, created_by=owner,
    )  # fmt: skip


def make_policies(owner, champions: list[ModelVersion]) -> None:
    """Each with all triggers, none of which has anything to act on."""
    for one in champions:
        one.dataset_version = make_frozen(owner, f"Data of {one.model}")
    ModelVersion.objects.bulk_update(champions, ["dataset_version"])
    RetrainingPolicy.objects.bulk_create(
        RetrainingPolicy(
            model=one.model, enabled=True, rule={"kind": "daily", "at": "02:30"}, next_at=timezone.now() + HOUR,
            new_items=10, metric=FIGURE, metric_value=0.5, drift_inputs=True, drift_errors=True,
        )
        for one in champions
    )  # fmt: skip


def make_retrainings(owner, champions: list[ModelVersion]) -> None:
    """One that waits for a decision, one that waits for its job, and one that failed, in turn."""
    now = timezone.now()
    states = (
        {"status": "challenger"}, {"status": "training"}, {"status": "failed", "ended_at": now},
        {"status": "awaiting_approval"}, {"status": "evaluating"},
    )  # fmt: skip
    jobs = Job.objects.bulk_create(
        Job(owner=owner, name=f"Again {place}", recipe="simulate", status="failed", completed_at=now - 24 * HOUR,
            failure_code="CRASHED", failure_message="It died.")
        for place in range(len(champions))
    )  # fmt: skip
    going = Job.objects.filter(pk__in=[job.pk for job in jobs[1::5]])
    going.update(status="queued", completed_at=None, failure_code="", failure_message="")
    others = {one.model_id: one for one in ModelVersion.objects.filter(number=2)}
    Retraining.objects.bulk_create(
        Retraining(
            model=one.model, kind="manual", asked_by=owner, champion=one, waits_since=now, heartbeat_at=now, job=job,
            challenger=others[one.model_id], **states[place % 5],
        )
        for place, (one, job) in enumerate(zip(champions, jobs, strict=True))
    )  # fmt: skip


def make_experiments(owner, champions: list[ModelVersion]) -> None:
    """Not yet due."""
    now = timezone.now()
    others = {one.model_id: one for one in ModelVersion.objects.filter(number=2)}
    routes = Route.objects.bulk_create(Route(model=one.model, salt="s", started_at=now) for one in champions)
    arms = RouteArm.objects.bulk_create(
        RouteArm(route=route, version=version, name=name, control=name == "a", weight=1)
        for route, one in zip(routes, champions, strict=True)
        for name, version in (("a", one), ("b", others[one.model_id]))
    )
    ArmSum.objects.bulk_create(ArmSum(arm=arm, updated_at=now) for arm in arms)
    Experiment.objects.bulk_create(
        Experiment(
            route=route, model=one.model, name=f"Test of {one.model}", kind="ab", metric="correct", alpha=0.05,
            higher_is_better=True, expected=1000, minimum=100, max_days=9, margin=0, started_by=owner, started_at=now,
            due_at=now + HOUR, counted_until=now,
        )
        for route, one in zip(routes, champions, strict=True)
    )  # fmt: skip


def make_crowd(owner, count: int) -> list[ModelVersion]:
    """So many models with all of it, each fifth with an owner of its own."""
    champions = make_models(owner, count)
    for one in champions[::5]:
        one.model.owner = make_user(f"{owner.username}-{one.model_id}")
    Model.objects.bulk_update([one.model for one in champions], ["owner"])
    for make in (make_figures, make_checks, make_rules, make_answers, make_monitors):
        make(champions)
    for make_of in (make_policies, make_retrainings, make_experiments):
        make_of(owner, champions)
    return champions
