"""Templates and schedules through the API."""

import pytest

from jobs.models import Job, JobTemplate, Schedule
from tests.world import make_job

DAILY = {"kind": "daily", "at": "02:30"}
NIGHTLY = {"name": "Nightly", "rule": DAILY, "zone": "Europe/Berlin", "request": {"recipe": "simulate"}}


def made(client, path, body):
    answer = client.post_json(path, body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_schedule_is_made_read_changed_paused_run_and_deleted(alice):
    row = made(alice, "training/schedules", NIGHTLY)
    assert row["words"] == "every day at 02:30, Europe/Berlin"
    assert row["next_times"][0] == row["next_at"] or len(row["next_times"]) == 5
    assert row["request"]["config"], "the settings are complete"
    address = f"training/schedules/{row['id']}"
    assert alice.get("training/schedules").json()["count"] == 1

    changed = alice.send("PATCH", address, {"rule": {"kind": "every", "minutes": 90}, "overlap": "queue"}).json()
    assert changed["words"] == "every 90 minutes, Europe/Berlin"
    paused = alice.post_json(f"{address}/pause").json()
    assert (paused["enabled"], paused["next_at"], paused["next_times"]) == (False, None, [])
    assert alice.post_json(f"{address}/resume").json()["enabled"]
    job = made(alice, f"{address}/run", {})
    assert Job.objects.get(pk=job["id"]).schedule_id == row["id"]
    after = alice.get(address).json()
    assert (after["runs"], after["last_job"]) == (1, job["id"])
    events = alice.get(f"{address}/events").json()["results"]
    assert [event["kind"] for event in events] == ["started", "resumed", "paused", "changed", "created"]
    assert events[0]["job"] == job["id"]
    assert alice.send("DELETE", address).status_code == 204
    assert alice.get(address).status_code == 404
    assert Job.objects.count() == 1, "its job stays"


def test_a_template_is_saved_used_started_and_deleted(alice):
    row = made(alice, "training/templates", {"name": "Small", "request": {"recipe": "simulate", "priority": "high"}})
    assert row["request"]["priority"] == 100
    address = f"training/templates/{row['id']}"
    job = made(alice, f"{address}/start", {})
    assert job["priority"] == 100
    changed = alice.send("PATCH", address, {"name": "Smaller", "request": {"recipe": "simulate", "seed": 4}}).json()
    assert (changed["name"], changed["request"]["seed"], changed["request"]["priority"]) == ("Smaller", 4, 0)
    body = {key: value for key, value in NIGHTLY.items() if key != "request"}
    schedule = made(alice, "training/schedules", {**body, "template": row["id"]})
    refused = alice.send("DELETE", address)
    assert refused.status_code == 409
    assert "Nightly" in refused.json()["detail"]
    alice.send("DELETE", f"training/schedules/{schedule['id']}")
    assert alice.send("DELETE", address).status_code == 204


def test_one_job_of_a_template_may_differ(alice, stranger):
    request = {"recipe": "simulate", "config": {"steps": 9, "step_seconds": 0}, "seed": 2}
    address = f"training/templates/{made(alice, 'training/templates', {'name': 'Base', 'request': request})['id']}"
    first = made(alice, f"{address}/start", {"config": {"steps": 4}, "priority": "high", "name": "Short"})
    assert (first["config"]["steps"], first["config"]["step_seconds"]) == (4, 0)
    assert (first["name"], first["priority"], first["seed"], first["schedule"]) == ("Short", 100, 2, None)
    after = made(alice, f"{address}/start", {"after": [first["id"]], "after_failure": "run"})
    assert (after["status"], after["after"], after["config"]["steps"]) == ("pending", [first["id"]], 9)
    assert alice.get(address).json()["request"]["config"]["steps"] == 9, "the template stays as it is"
    theirs = make_job(stranger)
    for wrong, status in [
        ({"config": {"steps": -1}}, 400), ({"recipe": "text-generation"}, 400), ({"after": [theirs.pk]}, 400),
        ({"dataset": 999_999}, 404), ({"dataset": 1, "dataset_version": 1}, 400), ({"priority": "soon"}, 400),
    ]:  # fmt: skip
        assert alice.post_json(f"{address}/start", wrong).status_code == status, wrong


def test_the_request_of_a_job_is_taken_over(alice, owner):
    job = make_job(owner, config={"steps": 7}, seed=3)
    template = made(alice, "training/templates", {"name": "As that one", "job": job.pk})
    body = {key: value for key, value in NIGHTLY.items() if key != "request"}
    schedule = made(alice, "training/schedules", {**body, "job": job.pk})
    for row in (template, schedule):
        assert row["request"]["config"]["steps"] == 7
        assert row["request"]["seed"] == 3


def test_two_templates_of_one_name_are_refused(alice, mallory):
    body = {"name": "Small", "request": {"recipe": "simulate"}}
    made(alice, "training/templates", body)
    assert alice.post_json("training/templates", body).status_code == 409
    made(mallory, "training/templates", body)


def test_a_rule_is_shown_before_it_is_saved(alice):
    answer = alice.post_json("training/schedules/preview", {"rule": DAILY, "zone": "America/New_York"}).json()
    assert answer["words"] == "every day at 02:30, America/New_York"
    assert len(answer["times"]) == 5
    assert not Schedule.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rule": {"kind": "daily", "at": "25:00"}}, "rule.at"),
        ({"rule": {"kind": "cron", "expression": "nonsense"}}, "rule.expression"),
        ({"rule": "daily"}, "rule"),
        ({"zone": "Atlantis"}, "zone"),
        ({"overlap": "both"}, "overlap"),
        ({"name": ""}, "name"),
        ({"request": {"recipe": "unheard-of"}}, "request"),
        ({"request": {"recipe": "simulate", "config": {"steps": -1}}}, "config.steps"),
        ({"template": 1}, "template"),
    ],
)
def test_wrong_input_names_its_field(alice, change, field):
    answer = alice.post_json("training/schedules", NIGHTLY | change)
    assert answer.status_code == 400, answer.content
    assert field in str(answer.json())
    assert not Schedule.objects.exists()


def test_what_belongs_to_someone_else_can_be_neither_used_nor_changed(mallory, world):
    body = {key: value for key, value in NIGHTLY.items() if key != "request"}
    for source in ({"template": world.template.pk}, {"job": world.job.pk},
                   {"request": {"recipe": "text-generation", "dataset": world.dataset.pk}}):  # fmt: skip
        assert mallory.post_json("training/schedules", body | source).status_code == 404, source
    assert mallory.post_json("training/templates", {"name": "x", "job": world.job.pk}).status_code == 404
    assert mallory.post_json(f"training/schedules/{world.schedule.pk}/run").status_code == 404
    assert Schedule.objects.count() == JobTemplate.objects.count() == 1


def test_what_staff_run_belongs_to_the_owner(staff, world):
    job = made(staff, f"training/schedules/{world.schedule.pk}/run", {})
    assert job["owner"] == "alice"


def test_a_list_costs_the_same_for_many(alice, owner, django_assert_max_num_queries):
    for number in range(8):
        made(alice, "training/schedules", NIGHTLY | {"name": f"Nightly {number}"})
    with django_assert_max_num_queries(8):
        alice.get("training/schedules")
