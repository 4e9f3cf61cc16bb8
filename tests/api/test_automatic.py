"""Automatic training through the API: settings, progress, and a run that is started from them."""

import pytest

from datasets.creation import create_dataset
from datasets.subjects.subjects import create as create_subject
from jobs import tasks
from jobs.models import AutomaticTraining, FineTuning, Job
from tests.generating import keep, make_generating
from tests.world import make_version

PATH = "training/automatic"


@pytest.fixture
def stories(owner):
    return create_dataset(owner, name="Stories", modality="text")[0]


@pytest.fixture
def writer(owner):
    return f"version {make_version(owner).pk}"


def test_defaults_are_told_and_nothing_is_stored(alice):
    told = alice.get(PATH).json()
    assert (told["enabled"], told["threshold"], told["recipe"], told["judge"]) == (
        False,
        50,
        "text-generation",
        "measures",
    )
    assert told["progress"] == {"examples": 0, "threshold": 50, "enabled": False} and told["fine_tunings"] == []
    assert not AutomaticTraining.objects.exists()


def test_settings_are_kept_changed_in_part_and_are_one_s_own(alice, mallory, stories, writer):
    told = alice.send("PUT", PATH, {"enabled": True, "dataset": stories.pk, "threshold": 3, "generators": writer})
    assert told.status_code == 200, told.content
    assert told.json()["dataset"] == stories.pk
    told = alice.send("PUT", PATH, {"genres": "Sea: 2\nLand"}).json()
    assert (told["threshold"], told["genres"], told["enabled"]) == (3, "Sea: 2\nLand", True)
    assert AutomaticTraining.objects.count() == 1
    assert mallory.get(PATH).json()["dataset"] is None
    assert mallory.send("PUT", PATH, {"dataset": stories.pk}).status_code == 404
    assert mallory.send("PUT", PATH, {"generators": writer}).status_code == 400


def test_progress_and_what_was_started_are_told(alice, owner, stories):
    alice.send("PUT", PATH, {"enabled": True, "dataset": stories.pk, "threshold": 3})
    maker = make_generating(owner, stories)
    keep(maker, 2)
    assert alice.get(PATH).json()["progress"] == {"examples": 2, "threshold": 3, "enabled": True}
    keep(maker, 2)
    tasks.start_fine_tuning(AutomaticTraining.objects.get().pk)
    told = alice.get(PATH).json()
    assert told["progress"]["examples"] == 1
    (one,) = told["fine_tunings"]
    made = FineTuning.objects.get()
    assert (one["number"], one["job"], one["examples"], one["generated_by"]) == (1, made.job_id, 3, maker.pk)
    assert one["session_id"] == str(made.session_id)
    (trigger,) = [
        node
        for node in alice.get(f"training/jobs/{made.job_id}/lineage").json()["comes_from"]
        if node["kind"] == "trigger"
    ]
    assert (trigger["job"], trigger["session_id"], trigger["examples"]) == (maker.pk, str(made.session_id), 3)
    led_to = alice.get(f"training/jobs/{maker.pk}/lineage").json()["led_to"]
    assert [(node["kind"], node["id"]) for node in led_to] == [("job", made.job_id)]


def test_a_subject_has_settings_of_its_own(alice, mallory, owner, stories):
    subject = create_subject(owner, name="Anna")
    other = create_subject(owner, name="Ben")
    about, _ = create_dataset(owner, name="About Ben", modality="text", subject=other)
    assert alice.send("PUT", PATH, {"subject": subject.pk, "threshold": 7}).json()["subject"] == subject.pk
    assert alice.get(f"{PATH}?subject={subject.pk}").json()["threshold"] == 7
    assert alice.get(PATH).json()["threshold"] == 50
    refused = alice.send("PUT", PATH, {"subject": subject.pk, "dataset": about.pk})
    assert refused.status_code == 400 and "dataset" in refused.json()["errors"]
    assert alice.send("PUT", PATH, {"subject": subject.pk, "dataset": stories.pk}).status_code == 200
    refused = alice.send("PUT", PATH, {"dataset": stories.pk})
    assert refused.status_code == 400 and "Each example counts once" in str(refused.json()["errors"]["dataset"])
    for method, path, body in (
        ("GET", f"{PATH}?subject={subject.pk}", None),
        ("PUT", PATH, {"subject": subject.pk, "threshold": 1}),
        ("POST", f"{PATH}/start", {"subject": subject.pk}),
    ):
        assert mallory.send(method, path, body).status_code == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0), ("threshold", "many"), ("threshold", 10**9), ("examples", 0), ("minimum_quality", 11),
        ("genres", "Sea: -1"), ("prompts", "{secret}"), ("generators", "endpoint missing"), ("judge", "nobody"),
        ("recipe", "image-classification"), ("recipe", "none-such"), ("enabled", "perhaps"), ("tell_by_mail", True),
        ("colour", "red"),
    ],
)  # fmt: skip
def test_what_can_t_be_used_is_refused_at_its_field(alice, field, value):
    answer = alice.send("PUT", PATH, {field: value})
    assert answer.status_code == 400 and field in answer.json()["errors"], answer.content
    assert not AutomaticTraining.objects.exists()


@pytest.mark.parametrize("field", ["dataset", "template", "base_version", "subject"])
def test_what_is_not_there_answers_404(alice, field):
    assert alice.send("PUT", PATH, {field: 999_999}).status_code == 404


def test_pictures_are_no_texts(alice, owner):
    pictures, _ = create_dataset(owner, name="Pictures", modality="image")
    answer = alice.send("PUT", PATH, {"dataset": pictures.pk})
    assert answer.status_code == 400 and "no texts" in str(answer.json()["errors"]["dataset"])


def test_a_run_is_started_from_the_settings_and_once_for_a_key(alice, stories, writer):
    assert "generators" in alice.post_json(f"{PATH}/start").json()["errors"]
    alice.send("PUT", PATH, {"dataset": stories.pk, "generators": writer, "examples": 4, "genres": "Sea"})
    first = alice.post_json(f"{PATH}/start", headers={"Idempotency-Key": "one"})
    assert first.status_code == 201, first.content
    again = alice.post_json(f"{PATH}/start", headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    job = Job.objects.get()
    assert (job.recipe, job.save_to, job.config["examples"], job.config["genres"]) == ("generate", stories, 4, "Sea")


def test_new_settings_let_what_was_refused_be_tried_again(alice, owner, stories):
    alice.send("PUT", PATH, {"enabled": True, "dataset": stories.pk, "threshold": 3})
    rule = AutomaticTraining.objects.get()
    AutomaticTraining.objects.update(last_error="Once refused.", refused_after=10**9)
    keep(make_generating(owner, stories), 3)
    assert tasks.start_fine_tuning(rule.pk) == 0
    assert alice.get(PATH).json()["last_error"] == "Once refused."
    assert alice.send("PUT", PATH, {"threshold": 2}).json()["last_error"] == ""
    assert tasks.start_fine_tuning(rule.pk) == 1
