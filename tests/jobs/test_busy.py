"""One active job for a model, and for a subject and recipe: the others hear which, and where to look."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from common.errors import ConflictError
from datasets.subjects.subjects import create as create_subject
from jobs import conclusion
from jobs.control import cancel, retry
from jobs.creation import create_job
from jobs.models import Job
from jobs.queue import claim
from registry.models import Model
from tests.api.conftest import Api
from tests.jobs.test_state_machine import ENDS


def send_at_once(user, bodies):
    """POST each body over a connection of its own, all at the same moment; the answers."""
    clients = [Api(user) for _ in bodies]
    answers, start = [], threading.Barrier(len(bodies))

    def send(client, body):
        try:
            start.wait()
            answers.append(client.post_json("training/jobs", body))
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=pair) for pair in zip(clients, bodies, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["model", "subject"])
def test_of_many_requests_at_once_one_makes_a_job_and_the_others_hear_which(owner, what):
    thing = (
        Model.objects.create(owner=owner, name="line 4", recipe="simulate")
        if what == "model"
        else create_subject(owner, name="line 4")
    )
    answers = send_at_once(owner, [{"recipe": "simulate", "name": f"try {n}", what: thing.pk} for n in range(12)])
    job = Job.objects.get()
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11
    for answer in answers:
        if answer.status_code == 409:
            problem = answer.json()
            assert (problem["job"], problem["job_status"], problem["see"]) == (job.pk, "queued", f"/jobs/{job.pk}")
            assert f"Job {job.pk} '{job.name}' is queued for the {what} 'line 4'" in problem["detail"]


def test_a_retry_of_a_job_whose_model_is_busy_is_refused_with_what_runs(owner):
    model = Model.objects.create(owner=owner, name="m", recipe="simulate")
    ended = cancel(create_job(owner, recipe="simulate", model=model)[0], owner)
    other = create_job(owner, recipe="simulate", model=model)[0]
    with pytest.raises(ConflictError) as refusal:
        retry(ended, owner)
    assert refusal.value.extra["job"] == other.pk


def test_when_the_subject_is_what_is_busy_it_is_named(owner):
    subject = create_subject(owner, name="line 4")
    model = Model.objects.create(owner=owner, name="m", recipe="simulate")
    create_job(owner, recipe="simulate", subject=subject)
    with pytest.raises(ConflictError, match="is queued for the subject 'line 4'"):
        create_job(owner, recipe="simulate", subject=subject, model=model)


def test_a_model_is_free_again_when_its_job_has_ended(owner, slot, myself):
    model = Model.objects.create(owner=owner, name="m", recipe="simulate")
    for _ in range(2):
        create_job(owner, recipe="simulate", model=model)
        attempt = claim(slot, myself)
        conclusion.conclude(attempt.job_id, attempt.number, ENDS["completed"])
