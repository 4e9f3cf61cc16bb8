"""The data of a retraining: a window of the dataset, and labelled predictions that become its rows."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from accounts.models import AuditEntry
from common.errors import ConflictError, InvalidInputError
from datasets.freezing import manifests
from datasets.freezing.versions import freeze
from datasets.intake import imports
from datasets.models import Import
from jobs import blueprints
from performance.models import CollectedPrediction, DriftCheck, Retraining
from performance.retraining import arrivals, collecting, evidence, overview, policies, requests, triggers
from registry.models import Outcome, Prediction
from tests.api.conftest import Api
from tests.performance.crowd import make_frozen
from tests.performance.retrained import drift_check, make_line
from tests.registry.promotion.cast import with_role
from tests.tables import make_table
from tests.world import make_dataset, make_job, make_version

pytestmark = pytest.mark.django_db
FREE = {"enabled": True, "approvals_start": 0, "cooldown_hours": 0}
WORLD = {"speed": [float(n) for n in range(20)], "kind": ["pump", "fan"] * 10, "power": [2.0 * n for n in range(20)]}


@pytest.fixture
def home(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def texts(owner, home):
    """A model of texts, whose champion learned from three, and two that came since."""
    dataset = make_dataset(owner, "Fables", {f"{n}.txt": f"Fable {n}. ".encode() * 30 for n in range(5)})
    late = dataset.items.order_by("pk")[3:]
    dataset.items.filter(pk__in=[item.pk for item in late]).update(created_at=F("created_at") + timedelta(hours=1))
    frozen = freeze(dataset, owner, only=dataset.items.order_by("pk").values("pk")[:3])
    job = make_job(owner, name="Fables")
    version = make_version(owner, "Fables", dataset_version=frozen, source_job_id=job.pk)
    type(job).objects.filter(pk=job.pk).update(
        status="completed", completed_at=timezone.now(), model_version=version, dataset_version=frozen,
        recipe="text-generation", config={},
    )  # fmt: skip
    return dataset, version


@pytest.mark.parametrize(
    ("window", "count", "names"),
    [("all", None, 5), ("items", 2, 2), ("items", 99, 5), ("since", None, 2), ("days", 1, 5)],
)
def test_a_window_says_which_items_are_learned_from(texts, owner, window, count, names):
    _dataset, version = texts
    policies.change(version.model, owner, **FREE, window=window, window_count=count)
    row, _ = triggers.trigger(version.model, owner)
    assert row.job, row.message
    found = list(manifests.entries(row.job.dataset_version.content_hash))
    assert len(found) == names
    if window == "since":
        assert {entry["name"] for entry in found} == {"3.txt", "4.txt"}


def drifted(version, hours_ago: float, moved: bool = True, about: str = "inputs") -> DriftCheck:
    """A check whose recent side begins so long ago."""
    row = drift_check(version.model, moved, about)
    began = timezone.now() - timedelta(hours=hours_ago)
    DriftCheck.objects.filter(pk=row.pk).update(recent_from=began)
    return row


def learned(row: Retraining) -> set[str]:
    return {entry["name"] for entry in manifests.entries(row.job.dataset_version.content_hash)}


def test_a_window_can_begin_where_the_drift_did(texts, owner, monkeypatch):
    dataset, version = texts
    monkeypatch.setattr(requests, "LEAST_SINCE", 3)
    for place, item in enumerate(dataset.items.order_by("pk")):
        type(item).objects.filter(pk=item.pk).update(created_at=timezone.now() - timedelta(hours=9 - 2 * place))
    policies.change(version.model, owner, **FREE, window="drift", drift_inputs=True)
    drifted(version, 9)
    drifted(version, 8, moved=False)
    drifted(version, 6)
    drifted(version, 7, about="errors")
    drifted(version, 2)
    assert triggers.sweep() == 1
    row = Retraining.objects.get()
    assert learned(row) == {"2.txt", "3.txt", "4.txt"}, "from the first of the two that moved one after another"
    assert row.plan["window"] == "drift" and row.message.startswith(f"Job {row.job_id}")
    assert "it learns from all" not in row.message


def test_without_a_drift_or_with_too_little_since_then_all_is_learned_from_in_words(texts, owner):
    dataset, version = texts
    policies.change(version.model, owner, **FREE, window="drift", drift_inputs=True)
    by_hand, _ = triggers.trigger(version.model, owner)
    assert len(learned(by_hand)) == 5 and "No drift started it, so it learns from all" in by_hand.message
    assert "No drift started it" in " ".join(overview.ahead(version.model).lines)
    Retraining.objects.update(status="failed", ended_at=timezone.now())
    type(by_hand.job).objects.filter(pk=by_hand.job_id).update(status="cancelled", completed_at=timezone.now())
    dataset.items.update(created_at=timezone.now() - timedelta(hours=9))
    drifted(version, 3)
    assert triggers.sweep() == 1
    row = Retraining.objects.first()
    assert len(learned(row)) == 5 and row.kind == "drift"
    said = row.events.get(kind="job_made").message
    assert "Only 0 of its items came since the drift began on" in said and "fewer than 100: it learns from all" in said
    assert "items that came since the drift began, or all" in policies.in_words(policies.of(version.model))


def test_a_window_in_which_nothing_lies_ends_it_in_words(texts, owner):
    dataset, version = texts
    dataset.items.update(created_at=F("created_at") - timedelta(days=9))
    policies.change(version.model, owner, **FREE, window="days", window_count=7)
    row, _ = triggers.trigger(version.model, owner)
    assert (row.status, row.job) == ("failed", None)
    assert "lies in the window: items of the last 7 days" in row.message and "wider window" in row.hint


def test_new_items_start_one_training_and_then_count_from_its_data_on(texts, owner):
    dataset, version = texts
    policies.change(version.model, owner, **FREE, new_items=3)
    assert triggers.sweep() == 0
    policies.change(version.model, owner, new_items=2)
    assert [triggers.sweep(), triggers.sweep()] == [1, 0]
    row = Retraining.objects.get()
    assert (row.kind, row.evidence["count"], row.evidence["dataset"]) == ("new_items", 2, dataset.pk)
    dataset.items.update(created_at=timezone.now() - timedelta(hours=3))
    assert evidence.seen(policies.of(version.model)) == []


@pytest.mark.parametrize("few", [10_000, 3])
def test_new_items_are_counted_from_where_they_begin_and_as_the_gates_say(owner, monkeypatch, few):
    monkeypatch.setattr(arrivals, "FEW", few)
    frozen = make_frozen(owner, "Many", 40)
    dataset, now = frozen.dataset, timezone.now()
    items = list(dataset.items.order_by("pk"))
    for place, item in enumerate(items):
        item.created_at = now - timedelta(minutes=40 - place)
    items[30].aside = "by_hand"
    # At the same time another import was at work: the ids of its items are lower, their times are not.
    items[24].created_at, items[26].created_at = now - timedelta(minutes=12), now - timedelta(minutes=17)
    type(items[0]).objects.bulk_update(items, ["created_at", "aside"])
    for minutes in (50, 14.5, 5):
        since = now - timedelta(minutes=minutes)
        true = sum(item.created_at > since and not item.aside for item in items)
        assert arrivals.count(dataset, since) == true > 0
    assert arrivals.count(dataset, None) == 39
    dataset.approvals = 1
    dataset.items.filter(pk__gte=items[35].pk).update(review="approved")
    assert arrivals.count_each([(dataset, None), (dataset, now - timedelta(minutes=3.5))]) == [5, 3]
    assert arrivals.count_each([]) == []


def test_what_was_there_before_costs_nothing(owner):
    """By the plan, since a test has no time for the hundred thousands in which it could be felt."""
    frozen = make_frozen(owner, "Many", 3000)
    make_frozen(owner, "Others", 3000)
    new = frozen.dataset.items.order_by("-pk")[:20]
    type(new[0]).objects.filter(pk__in=[item.pk for item in new]).update(created_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE datasets_item")
        # Of so few rows it costs about as much to read and sort all of them: the plan of many is looked at.
        for way in ("enable_sort", "enable_incremental_sort", "enable_bitmapscan"):
            cursor.execute(f"SET LOCAL {way} = off")
    rows = arrivals.weights(frozen.dataset, timezone.now() - timedelta(hours=1))[:100]
    (plan,) = json.loads(rows.explain(format="json", analyze=True))
    read = [node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in nodes(plan["Plan"])]
    assert len(rows) == 20 and max(read) <= 40, json.dumps(plan)


def nodes(plan):
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def test_a_template_can_say_how_it_is_trained(texts, owner):
    dataset, version = texts
    request = {"recipe": "text-generation", "dataset": dataset.pk, "seed": 11}
    template = blueprints.save(owner, "Nightly", request)
    policies.change(version.model, owner, **FREE, template=template.pk)
    row, _ = triggers.trigger(version.model, owner)
    assert (row.job.seed, row.job.model) == (11, version.model)
    with pytest.raises(Exception, match="used by a retraining policy"):
        blueprints.delete(template)


@pytest.fixture
def tables(owner, home):
    dataset = make_table(owner, "Machines", [WORLD])
    types = {"speed": "number", "kind": "category", "power": "number"}
    dataset.items.update(facts=dataset.items.get().facts | {
        "columns": [{"name": name, "type": kind} for name, kind in types.items()]
    })  # fmt: skip
    frozen = freeze(dataset, owner)
    version = make_version(
        owner, "Power", "table-baseline", dataset_version=frozen, more={"config.json": b'{"target": "power"}'}
    )
    return dataset, version


def told(version, given, truth, **more):
    now = timezone.now()
    one = Prediction.objects.create(
        at=now, model=version.model, version=version, input_hash="x", latency_ms=1.0, **given, **more
    )
    return Outcome.objects.create(
        prediction=one, model=version.model, version=version, predicted_at=now, at=now, truth=truth
    )


def test_each_labelled_prediction_becomes_a_row_once(tables):
    dataset, version = tables
    told(version, {"input": {"speed": 1.5, "kind": "pump"}}, 3.5)
    told(version, {"input": [{"speed": 2, "kind": "fan"}]}, 4)
    told(version, {"features": {"speed": 3.0, "confidence": 0.5}}, 6.5)
    for left_out in ({"input": {"colour": 1}}, {"input": "a text"}, {}):
        told(version, left_out, 1.0)
    told(version, {"input": {"speed": 9.0}}, 1.0, shadow_of="00000000-0000-0000-0000-000000000001")
    assert collecting.collect_labelled(version.model, dataset) == 3
    made = Import.objects.get()
    assert (
        made.options["types"]["power"] == "number"
        and CollectedPrediction.objects.filter(import_id=made.pk).count() == 3
    )
    imports.run_import(made.pk)
    item = dataset.items.order_by("-pk").first()
    assert item.facts["rows"] == 3 and [column["name"] for column in item.facts["columns"]] == [
        "speed",
        "kind",
        "power",
    ]
    assert collecting.collect_labelled(version.model, dataset) == 0
    told(version, {"input": {"speed": 4.0, "kind": "fan"}}, 8.5)
    assert collecting.collect_labelled(version.model, dataset) == 1


def test_only_tables_with_the_answered_column_take_rows(tables, owner):
    _dataset, version = tables
    with pytest.raises(InvalidInputError, match="rows of tables"):
        collecting.collect_labelled(version.model, make_dataset(owner))
    other = make_table(owner, "Others", [{"speed": [1.0] * 9}])
    with pytest.raises(InvalidInputError, match="no column 'power'"):
        collecting.collect_labelled(version.model, other)


def test_what_can_not_become_a_row_does_not_stand_in_the_way_of_what_can(tables, owner, monkeypatch):
    dataset, version = tables
    monkeypatch.setattr(collecting, "BY_HAND", 2)
    for _ in range(3):
        told(version, {"input": "a text"}, 1.0)
    for number in range(3):
        told(version, {"input": {"speed": number}}, 2.0 * number)
    first = collecting.collect(owner, version.model, dataset.pk)
    assert (first.rows, first.more) == (2, True)
    with pytest.raises(ConflictError, match="being filled"):
        collecting.collect(owner, version.model, dataset.pk)
    imports.run_import(first.import_id)
    second = collecting.collect(owner, version.model, dataset.pk)
    assert (second.rows, second.more) == (1, False)
    imports.run_import(second.import_id)
    assert collecting.collect(owner, version.model, dataset.pk) == collecting.Collected()
    entry = AuditEntry.objects.filter(verb="labelled predictions collected").latest("id")
    assert (entry.actor_name, json.loads(entry.details)["rows"]) == ("alice", 1)


def test_predictions_are_collected_by_the_api_and_by_whom_they_concern_alone(tables, owner, stranger):
    dataset, version = tables
    address, body = f"models/{version.model_id}/predictions/collect", {"dataset": dataset.pk}
    told(version, {"input": {"speed": 1.5}}, 3.5)
    bob, ann, alice = Api(with_role("bob", "Approvers")), Api(with_role("ann", "Analysts")), Api(owner)
    assert Api(stranger).post_json(address, body).status_code == 404
    assert bob.post_json(address, body).status_code == 403, "sees the model, and not its predictions"
    assert ann.post_json(address, body).status_code == 404, "sees the predictions, and not the dataset"
    assert alice.post_json(address).status_code == 400
    made = alice.post_json(address, body)
    assert made.status_code == 202 and (made.json()["rows"], made.json()["more"]) == (1, False)
    assert alice.post_json(address, body).status_code == 409
    imports.run_import(made.json()["import_id"])
    assert alice.get(f"datasets/{dataset.pk}/imports/{made.json()['import_id']}").json()["accepted"] == 1
    again = alice.post_json(address, body)
    assert again.status_code == 200 and again.json() == {"rows": 0, "import_id": None, "more": False}
    hers = make_table(with_role("ann", "Analysts"), "Hers", [{"speed": [1.0] * 9}])
    assert "no column 'power'" in ann.post_json(address, {"dataset": hers.pk}).json()["detail"]


def test_the_list_of_predictions_leads_to_putting_them_into_a_dataset(tables, owner, client):
    dataset, version = tables
    address = f"/models/{version.model_id}/predictions/collect"
    client.force_login(owner)
    assert address in client.get(f"/models/{version.model_id}/predictions").content.decode()
    asked = client.get(address).content.decode()
    assert f'<option value="{dataset.pk}" selected>Machines' in asked and "the column power" in asked
    empty = client.post(address, {"dataset": dataset.pk})
    assert empty.status_code == 409 and "Nothing is new" in empty.content.decode()
    told(version, {"input": {"speed": 1.5}}, 3.5)
    answer = client.post(address, {"dataset": dataset.pk}, follow=True)
    assert "1 prediction of Power is on its way in" in answer.content.decode()
    assert answer.redirect_chain[0][0] == f"/datasets/{dataset.pk}"
    assert "being filled" in client.post(address, {"dataset": dataset.pk}).content.decode()
    assert client.post(address, {"dataset": "x"}).status_code == 404
    texts = make_version(owner, "Teller").model_id
    assert "collect" not in client.get(f"/models/{texts}/predictions").content.decode()
    assert "can't become rows" in client.get(f"/models/{texts}/predictions/collect").content.decode()
    client.force_login(with_role("bob", "Approvers"))
    assert client.get(address).status_code == client.post(address).status_code == 403


def test_a_model_without_data_is_trained_again_without(owner):
    row, _ = triggers.trigger(make_line(owner), owner)
    assert row.job and row.job.dataset_version is None
    assert requests.window_words({"window": "items", "window_count": 1200}) == "the newest 1,200 items"
