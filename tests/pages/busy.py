"""A model in the middle of its life: it answers, is watched, tested and trained again, with something on each page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from datasets.creation import create_dataset
from datasets.freezing.versions import freeze
from datasets.intake.imports import receive, run_import
from jobs import blueprints
from jobs.models import Job, Reproduction
from performance.alerts import dealing, evaluating, rules
from performance.alerts.defaults import make_defaults
from performance.drift import monitors
from performance.drift import verbs as drift
from performance.experiments import looking
from performance.experiments import verbs as experiments
from performance.models import Delivery, DeliveryTry, DriftStream, Experiment, MetricRecord, Retraining
from performance.notices import channels, delivering
from performance.recording import record
from performance.retraining import policies, story
from performance.use import names
from registry.models import Alias, Approval, Export, PromotionRequest, Served
from registry.promotion import policy, verbs
from registry.serving.verbs import deploy
from tests.performance.drift.made import log, sensor, tell
from tests.performance.experiments.conftest import judged
from tests.registry.promotion.cast import approver
from tests.tables import make_table
from tests.world import Upload, make_job, make_user, make_version, png

NAME = "Turbine faults from vibration, northern site"
HOUR = timedelta(hours=1)


def make_busy(owner: Any, prediction: Any) -> dict[str, str]:
    """The addresses of its pages by what they show. `owner` is an administrator, `prediction` anybody's: it gets its
    truth."""
    versions = make_versions(owner)
    data = versions[0].dataset_version.dataset
    for version in versions[:2]:
        verbs.promote(version, owner, reason="Fewer false alarms on the rows of March.")
    verbs.challenge(versions[2], owner, "Learned from what came in since.")
    model, champion = versions[0].model, versions[1]
    use(champion, versions[0], owner)
    serve(champion, versions[2], owner)
    tell([prediction], wrong=[False])
    found = {
        "busy-version": f"/versions/{champion.pk}",
        "busy-card": f"/versions/{champion.pk}/card",
        "busy-lineage": f"/versions/{champion.pk}/lineage",
        "busy-reproductions": f"/versions/{champion.pk}/reproductions",
        "busy-predictions": f"/models/{model.pk}/predictions",
        "busy-figures": f"/performance/models/{model.pk}?name={names.ACCURACY}",
        "busy-drift": f"/performance/drift/models/{model.pk}",
        "busy-checks": f"/performance/drift/checks?model={model.pk}",
        "busy-names": f"/models/{model.pk}/names",
    }
    reproduce(champion, owner)
    found |= gather(owner) | look_for_drift(champion, owner) | compare(owner) | warn(champion, owner)
    found |= train_again(versions, data, owner) | ask(versions[2], owner)
    # Of a model that is tested no other version is promoted, so this comes last.
    test = experiments.start(
        model, owner, arms=[{"version": versions[3]}], name="Deeper trees", expected=4000, margin=0.01
    )
    watch(test, 260, (200, 215))
    return found | {
        "busy-model": f"/models/{model.pk}",
        "busy-promote": f"/versions/{versions[2].pk}/promote",
        "busy-policy": f"/models/{model.pk}/policy",
        "running-experiment": f"/performance/experiments/{test.pk}",
        "running-stop": f"/performance/experiments/{test.pk}/stop",
    }


def make_versions(owner: Any) -> list[Any]:
    """Four of one model, the first one made by a job from a frozen table."""
    rows = sensor(1, 400)
    columns = {name: [row[name] for row in rows] for name in rows[0]} | {"failure": [0, 1] * 200}
    data = freeze(make_table(owner, "Readings of turbines, January to March", [columns]), owner)
    job = make_job(owner, name=NAME)
    made = [
        make_version(
            owner, NAME, "table-baseline", dataset_version=data, config={"target": "failure"},
            metrics={"validation/accuracy": 0.81 + number / 50, "validation/macro_f1": 0.74 + number / 60},
            source_job_id=job.pk if number == 1 else None,
        )
        for number in range(4)
    ]  # fmt: skip
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at=timezone.now(), model_version=made[1])
    for version in made:
        for name, value in version.metrics.items():
            record(version, name, value)
    return made


def gather(owner: Any) -> dict[str, str]:
    """Pictures, a template that keeps some of its values, lists in which nothing is found, and what does not exist."""
    dataset, _ = create_dataset(owner, name="Blades of turbines", modality="image")
    files = [Upload(f"{colour}/{n}.png", png(colour, (8 + n, 8))) for colour in ("teal", "red") for n in range(3)]
    run_import(receive(dataset, owner, [*files, Upload("red/no.png", b"no")]).pk)
    kept = blueprints.save(
        owner,
        "Quick rehearsal",
        {"recipe": "simulate"},
        required=["seed", "config.step_seconds"],
        locked=["config.steps"],
    )
    nothing = ("/jobs", "/queue", "/performance", "/performance/experiments", "/models", "/datasets")
    return {
        "pictures": f"/datasets/{dataset.pk}", "picture": f"/datasets/{dataset.pk}/items/{dataset.items.first().pk}",
        "pictures-none": f"/datasets/{dataset.pk}?search=nothing-is-called-so",
        "pictures-job": f"/jobs/new?dataset={dataset.pk}", "generating": "/jobs/new?recipe=generate",
        "kept-template": f"/templates/{kept.pk}/edit", "kept-job": f"/jobs/new?template={kept.pk}",
        "none": "/no-such-page",
        **{f"{address}-none": f"{address}?search=nothing-is-called-so" for address in nothing},
    }  # fmt: skip


def use(champion: Any, before: Any, owner: Any) -> None:
    """Two weeks of answers, of which some have become known."""
    sites = ["north", "south", "a site with a rather long name"]
    for version, days in ((before, range(14, 7, -1)), (champion, range(7, 0, -1))):
        for day in days:
            figures(version, day, "")
            for number, site in enumerate(sites):
                figures(version, day, site, number)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - HOUR
    MetricRecord.objects.create(
        model=champion.model, version=champion, name=names.ACCURACY, value=0.842, source="logged", bucket="hour",
        since=hour, recorded_at=hour + HOUR, count=120,
    )  # fmt: skip
    rows = sensor(2, 320, shift=2.5)
    labels = ["failure" if number % 5 == 0 else "no failure" for number in range(320)]
    made = log(
        champion, rows, step=timedelta(minutes=9), user=owner, input=rows, label=labels,
        output=[{"label": label, "confidence": 0.87, "probabilities": {label: 0.87}} for label in labels],
        score=[0.7 + (number % 30) / 100 for number in range(320)], group=[sites[n % 3] for n in range(320)],
    )  # fmt: skip
    tell(made[:280], wrong=[number % 6 == 0 for number in range(280)])
    log(champion, rows[:2], user=owner, error="The model was not loaded within 30 seconds.")


def figures(version: Any, days_ago: int, group: str, worse: int = 0) -> None:
    """Of one day of use."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    since = midnight - timedelta(days=days_ago)
    values = {
        names.REQUESTS: 400 + 9 * days_ago, names.ERRORS: 0.004, names.P50: 11.5, names.P95: 48.0 + days_ago,
        names.ACCURACY: 0.91 - days_ago / 200 - worse / 50,
    }  # fmt: skip
    common = {
        "model": version.model, "version": version, "source": "logged", "bucket": "day", "group": group, "since": since,
        "recorded_at": since + timedelta(days=1), "count": 380,
    }  # fmt: skip
    rows = [MetricRecord(name=name, value=value, **common) for name, value in values.items()]
    rows += [MetricRecord(name=names.ACCURACY, value=0.9 - days_ago / 200, estimated=True, **common)]
    MetricRecord.objects.bulk_create(rows)


