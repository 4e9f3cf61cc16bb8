"""Jobs by the API: made, listed, watched, controlled."""

import csv
import io
import json
import uuid

import pytest

from jobs.models import Job
from tests.world import make_dataset, make_job, report

SHAPE = {
    "id", "name", "recipe", "status", "phase", "progress", "current_step", "total_steps", "current_epoch",
    "current_loss", "elapsed_seconds", "remaining_seconds", "waiting_for", "attempt", "failure", "metrics",
    "model_version", "created_at", "started_at", "completed_at",
}  # fmt: skip


def test_a_job_has_the_shape_that_others_rely_on(alice):
    made = alice.post_json("training/jobs", {"recipe": "simulate", "name": "First", "config": {"steps": 5}})
    assert made.status_code == 201
    job = made.json()
    assert set(job) >= SHAPE
    assert (job["status"], job["name"], job["config"]["steps"], job["failure"]) == ("queued", "First", 5, None)
    assert job["waiting_for"]
    assert alice.get(f"training/jobs/{job['id']}").json() | {"waiting_for": ""} == job | {"waiting_for": ""}


def test_a_job_on_a_dataset_freezes_it_with_the_asked_split(alice, owner):
    dataset = make_dataset(owner)
    body = {"recipe": "text-generation", "dataset": dataset.pk, "validation_fraction": 0.5, "seed": 7}
    job = alice.post_json("training/jobs", body).json()
    assert job["dataset"] == dataset.pk
    assert job["seed"] == 7
    frozen = dataset.versions.get()
    assert (job["dataset_version"], frozen.validation_fraction) == (frozen.pk, 0.5)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "recipe"),
        ({"recipe": "cook"}, "recipe"),
        ({"recipe": "text-generation"}, "dataset"),
        ({"recipe": "simulate", "config": {"steps": 0}}, "config.steps"),
        ({"recipe": "simulate", "config": {"stepz": 1}}, "config.stepz"),
        ({"recipe": "simulate", "config": [1]}, "config"),
        ({"recipe": "simulate", "seed": -1}, "seed"),
        ({"recipe": "simulate", "priority": 10**9}, "priority"),
        ({"recipe": "simulate", "resources": {"device": "tpu"}}, "resources"),
        ({"recipe": "simulate", "dataset": 1, "dataset_version": 1}, "dataset"),
    ],
)
def test_a_wrong_request_names_the_field_and_says_what_to_do(alice, body, field):
    answer = alice.post_json("training/jobs", body)
    assert answer.status_code == 400, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"]
    assert answer.json()["hint"]
    assert not Job.objects.exists()


def test_the_same_key_and_body_make_one_job(alice):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = {"recipe": "simulate", "name": "Once"}
    first = alice.post_json("training/jobs", body, headers=key)
    again = alice.post_json("training/jobs", body, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Job.objects.count() == 1


@pytest.mark.parametrize("other", [{"name": "Other"}, {"config": {"steps": 3}}, {"priority": 5}, {"seed": 1}])
def test_the_same_key_with_another_body_is_a_conflict_that_names_the_job(alice, other):
    key = {"Idempotency-Key": "k1"}
    first = alice.post_json("training/jobs", {"recipe": "simulate", "name": "One"}, headers=key).json()
    answer = alice.post_json("training/jobs", {"recipe": "simulate", "name": "One", **other}, headers=key)
    assert answer.status_code == 409
    assert answer.json()["job"] == first["id"]


def test_two_people_may_use_the_same_key(alice, mallory):
    key = {"Idempotency-Key": "k1"}
    ids = {api.post_json("training/jobs", {"recipe": "simulate"}, headers=key).json()["id"] for api in (alice, mallory)}
    assert len(ids) == 2


def test_a_key_that_is_too_long_is_refused(alice):
    answer = alice.post_json("training/jobs", {"recipe": "simulate"}, headers={"Idempotency-Key": "k" * 201})
    assert answer.status_code == 400


@pytest.fixture
def jobs(owner):
    made = {name: make_job(owner, name=name, priority=rank) for rank, name in enumerate(("ant", "bee", "cow"))}
    made["bee"] = _cancelled(made["bee"], owner)
    return made


def _cancelled(job, by):
    from jobs.control import cancel

    return cancel(job, by)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["cow", "bee", "ant"]),
        ("status=active", ["cow", "ant"]),
        ("status=cancelled", ["bee"]),
        ("status=queued,cancelled", ["cow", "bee", "ant"]),
        ("recipe=simulate&search=B", ["bee"]),
        ("recipe=text-generation", []),
        ("owner=alice&ordering=name", ["ant", "bee", "cow"]),
        ("owner=nobody", []),
        ("ordering=-priority", ["cow", "bee", "ant"]),
        ("created_after=2020-01-01T00:00:00Z&created_before=2100-01-01T00:00:00Z", ["cow", "bee", "ant"]),
        ("created_before=2020-01-01T00:00:00Z", []),
        ("dataset=1", []),
        ("subject=1", []),
        ("page_size=2&page=2", ["ant"]),
    ],
)
def test_a_list_can_be_filtered_ordered_and_paged(alice, jobs, query, expected):
    answer = alice.get(f"training/jobs?{query}")
    assert answer.status_code == 200, answer.content
    assert [job["name"] for job in answer.json()["results"]] == expected


