"""The form and the page of a run that generates."""

import time

import pytest

from datasets.creation import create_dataset
from jobs.creation import create_job
from jobs.endpoints import verbs as endpoints
from jobs.models import Job
from jobs.presentation import question_of_many
from jobs.progress import ProgressWriter
from tests.world import make_dataset, make_version, run

GENERATE = "/jobs/new?recipe=generate"


@pytest.fixture
def page(client, owner):
    client.force_login(owner)
    return client


@pytest.fixture
def endpoint(owner):
    return endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="tiny")


def test_the_form_offers_who_can_write_and_where_examples_can_go(page, owner, stranger, endpoint):
    mine, theirs = make_version(owner, "Tales"), make_version(stranger, "Hidden")
    make_version(owner, "Photos", recipe="image-classification")
    create_dataset(owner, name="Stories", modality="text")
    create_dataset(owner, name="Sounds", modality="audio")
    text = page.get(GENERATE).content.decode()
    assert f"version {mine.pk}</code>" in text and "endpoint mine</code>" in text
    assert f"version {theirs.pk}" not in text and "Photos" not in text
    assert ">Stories</option>" in text and ">Sounds</option>" not in text
    assert "save_to" not in page.get("/jobs/new?recipe=simulate").content.decode()


def test_the_form_is_its_own_though_there_are_data_to_train_on(page, owner):
    make_dataset(owner, "Fables")
    assert 'id="recipe-generate" checked' in page.get(GENERATE).content.decode()
    assert 'id="recipe-generate" checked' not in page.get("/jobs/new").content.decode()


def test_a_run_is_started_by_the_form_and_a_wrong_name_is_marked(page, owner, endpoint):
    target, _ = create_dataset(owner, name="Stories", modality="text")
    form = {"recipe": "generate", "settings_of": "generate", "config.generators": "endpoint mine", "seed": "0",
            "config.examples": "20", "config.genres": "Sea\nLand: 2", "save_to": str(target.pk)}  # fmt: skip
    answer = page.post("/jobs/new", form | {"config.generators": "endpoint nobody"})
    assert answer.status_code == 400
    assert "There is no &#x27;endpoint nobody&#x27; for you." in answer.content.decode()
    text = page.post("/jobs/new", form | {"config.genres": "a\na"}).content.decode()
    assert 'id="config.genres-error"' in text and "Each may stand in one line only." in text
    assert page.post("/jobs/new", form).status_code == 302
    job = Job.objects.get()
    assert (job.save_to, job.config["examples"], job.config["genres"]) == (target, 20, "Sea\nLand: 2")


def test_the_page_shows_what_is_made(page, owner, endpoint):
    target, _ = create_dataset(owner, name="Stories", modality="text")
    wanted = {"generators": "endpoint mine", "examples": 10, "genres": "Sea\nLand"}
    job, _ = create_job(owner, recipe="generate", config=wanted, save_to=target)
    assert "None was good enough so far." in page.get(f"/jobs/{job.pk}").content.decode()
    attempt = run(job)
    writer = ProgressWriter(attempt.job, attempt.number)
    for step in range(1, 5):
        one = {"generator": "endpoint mine", "text": f"<b>tale {step}</b>", "score": 7.5, "reasons": [], "error": "",
               "seconds": 0.1}  # fmt: skip
        kept = step != 4
        writer.example({"step": step, "genre": "Sea" if step < 3 else "Land", "prompt": "p", "kept": kept,
                        "winner": "endpoint mine", "reason": "" if kept else "Low.", "candidates": [one]})  # fmt: skip
        writer.step({"step": step, "epoch": 0.1, "time": time.time(), "metrics": {"generate/kept": step}, "rate": 1.0})
    writer.set(phase="training")
    writer.flush()
    text = page.get(f"/jobs/{job.pk}").content.decode()
    assert '<b data-testid="kept">3</b> of 10' in text and "Mean quality <b>7.5</b> of 10" in text
    assert "&lt;b&gt;tale 3&lt;/b&gt;" in text and "<b>tale" not in text and "tale 4" not in text
    assert "Training loss" not in text
    assert "Mean of the kept" in text and "Generating" in text
    assert "Kept by genre" in text and f'/datasets/{target.pk}">Stories</a>' in text
    assert "No figures yet." not in text and "4 of 10 examples are made." in text


def test_the_question_before_a_cancel_says_what_becomes_of_the_examples(page, owner, endpoint):
    target, _ = create_dataset(owner, name="Stories", modality="text")
    wanted = {"generators": "endpoint mine", "examples": 10}
    saved, _ = create_job(owner, recipe="generate", config=wanted, save_to=target)
    alone, _ = create_job(owner, recipe="generate", name="Alone", config=wanted)
    assert "made nothing yet" in page.get(f"/jobs/{alone.pk}/cancel").content.decode()
    Job.objects.update(current_step=4, total_steps=10)
    text = page.get(f"/jobs/{saved.pk}/cancel").content.decode()
    assert "4 of 10 examples" in text and "go to &#x27;Stories&#x27;" in text
    assert "checkpoint" not in text and "model version" not in text and "train" not in text.partition("<dialog")[2]
    assert "stay with the run" in page.get(f"/jobs/{alone.pk}/cancel").content.decode()
    lines = question_of_many(list(Job.objects.order_by("pk")))["lines"]
    assert "go to 'Stories'" in lines[0] and "stay with it" in lines[1]


def test_examples_are_given_by_the_api_to_their_owner_alone(client, owner, stranger, endpoint):
    job, _ = create_job(owner, recipe="generate", config={"generators": "endpoint mine"})
    attempt = run(job)
    writer = ProgressWriter(attempt.job, attempt.number)
    one = {"generator": "endpoint mine", "text": "t", "score": 9.0, "reasons": ["r"], "error": "", "seconds": 0.1}
    writer.example({"step": 1, "genre": "Sea", "prompt": "p", "kept": True, "winner": "endpoint mine", "reason": "",
                    "candidates": [one]})  # fmt: skip
    writer.flush()
    client.force_login(owner)
    found = client.get(f"/api/v1/training/jobs/{job.pk}/examples").json()["results"]
    assert [(row["step"], row["winner"], row["score"], row["candidates"]) for row in found] == [
        (1, "endpoint mine", 9.0, [one])
    ]
    client.force_login(stranger)
    assert client.get(f"/api/v1/training/jobs/{job.pk}/examples").status_code == 404
