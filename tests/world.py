"""One object of every kind, so that a test can point at each of them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from PIL import Image

from accounts import tokens
from common.files import store
from datasets.creation import create_dataset
from datasets.freezing import versions as dataset_versions
from datasets.gating import rulebook
from datasets.intake import pieces
from datasets.intake.imports import receive, run_import
from datasets.items.edits import edit_items
from datasets.rendering import renderings
from datasets.rendering import templates as sheet_templates
from datasets.subjects.subjects import create as create_subject
from engine import report as report_blocks
from history import saved_views
from history.models import Session
from history.recording import record_reported
from jobs import blueprints, schedules
from jobs.automatic import settings as automatic
from jobs.creation import create_job
from jobs.endpoints import verbs as endpoints
from jobs.models import (
    Attempt,
    AutomaticTraining,
    Checkpoint,
    FineTuning,
    Job,
    JobSample,
    LogLine,
    MetricSeries,
    Node,
    ProgressRow,
    Slot,
)
from jobs.queue import Owner, claim
from jobs.search import verbs as searches
from performance.alerts import evaluating
from performance.alerts import rules as alert_rules
from performance.drift import verbs as drift
from performance.experiments import verbs as experiments
from performance.models import Alert, Delivery, DriftCheck, Retraining
from performance.notices import channels, delivering
from performance.recording import record
from registry import versions
from registry.logged import writing
from registry.models import Prediction, PromotionRequest
from registry.routing import Choice
from registry.serving.verbs import deploy
from tests.tables import make_table


class Upload:
    """As much of an uploaded file as an import looks at."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data, self.size = name, data, len(data)

    def chunks(self) -> Any:
        stream = io.BytesIO(self.data)
        return iter(lambda: stream.read(65_536), b"")


def make_user(name: str = "alice") -> Any:
    """A person without a password, who comes in by `force_login` or a token."""
    return get_user_model().objects.create_user(name)


def make_dataset(owner, name="Fables", files=None):
    """A dataset of texts with its items imported, as a worker does it."""
    dataset, _ = create_dataset(owner, name=name, modality="text")
    files = files or {f"fable-{n}.txt": f"Fable {n}: the fox and the grapes. ".encode() * 20 for n in range(4)}
    made = receive(dataset, owner, [Upload(path, data) for path, data in files.items()])
    run_import(made.pk)
    dataset.refresh_from_db()
    return dataset