@pytest.mark.parametrize(
    "query", ["status=done", "recipe=cook", "ordering=owner__password", "created_after=soon", "dataset=x", "page=0"]
)
def test_a_filter_that_makes_no_sense_is_refused_with_a_hint(alice, query):
    answer = alice.get(f"training/jobs?{query}")
    assert answer.status_code in {400, 404}
    assert answer.json()["hint"]


def test_a_page_holds_at_most_200_rows(alice, owner):
    Job.objects.bulk_create(Job(owner=owner, name="x", recipe="simulate") for _ in range(201))
    page = alice.get("training/jobs?page_size=1000000000").json()
    assert (len(page["results"]), page["count"]) == (200, 201)
    assert "page=2" in page["next"]


def test_a_list_takes_the_same_number_of_queries_for_few_and_for_many(
    alice, owner, django_assert_max_num_queries, django_assert_num_queries
):
    make_job(owner)
    alice.get("training/jobs")  # notes the token's use, which later requests of the same minute don't
    with django_assert_max_num_queries(12) as few:
        alice.get("training/jobs")
    for _ in range(10):
        make_job(owner)
    with django_assert_num_queries(len(few)):
        alice.get("training/jobs")


def test_cancel_answers_success_and_the_job(alice, owner):
    job = make_job(owner)
    answer = alice.post_json(f"training/jobs/{job.pk}/cancel", {"reason": "wrong data"}).json()
    assert answer["success"] is True
    assert answer["job"]["status"] == "cancelled"
    assert job.events.get(kind="cancelled").message == "wrong data"


def test_cancel_needs_no_body(alice, owner):
    assert alice.send("POST", f"training/jobs/{make_job(owner).pk}/cancel").status_code == 200


def test_a_job_is_paused_resumed_cancelled_and_retried(alice, owner):
    job = make_job(owner)
    for verb, status in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        answer = alice.post_json(f"training/jobs/{job.pk}/{verb}")
        assert (answer.status_code, answer.json()["job"]["status"]) == (200, status)


def test_a_verb_that_does_not_fit_the_state_is_a_conflict_with_words(alice, owner):
    job = make_job(owner)
    answer = alice.post_json(f"training/jobs/{job.pk}/resume")
    assert answer.status_code == 409
    assert "queued" in answer.json()["detail"]
    assert answer.json()["hint"]


def test_name_and_priority_can_be_changed_and_nothing_else(alice, owner):
    job = make_job(owner)
    before = Job.objects.filter(pk=job.pk).values().get()
    body = {"name": "Renamed", "priority": 3}
    rest = {
        "id": 99, "owner": 1, "status": "completed", "attempt": 9, "progress": 100, "attempt_number": 9,
        "recipe": "text-generation", "created_at": "2000-01-01T00:00:00Z", "model_version": 1,
    }  # fmt: skip
    refused = alice.send("PATCH", f"training/jobs/{job.pk}", body | rest)
    assert (refused.status_code, set(refused.json()["errors"])) == (400, set(rest))
    assert Job.objects.filter(pk=job.pk).values().get() == before
    answer = alice.send("PATCH", f"training/jobs/{job.pk}", body)
    assert answer.status_code == 200
    after = Job.objects.filter(pk=job.pk).values().get()
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {"name", "priority", "event_count"}
    assert (after["name"], after["priority"]) == ("Renamed", 3)


def test_a_new_job_takes_nothing_but_what_is_offered(alice, owner, stranger):
    rest = {
        "id": 4711, "owner": stranger.pk, "owner_id": stranger.pk, "status": "completed", "attempt": 9,
        "attempt_number": 9, "is_staff": True, "metrics": {"x": 1}, "idempotency_key": "stolen",
        "created_at": "2000-01-01T00:00:00Z", "environment": {"python": "1"},
    }  # fmt: skip
    for name, value in rest.items():
        refused = alice.post_json("training/jobs", {"recipe": "simulate", name: value})
        assert (refused.status_code, set(refused.json()["errors"])) == (400, {name})
    assert not Job.objects.exists()
    assert alice.post_json("training/jobs", {"recipe": "simulate"}).status_code == 201
    job = Job.objects.get()
    assert (job.owner, job.status, job.attempt_number) == (owner, "queued", 0)
    assert (job.metrics, job.environment, job.idempotency_key, job.created_at.year > 2000) == ({}, {}, "", True)
    owner.refresh_from_db()
    assert not owner.is_staff


def test_metrics_are_read_by_name_and_range(alice, owner):
    job = make_job(owner)
    report(job, steps=20)
    assert alice.get(f"training/jobs/{job.pk}/metrics").json() == {"names": ["train/loss"]}
    curve = alice.get(f"training/jobs/{job.pk}/metrics?name=train/loss&from_step=11").json()
    assert curve["name"] == "train/loss"
    assert [point["step"] for point in curve["points"]] == list(range(11, 21))
    assert set(curve["points"][0]) == {"step", "value", "recorded_at"}
    assert "total_points" in curve