def serve(champion: Any, challenger: Any, owner: Any) -> None:
    """Both names are deployed; one can't be loaded."""
    deploy(champion.model, owner, alias="champion", replicas=3)
    deploy(champion.model, owner, alias="challenger", replicas=1)
    now = timezone.now()
    replicas = [{"pid": 40 + n, "ready": n < 2, "memory": 310 << 20, "requests": 1200} for n in range(3)]
    Served.objects.create(
        version=champion, node="bench-1", state="ready", replicas=replicas, memory_bytes=930 << 20, requests=3600,
        restarts=2, heard_at=now,
    )  # fmt: skip
    Served.objects.create(
        version=challenger, node="bench-1", state="failed", message="There is too little memory: 2.1 GiB are free, "
        "3.4 GiB are needed.", hint="Undeploy another version, or give the node more memory.", heard_at=now,
    )  # fmt: skip


def reproduce(version: Any, owner: Any) -> None:
    """It was trained once more with the same figures and other weights, and exported."""
    job = make_job(owner, name=f"Reproduction of {version}")
    Job.objects.filter(pk=job.pk).update(status="completed", completed_at=timezone.now())
    result = {
        "metrics": [{"name": "validation/accuracy", "before": 0.83, "after": 0.83}], "weights": ["model.safetensors"],
        "different_files": ["model.safetensors"],
        "others": [{"name": "torch", "before": "2.12", "after": "2.13"}],
    }  # fmt: skip
    Reproduction.objects.create(
        version=version, job=job, asked_by=owner, result=result, same_metrics=True, same_weights=False
    )
    Export.objects.create(
        version=version, format="onnx", status="completed", finished_at=timezone.now(), difference=2e-7,
        files=version.artifact[:1], created_by=owner,
    )  # fmt: skip