def png(colour="teal", size=(8, 8)) -> bytes:
    """A small picture."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def make_version(owner, name="Teller", recipe="text-generation", metrics=None, more=None, **wanted):
    """A model version with two files in the store, and those of `more`."""
    files = {"model.safetensors": f"weights of {name}".encode(), "config.json": b'{"format": 1}'} | (more or {})
    artifact = []
    for file, data in files.items():
        stored = store().add(data)
        artifact.append({"name": file, "sha256": stored.sha256, "bytes": stored.bytes})
    given = {
        "owner": owner, "model": None, "name": name, "recipe": recipe, "subject": None, "config": {"width": 8},
        "metrics": {"validation/loss": 1.5} if metrics is None else metrics, "artifact": artifact,
        "dataset_version": None, "base_version": None, "source_job_id": None, "seed": 0,
        "code": {"trainhub": "0.1.0"}, "environment": {"python": "3.11"},
    }  # fmt: skip
    return versions.register(**{**given, **wanted})


def make_job(owner, **wanted):
    """A queued job of the simulator."""
    return create_job(owner, **{"recipe": "simulate", "name": "Rehearsal", **wanted})[0]


def report(job: Job, steps: int = 20, name: str = "train/loss") -> None:
    """Progress rows, a log line and a checkpoint, as a worker leaves them."""
    series = MetricSeries.objects.create(job=job, name=name)
    now = timezone.now()
    ProgressRow.objects.bulk_create(
        ProgressRow(series=series, step=step, value=1 / step, recorded_at=now) for step in range(1, steps + 1)
    )
    LogLine.objects.create(job=job, number=1, at=now, text="marker-log line one")
    LogLine.objects.create(job=job, number=2, at=now, text="line two")
    Job.objects.filter(pk=job.pk).update(log_lines=2)
    JobSample.objects.create(job=job, step=10, kind="image", data=png(), at=now)
    Checkpoint.objects.create(job=job, step=10, attempt_number=1, name="step-00000010", bytes=5, at=now)


def make_node(name: str = "n-stopped", **wanted: Any) -> Node:
    """A machine; one that has stopped unless told otherwise, so that it changes nothing for jobs."""
    now = timezone.now()
    facts = {"host": "h", "state": Node.State.STOPPED, "started_at": now, "heartbeat_at": now, **wanted}
    return Node.objects.update_or_create(name=name, defaults=facts)[0]


def run(job: Job, node: str = "n1") -> Attempt:
    """Let a worker of this machine hold the job, the first of the queue, as its supervisor does."""
    row = make_node(node, state=Node.State.ACTIVE)
    index = row.slots.count()
    slot = Slot.objects.create(node=row, index=index, device="cpu", queue=f"slot.{node}.{index}")
    attempt = claim(slot, Owner("h", "boot", 1, 1))
    with connection.cursor() as cursor:  # a claim is short, the transaction of a test may not be
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
    assert attempt is not None
    assert attempt.job_id == job.pk
    return attempt


def make_prediction(version, user, output=None, given="Once", **wanted):
    """A logged prediction, as answering leaves it."""
    asked = writing.Asked(user, [given], **wanted)
    (pk,) = writing.write(asked, Choice(version), [output or {"text": "Once upon", "completion": " upon"}], 12.5)
    return Prediction.objects.get(pk=pk)


@dataclass
class World:
    """Everything that belongs to one person. Each text holds `marker`."""

    marker: str
    dataset: Any
    dataset_version: Any
    imported: Any
    upload: Any
    rule: Any
    item: Any
    subject: Any
    job: Job
    version: Any
    deployment: Any
    session: Session
    view: Any
    figure: Any
    token: Any
    template: Any
    schedule: Any
    search: Any
    node: Node  # is everyone's
    edit: Any
    sheet: Any
    rendering: Any
    endpoint: Any
    automatic: AutomaticTraining
    fine_tuning: FineTuning
    prediction: Any
    retraining: Retraining
    promotion: PromotionRequest
    experiment: Any
    alert: Alert
    delivery: Delivery
    drift: DriftCheck

    def parameters(self) -> dict[str, Any]:
        """What each placeholder of an address stands for."""
        return {
            "dataset_id": self.dataset.pk,
            "number": self.dataset_version.number,
            "rule_id": self.rule.pk,
            "import_id": self.imported.pk,
            "upload_id": self.upload.pk,
            "item_id": self.item.pk,
            "edit_id": self.edit.pk,
            "job_id": self.job.pk,
            "step": 10,
            "model_id": self.version.model_id,
            "version_id": self.version.pk,
            "deployment_id": self.deployment.pk,
            "name": "config.json",
            "user_id": self.job.owner_id,
            "subject_id": self.subject.pk,
            "session_id": self.session.session_id,
            "view_id": self.view.pk,
            "token_id": self.token.pk,
            "template_id": self.template.pk,
            "schedule_id": self.schedule.pk,
            "search_id": self.search.pk,
            "node_name": self.node.name,
            "sheet_template_id": self.rendering.template_id,
            "rendering_id": self.rendering.pk,
            "endpoint_id": self.endpoint.pk,
            "prediction_id": self.prediction.pk,
            "retraining_id": self.retraining.pk,
            "alias": "champion",
            "promotion_id": self.promotion.pk,
            "experiment_id": self.experiment.pk,
            "alert_id": self.alert.pk,
            "alert_rule_id": self.alert.rule_id,
            "channel_id": self.delivery.channel_id,
            "delivery_id": self.delivery.pk,
            "check_id": self.drift.pk,
        }


def make_rendering(sheet, name: str = "Pairs"):
    """A template over a sheet, rendered as a worker does it; two rows make no pair."""
    parts = {"prompt": "What of a machine of type {{ Type }}, {{ note }}?", "completion": "{{ note|upper }}"}
    template = sheet_templates.create(sheet.owner, name=f"{name} template", **parts)
    return renderings.run_rendering(renderings.start(sheet, sheet.owner, template, name=name).pk)


def make_alert(owner, version, name: str = "Watch") -> Alert:
    """A rule over a figure that has fallen, and what it found; the figure of the version must be there."""
    values = {"metric": "production/accuracy", "comparison": "below", "threshold": 0.8, "model": version.model_id}
    rule = alert_rules.make(owner, owner, name=name, kind="metric", **values)
    evaluating.evaluate(rule)
    return rule.alerts.get()


def make_delivery(owner, name: str = "Hook") -> Delivery:
    """A channel, and a notice on its way to it."""
    given = {"kind": "webhook", "address": f"https://93.184.216.34/{name.replace(' ', '-')}"}
    channel, _ = channels.make(owner, name=name, secret="hidden-key-0123456789", **given)
    return delivering.try_out(channel, owner)


def make_drift(version, column: str) -> DriftCheck:
    """A check that found one column moved, as a worker leaves it."""
    made = drift.check(version.model, "inputs", version.created_by, version=version)
    finding = {
        "column": column, "kind": "category", "test": "chi-square", "statistic": 9.0, "p_value": 0.001,
        "corrected": 0.001, "distance": 0.4, "distance_name": "population stability index", "threshold": 0.1,
        "psi": 0.4, "moved": True, "reference_count": 90, "recent_count": 60,
        "picture": {"labels": ["a", "b"], "reference": [0.5, 0.5], "recent": [0.2, 0.8]},
    }  # fmt: skip
    DriftCheck.objects.filter(pk=made.pk).update(
        status="completed", finished_at=timezone.now(), moved=True, findings=[finding], message=f"{column} moved.",
        reference_count=90, recent_count=60,
    )  # fmt: skip
    made.refresh_from_db()
    return made


def make_world(owner) -> World:
    marker = f"marker-{owner.username}"
    dataset = make_dataset(owner, f"{marker} dataset", {f"{marker}/a.txt": b"first text " * 9, "b.txt": b"second " * 9})
    job = make_job(owner, name=f"{marker} job")
    report(job)
    made = report_blocks.Pictures(
        title=f"{marker} pictures", entries=[report_blocks.Picture(caption="a fox", file="fox.png")]
    )
    version = make_version(owner, f"{marker} model", more={"report.json": report_blocks.pack([made]), "fox.png": png()})
    now = timezone.now()
    sheet = make_table(owner, f"{marker} sheet")
    figure = record(version, "production/accuracy", 0.5)
    rule = automatic.change(owner, dataset=dataset.pk, genres=f"{marker} genre", threshold=1)
    session, _ = record_reported(owner, {"name": f"{marker} session", "started_at": now, "completed_at": now})
    first, second = (make_version(owner, f"{marker} rivals", "text-classification") for _ in range(2))
    return World(
        marker=marker,
        dataset=dataset,
        dataset_version=dataset_versions.freeze(dataset, owner, validation_fraction=0.5),
        imported=dataset.imports.get(),
        upload=pieces.begin(dataset, owner, name=f"{marker}/half.zip", size=9),
        rule=rulebook.save(owner, name=f"{marker} rule", dataset=dataset, decision="allow", reason="Ours."),
        item=dataset.items.first(),
        subject=create_subject(owner, name=f"{marker} subject"),
        job=job,
        version=version,
        deployment=deploy(version.model, owner, version=version),
        session=session,
        view=saved_views.create(owner, f"{marker} view", {"search": marker}),
        figure=figure,
        alert=make_alert(owner, version, f"{marker} watch"),
        delivery=make_delivery(owner, f"{marker} hook"),
        token=tokens.create(owner, f"{marker} token")[0],
        template=blueprints.save(owner, f"{marker} template", {"recipe": "simulate"}),
        schedule=schedules.create(
            owner,
            name=f"{marker} schedule",
            rule={"kind": "daily", "at": "02:30"},
            zone="UTC",
            request={"recipe": "simulate"},
        ),
        search=searches.create(
            owner, name=f"{marker} search", recipe="simulate", space={"steps": {"low": 5, "high": 9}}
        ),
        node=make_node(),
        edit=edit_items(dataset, owner, dataset.items.all(), field="caption", value=f"{marker} caption"),
        sheet=sheet,
        rendering=make_rendering(sheet, f"{marker} pairs"),
        endpoint=endpoints.make(
            owner, name=f"{marker}-endpoint", url="https://93.184.216.34/v1", model=f"{marker} tiny", key="hidden-key"
        ),
        automatic=rule,
        retraining=Retraining.objects.create(
            model=version.model,
            kind="manual",
            reason=f"{marker} reason",
            status="refused",
            asked_by=owner,
            waits_since=now,
            ended_at=now,
        ),
        fine_tuning=FineTuning.objects.create(
            rule=rule, number=1, job=job, session_id=session.session_id, examples=1, threshold=1, at=now
        ),
        prediction=make_prediction(version, owner, group=f"{marker} group"),
        promotion=PromotionRequest.objects.create(
            model=version.model, version=version, asked_by=owner, reason=f"{marker} reason", asked_at=now
        ),
        experiment=experiments.start(
            first.model, owner, arms=[{"version": second}], control=first, name=f"{marker} experiment"
        ),
        drift=make_drift(version, f"{marker} column"),
    )
