"""Samples: what a model makes on the way is kept with its job, the latest few of it."""

import base64

import pytest

from common.errors import InvalidInputError, NotFoundError
from jobs import presentation, samples
from jobs.models import Job, JobSample
from jobs.progress import ProgressWriter
from tests.api.conftest import Api
from tests.world import png


@pytest.fixture
def writer(running):
    return ProgressWriter(running.job, running.number)


def picture(step, data=None):
    return {"step": step, "kind": "image", "text": base64.b64encode(png() if data is None else data).decode()}


def test_a_picture_is_kept_beside_the_job(writer, running):
    writer.sample(picture(100))
    writer.flush()
    job = Job.objects.get()
    assert job.sample == "A picture at step 100."
    assert samples.picture(job, 100) == (png(), "image/png")
    with pytest.raises(NotFoundError):
        samples.picture(job, 99)


def test_the_latest_few_are_kept_and_a_step_has_one(writer, running):
    for step in [*range(1, 21), 20]:
        writer.sample({"step": step, "kind": "text", "text": f"at {step}"})
        if step % 7 == 0:
            writer.flush()
    writer.flush()
    assert list(samples.listed(running.job).values_list("step", flat=True)) == list(range(20, 20 - samples.KEPT, -1))


def test_what_was_made_after_the_checkpoint_is_forgotten(writer, running):
    for step in (10, 20, 30):
        writer.sample(picture(step))
    writer.flush()
    writer.rewind(20)
    assert list(JobSample.objects.order_by("step").values_list("step", flat=True)) == [10, 20]


@pytest.mark.parametrize(
    "event",
    [
        {"step": 1, "kind": "image", "text": "not base64!"},
        picture(1, b"<svg onload=alert(1)>"),
        picture(1, png()[:8] + b"x" * samples.MAX_PICTURE),
        {"step": 1, "kind": "image", "text": ""},
    ],
)
def test_a_picture_that_is_none_is_refused_in_words(event):
    with pytest.raises(InvalidInputError) as refused:
        samples.read(event)
    assert refused.value.hint


def test_the_api_lists_them_and_gives_the_picture(writer, running, owner):
    writer.sample(picture(5))
    writer.sample({"step": 9, "kind": "text", "text": "Once"})
    writer.flush()
    api = Api(running.job.owner)
    listed = api.get(f"training/jobs/{running.job_id}/samples").json()["results"]
    address = f"/api/v1/training/jobs/{running.job_id}/samples/5"
    assert [(row["step"], row["kind"], row["text"], row["picture"]) for row in listed] == [
        (9, "text", "Once", None), (5, "image", "", address),
    ]  # fmt: skip
    answer = api.get(f"training/jobs/{running.job_id}/samples/5")
    assert (answer.content, answer.headers["Content-Type"]) == (png(), "image/png")
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert api.get(f"training/jobs/{running.job_id}/samples/9").status_code == 404


def test_the_share_of_waiting_stays_with_the_figures(writer, running):
    event = {"step": 1, "time": 1.0, "metrics": {"validation/loss": 1.0, "run/waiting_share": 0.34}}
    writer.evaluation(event)
    writer.figures({"system/cpu_percent": 50.0})
    writer.flush()
    job = Job.objects.get()
    assert ("Waiting for data", "34 %") in presentation.device_figures(job)
    assert presentation.slow_data(job).startswith("For 34 % of the time")
    job.recipe = "image-classification"
    assert "less 'Augmentation'" in presentation.slow_data(job) and "a smaller 'Image size'" in presentation.slow_data(
        job
    )
    job.figures["run/waiting_share"] = 0.05
    assert presentation.slow_data(job) == ""