def look_for_drift(version: Any, owner: Any) -> dict[str, str]:
    """A monitor with its streams, and checks that found something, nothing, and could not look."""
    model = version.model
    monitors.change(model, owner, every_hours=12, window=200, about=["inputs", "predictions", "errors"])
    for about in ("errors", "predictions"):
        DriftStream.objects.create(
            version=version, about=about, count=280, changes=1, changed_at=timezone.now() - 9 * HOUR,
            taken_at=timezone.now() - HOUR,
        )  # fmt: skip
    moved = drift.check(model, "inputs", owner, version=version)
    said = "ADWIN saw the share of wrong answers go from 4.1% to 16.2% after number 160, and was sure 38 later."
    quiet = drift.check(model, "errors", version=version, evidence={"detector": "ADWIN", "words": said})
    for check in (moved, quiet):
        drift.run(check.pk)
    failed = drift.check(model, "predictions", owner, version=version)
    type(failed).objects.filter(pk=failed.pk).update(
        status="failed", finished_at=timezone.now(), message="The worker was lost three times.",
        hint="Try a shorter time.",
    )  # fmt: skip
    return {f"{name}-check": f"/performance/drift/checks/{check.pk}" for name, check in
            (("moved", moved), ("errors", quiet), ("failed", failed))}  # fmt: skip


def rivals(owner: Any, name: str, count: int) -> list[Any]:
    made = [make_version(owner, name, "text-classification") for _ in range(count)]
    Alias.objects.create(model=made[0].model, name="champion", version=made[0], since=timezone.now())
    return made