def test_metrics_come_as_csv(alice, owner):
    job = make_job(owner)
    report(job, steps=3)
    answer = alice.get(f"training/jobs/{job.pk}/metrics?name=train/loss&format=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row[0] for row in rows] == ["step", "1", "2", "3"]


def test_all_metrics_come_as_one_csv_and_logs_by_level(alice, owner):
    job = make_job(owner)
    report(job, steps=3)
    answer = alice.get(f"training/jobs/{job.pk}/metrics?format=csv")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0] == ["step", "recorded_at", "train/loss"] and [row[0] for row in rows[1:]] == ["1", "2", "3"]
    assert alice.get(f"training/jobs/{job.pk}/logs?level=error").json()["lines"] == []
    assert alice.get(f"training/jobs/{job.pk}/logs?level=loud").status_code == 400


def test_an_unknown_metric_names_those_that_there_are(alice, owner):
    job = make_job(owner)
    report(job)
    answer = alice.get(f"training/jobs/{job.pk}/metrics?name=accuracy")
    assert answer.status_code == 404
    assert "train/loss" in answer.json()["hint"]


def test_logs_are_read_by_cursor_searched_and_saved(alice, owner):
    job = make_job(owner)
    report(job)
    first = alice.get(f"training/jobs/{job.pk}/logs?limit=1").json()
    assert [line["text"] for line in first["lines"]] == ["marker-log line one"]
    rest = alice.get(f"training/jobs/{job.pk}/logs?after={first['next_after']}").json()
    assert [line["number"] for line in rest["lines"]] == [2]
    found = alice.get(f"training/jobs/{job.pk}/logs?search=TWO").json()
    assert [line["number"] for line in found["lines"]] == [2]
    text = alice.get(f"training/jobs/{job.pk}/logs?format=text")
    assert b"line two\n" in b"".join(text.streaming_content)


def test_events_checkpoints_and_lineage_tell_the_story(alice, owner):
    dataset = make_dataset(owner)
    job = make_job(owner, recipe="text-generation", dataset=dataset)
    report(job)
    events = alice.get(f"training/jobs/{job.pk}/events").json()["results"]
    assert (events[0]["kind"], events[0]["to_status"], events[0]["actor"]) == ("created", "queued", "alice")
    assert alice.get(f"training/jobs/{job.pk}/checkpoints").json()["results"][0]["step"] == 10
    tree = alice.get(f"training/jobs/{job.pk}/lineage").json()
    assert "dataset_version" in [source["kind"] for source in tree["comes_from"]]


def test_active_and_status_answer_as_named(alice, jobs):
    active = alice.get("training/active").json()
    assert {job["name"] for job in active["results"]} == {"ant", "cow"}
    assert alice.get(f"training/status?job_id={jobs['bee'].pk}").json()["status"] == "cancelled"
    assert alice.get("training/status").json()["errors"] == {"job_id": ["This field is required."]}


def test_poll_tells_the_job_as_it_is(alice, owner):
    job = make_job(owner)
    Job.objects.filter(pk=job.pk).update(total_steps=10, current_step=4)
    assert alice.post_json(f"training/jobs/{job.pk}/poll").json()["progress"] == 40.0


def test_stats_nodes_and_recipes_describe_the_hub(alice, jobs):
    from django.utils import timezone

    from jobs.models import Node, Slot

    node = Node.objects.create(name="n1", host="h", started_at=timezone.now(), heartbeat_at=timezone.now())
    Slot.objects.create(node=node, index=0, device="cpu", queue="q")
    stats = alice.get("training/stats").json()
    assert (stats["active"], stats["jobs"]["cancelled"], stats["slots_free"]) == (2, 1, 1)
    shown = alice.get("training/nodes").json()["results"][0]
    assert (shown["name"], shown["is_up"], shown["slots"][0]["busy"]) == ("n1", True, False)
    recipes = {recipe["name"]: recipe for recipe in alice.get("training/recipes").json()}
    assert "steps" in recipes["simulate"]["config"]["properties"]
    assert recipes["simulate"]["simulator"] is True


def test_model_folders_are_listed_by_recipe(alice, tmp_path, settings):
    settings.TRAINHUB_MODEL_FOLDERS = [str(tmp_path)]
    for name, said in (("writer", {"architectures": ["LlamaForCausalLM"]}), ("eyes", {"image_size": 224})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": name} | said))
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "writer" / "tokenizer.json").write_text("{}")
    writer, eyes = ({"name": name, "kind": name, "bytes": 7} for name in ("writer", "eyes"))
    assert alice.get("training/model-folders").json() == [eyes, writer]
    assert alice.get("training/model-folders?recipe=text-generation").json() == [writer]
    assert alice.get("training/model-folders?recipe=image-classification").json() == [eyes]
    assert alice.get("training/model-folders?recipe=image-generation").json() == []
    assert alice.get("training/model-folders?recipe=forecast").status_code == 400
    recipes = {recipe["name"]: recipe["bases"] for recipe in alice.get("training/recipes").json()}
    assert recipes["text-generation"] and not recipes["forecast"]
