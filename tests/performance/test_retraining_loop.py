"""The whole loop with real trainings: a shift is seen, approved, learned, compared, and the better version promoted."""

from __future__ import annotations

import csv
import io
import os
import random
import socket
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from datasets.creation import create_dataset
from datasets.intake import imports
from datasets.models import Import
from engine import catalogue
from engine.launch import boot_id, start_time_of
from jobs.creation import create_job
from jobs.models import Job, Node, Slot
from jobs.queue import Owner, claim
from jobs.supervisor import Supervisor
from performance.models import CollectedPrediction, Retraining
from performance.retraining import collecting, following, next_steps, policies, reporting, starting, triggers
from registry import prediction
from registry.models import Alias, Outcome, Prediction
from tests.api.conftest import Api
from tests.performance.retrained import drift_check
from tests.registry.test_access import with_role
from tests.world import Upload

pytestmark = pytest.mark.django_db(transaction=True)
QUICK = {"rounds": 60, "early_stopping_rounds": 10, "target": "power", "task": "regression"}


def rows(count: int, shifted: bool, seed: int) -> list[dict[str, Any]]:
    """Power by speed and kind; after the shift machines run faster, where power falls again."""
    dice, made = random.Random(seed), []
    for _ in range(count):
        speed, kind = dice.uniform(8, 12) if shifted else dice.uniform(0, 6), dice.choice(["pump", "fan"])
        power = (60 - 4 * speed if shifted else 5 * speed) + (3 if kind == "pump" else 0) + dice.gauss(0, 0.2)
        made.append({"speed": round(speed, 3), "kind": kind, "power": round(power, 3)})
    return made


def sheet(found: list[dict[str, Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue().encode()


def told(model, version, found: list[dict[str, Any]], group: str = "") -> None:
    """Predictions in use, and what turned out to be true."""
    now = timezone.now()
    for row in found:
        given = {"speed": row["speed"], "kind": row["kind"]}
        one = Prediction.objects.create(
            at=now, model=model, version=version, input_hash="x", input=given, score=1.0, latency_ms=1.0, group=group
        )
        Outcome.objects.create(
            prediction=one, model=model, version=version, predicted_at=now, at=now, truth=row["power"], error=1.0,
            group=group,
        )  # fmt: skip


@pytest.fixture
def home(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store", "jobs", "artifacts"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def work(home):
    """Run the queue's next job to its end, in this process, as a node does."""
    now = timezone.now()
    node = Node.objects.create(name="n1", host=socket.gethostname(), started_at=now, heartbeat_at=now)
    slot = Slot.objects.create(node=node, index=0, device="cpu", queue="slot.n1.0")
    myself = Owner(socket.gethostname(), boot_id(), os.getpid(), start_time_of(os.getpid()))

    def run(job: Job) -> Job:
        Node.objects.update(heartbeat_at=timezone.now())  # as its manager does, however long the test takes
        Supervisor(claim(slot, myself), slot).run()
        job.refresh_from_db()
        assert job.status == "completed", job.failure_message
        return job

    return run


@pytest.fixture
def answering(monkeypatch):
    """Versions answer in this process instead of in one of their own."""

    def ask(*, order, inputs, **rest):
        order = order() if callable(order) else order
        model = catalogue.load(catalogue.recipe(order.recipe).predictor).load(Path(order.artifact), "cpu")
        return model.predict(list(inputs))

    monkeypatch.setattr(prediction, "ask_model", ask)


def test_a_shift_is_seen_approved_learned_and_the_better_version_promoted(owner, work, answering):
    dataset, _ = create_dataset(owner, name="Machines", modality="table")
    imports.run_import(imports.receive(dataset, owner, [Upload("first.csv", sheet(rows(300, False, 1)))]).pk)
    job, _ = create_job(owner, recipe="table-baseline", dataset=dataset, config=QUICK, seed=4)
    champion = work(job).model_version
    model = champion.model
    Alias.objects.create(model=model, name="champion", version=champion, since=timezone.now())

    told(model, champion, rows(200, True, 2))
    wanted = {"enabled": True, "drift_inputs": True, "collect": True, "after": "promote", "approvals_promotion": 0}
    policies.change(model, owner, **wanted)
    check = drift_check(model)
    assert triggers.sweep() == 1
    row = Retraining.objects.get()
    assert (row.status, row.evidence["check"]) == ("awaiting_approval", check.pk)

    bob = Api(with_role("bob", "Approvers"))
    assert bob.post_json(f"performance/retrainings/{row.pk}/approve").status_code == 200
    assert starting.start(row.pk) is None, "what was told becomes rows first"
    assert CollectedPrediction.objects.count() == 200
    imports.run_import(Import.objects.get(status="queued").pk)
    dataset.refresh_from_db()
    assert (dataset.status, dataset.item_count) == ("active", 2)
    assert collecting.collect_labelled(model, dataset) == 0, "each goes in once"
    Retraining.objects.update(retry_at=None)
    assert starting.sweep() == 0, "a worker of its own is asked"
    assert starting.start(row.pk) is not None

    row.refresh_from_db()
    told(model, champion, rows(60, True, 3), "north")  # told since: nobody learned from these
    work(row.job)
    following.sweep()
    row.refresh_from_db()
    assert (row.status, row.challenger.number) == ("evaluating", 2)
    made = reporting.report(row.pk)
    assert made["problem"] == "" and made["verdict"] == "better", made
    held, recent, north = made["compared"]
    assert (held["verdict"], held["figure"]) == ("better", "mean absolute error") and held["n"] > 20
    assert (recent["n"], north["group"], north["n"]) == (60, "north", 60) and recent["low"] > 0
    assert any("200 were left out" in note for note in recent["notes"])
    following.sweep()
    row.refresh_from_db()
    assert row.status == "promoted" and next_steps.is_champion(row.challenger)
    kinds = list(row.events.values_list("kind", flat=True))
    assert [kind for kind in kinds if kind != "waits"] == [
        "triggered", "approved", "job_made", "trained", "named", "promoted"
    ]  # fmt: skip
    story = Api(owner).get(f"versions/{row.challenger_id}/lineage").json()
    assert story["up"]["retraining"]["evidence"]["check"] == check.pk