def watch(row: Experiment, answers: int, *looks: tuple[int, ...]) -> None:
    """So many answers of each arm between two looks, of which so many are right."""
    ago = timezone.now() - 5 * HOUR
    Experiment.objects.filter(pk=row.pk).update(started_at=ago, counted_until=ago)
    for right in looks or ((answers // 2, answers // 2),):
        for _ in range(2):
            for arm, count in zip(looking.arms_of(row), right, strict=True):
                judged(arm, answers, count, keys=answers, label="no failure", score=0.83)
            looking.look(row.pk)


def compare(owner: Any) -> dict[str, str]:
    """An experiment with a winner, one with three arms that was stopped, and one in the shadow."""
    first, second = rivals(owner, "Tickets by urgency", 2)
    decided = experiments.start(
        first.model, owner, arms=[{"version": second}], name="Newer words", expected=1000, minimum=100
    )
    watch(decided, 300, (150, 240))
    control, *others = rivals(owner, "Complaints of customers by department", 3)
    arms = [{"version": version, "name": name, "weight": 2} for version, name in
            zip(others, ("more data from last winter", "smaller"), strict=True)]  # fmt: skip
    stopped = experiments.start(
        control.model, owner, arms=arms, name="Which one of these three is the best?", expected=9000
    )
    watch(stopped, 60, (30, 31, 29))
    experiments.stop(stopped, owner, "The departments were renamed.")
    control, other = rivals(owner, "Language of a letter", 2)
    shadow = experiments.start(control.model, owner, kind="shadow", arms=[{"version": other}], name="In the shadow")
    looking.look(shadow.pk)
    return {f"{name}-experiment": f"/performance/experiments/{row.pk}" for name, row in
            (("decided", decided), ("stopped", stopped), ("shadow", shadow))} | {
        "free-promote": f"/versions/{second.pk}/promote"}  # fmt: skip


def warn(version: Any, owner: Any) -> dict[str, str]:
    """Alerts in each state, and notices that arrived, wait, and were given up."""
    make_defaults()
    # A champion is judged by its figures since it is that.
    Alias.objects.filter(version=version).update(since=timezone.now() - 1000 * HOUR)
    hook, _ = channels.make(
        owner, name="Team chat", kind="webhook", address="https://93.184.216.34/hooks/a-rather-long-address/of/the-team"
    )
    channels.make(owner, name="My mail", kind="mail", address="")
    alerts = []
    for place, severity in enumerate(("critical", "warning", "info")):
        rule = rules.make(
            owner, owner, name=f"Accuracy in use falls, {severity}", kind="metric", metric=names.ACCURACY,
            comparison="below", threshold=0.95 - place / 1000, clear_threshold=0.96, model=version.model_id,
            severity=severity, minimum_count=100, channels=[hook.pk],
        )  # fmt: skip
        evaluating.evaluate(rule)
        alerts += rule.alerts.all()
    taken, put_off, over = alerts
    dealing.acknowledge(taken, owner, "A sensor was changed on Monday; looking at it.")
    dealing.snooze(put_off, owner, timezone.now() + 4 * HOUR, "Until the night shift.")
    dealing.resolve(over, owner, "The sensor is calibrated.")
    deliveries(hook, owner)
    return {
        "acknowledged-alert": f"/performance/alerts/{taken.pk}", "snoozed-alert": f"/performance/alerts/{put_off.pk}",
        "resolved-alert": f"/performance/alerts/{over.pk}", "busy-channel": f"/settings/notifications/{hook.pk}",
        "busy-rule": f"/performance/alerts/rules/{taken.rule_id}",
        "drift-rule": "/performance/alerts/rules/new?kind=drift",
        "disk-rule": "/performance/alerts/rules/new?kind=disk",
    }  # fmt: skip


def deliveries(channel: Any, owner: Any) -> None:
    now = timezone.now()
    ends = ({"delivered_at": now, "next_at": None}, {"dead_at": now, "next_at": None}, {})
    for number, end in enumerate(ends, 1):
        made = delivering.put(channel, f"busy {number}", "alert.opened", {"title": "Accuracy in use falls below 95 %"})
        Delivery.objects.filter(pk=made.pk).update(tries=number, **end)
        for place in range(1, number + 1):
            good = "delivered_at" in end
            DeliveryTry.objects.create(
                delivery=made, number=place, at=now, milliseconds=31, status=204 if good else 503,
                error="" if good else "The receiver answered with 503, which it may do for a while.",
            )  # fmt: skip


def train_again(versions: list[Any], data: Any, owner: Any) -> dict[str, str]:
    """Trained again with a report and a decision to make; and others that have ended or wait for approval."""
    model = versions[0].model
    policies.change(
        model, owner, enabled=True, rule={"kind": "weekly", "days": ["mon"], "at": "02:30"}, zone="Europe/Berlin",
        new_items=500, drift_inputs=True, dataset=data.pk, after="promote", approvals_start=1, approvals_promotion=1,
    )  # fmt: skip
    compared = [
        {"title": "The test part of the champion's data", "figure": "accuracy", "n": 1200, "champion": 0.83,
         "challenger": 0.87, "value": 0.04, "low": 0.012, "high": 0.068, "verdict": "better", "words": "",
         "notes": ["Rows that the challenger was trained on are left out."], "group": None},
        {"title": "", "figure": "accuracy", "n": 25, "champion": 0.8, "challenger": 0.76, "value": None, "low": None,
         "high": None, "verdict": "unclear", "words": "", "notes": [], "group": "a site with a rather long name"},
    ]  # fmt: skip
    said = "The challenger is better by 1.2 to 6.8 percentage points on 1,200 rows that both answered."
    report = {"verdict": "better", "words": said, "problem": "", "compared": compared}
    evidence = {"dataset": data.pk, "count": 512, "wanted": 500, "since": timezone.now().isoformat()}
    decide = again(model, "challenger", said, kind="new_items", evidence=evidence, report=report, champion=versions[1],
                   challenger=versions[2], reason="512 new rows since the champion's data.")  # fmt: skip
    ended = {"ended_at": timezone.now()}
    kept = again(model, "kept", "The champion stays: the challenger is not better.", asked_by=owner, **ended)
    failed = again(model, "failed", "Its job failed: the loss was not finite at step 120.", kind="schedule",
                   hint="Look at the job, and lower the learning rate.", **ended)  # fmt: skip
    other = make_version(owner, "Pumps", "table-baseline")
    Alias.objects.create(model=other.model, name="champion", version=other, since=timezone.now())
    waits = again(other.model, "awaiting_approval", "It waits for an approval before its job is made.", kind="drift",
                  evidence={"check": 1, "message": "'temperature' moved."}, champion=other)  # fmt: skip
    return {f"{name}-retraining": f"/performance/retraining/{row.pk}" for name, row in
            (("decide", decide), ("kept", kept), ("failed", failed), ("waiting", waits))}  # fmt: skip


def again(model: Any, status: str, message: str, **columns: Any) -> Retraining:
    row = Retraining.objects.create(
        model=model, status=status, message=message, waits_since=timezone.now(), **{"kind": "manual"} | columns
    )
    for kind, words in (
        ("triggered", "By 512 new rows."),
        ("job_made", "It went into the queue."),
        ("compared", message),
    ):
        story.note(model, kind, words, retraining=row)
    return row


def ask(version: Any, owner: Any) -> dict[str, str]:
    """A promotion that waits for a second person, after one that was refused."""
    policy.change(version.model, owner, margin=0.01, minimum_examples=50, approvals=2, needs_test="none")
    now, model = timezone.now(), version.model
    bob = approver()
    common = {"model": model, "version": version, "asked_by": owner, "asked_at": now, "reason": "Better on each site."}
    PromotionRequest.objects.create(
        status="refused", decided_at=now, decided_by=bob, note="Not before the audit of Friday.", **common
    )
    row = PromotionRequest.objects.create(**common)
    Approval.objects.create(request=row, by=bob, note="Looked at the report by group.", at=now)
    make_user("carol")
    return {"busy-promotion": f"/promotions/{row.pk}", "all-promotions": "/promotions?show=all"}
