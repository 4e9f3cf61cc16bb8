"""The automatic trainer on real books: three models write, the best of them is kept, and that trains one more."""

from __future__ import annotations

import json

import pytest

from tests.writers import TINY, begin, recounted, served, version_of

pytestmark = pytest.mark.hub


def test_three_models_write_a_dataset_and_its_fiftieth_example_starts_one_fine_tuning(hub, tmp_path):
    jobs = [begin(hub, genre) for genre in ("Mystery", "Science fiction", "Drama")]
    mystery, science, drama = (version_of(hub, job) for job in jobs)
    stories = hub.post("/datasets", {"name": "Automatic stories", "modality": "text"})["id"]
    tuned = {"recipe": "text-generation", "base_version": mystery, "dataset": stories, "name": "Tuned by itself",
             "config": {name: TINY[name] for name in ("batch_size", "evaluate_every", "evaluation_batches")}
             | {"steps": 10, "sample_every": 0}}  # fmt: skip
    template = hub.post("/training/templates", {"name": "Tune", "request": tuned})["id"]
    with served(hub, drama, tmp_path) as address:
        hub.post("/training/endpoints", {"name": "drama", "url": address, "model": "drama"})
        hub.call("PUT", "/training/automatic", {
            "enabled": True, "dataset": stories, "threshold": 50, "template": template, "examples": 60,
            "generators": f"version {mystery}\nversion {science}\nendpoint drama",
            "genres": "Mystery\nScience fiction\nDrama", "prompts": "Number {number}. {genre}:",
            "minimum_quality": 0,
        })  # fmt: skip
        assert hub.get("/training/automatic")["progress"] == {"examples": 0, "threshold": 50, "enabled": True}
        job = hub.post("/training/automatic/start")["id"]
        hub.wait_job(job)
    found = lambda: hub.sql("SELECT session_id FROM history_session WHERE job_id = %s", job)  # noqa: E731
    hub.until(lambda: len(found()) == 1, 60, "the session")
    hub.until(lambda: len(hub.get("/training/automatic")["fine_tunings"]) == 1, 30, "the fine-tuning")
    settings = hub.get("/training/automatic")
    assert settings["last_error"] == ""

    [(session_id,)] = found()
    hub.until(lambda: hub.get(f"/training-history/session/{session_id}")["fine_tuning_triggered"], 30, "the mark")
    session = hub.get(f"/training-history/session/{session_id}")
    names = {f"version {mystery}": "Mystery teller v1", f"version {science}": "Science fiction teller v1",
             "endpoint drama": "endpoint drama"}  # fmt: skip
    counted = recounted(hub, job, names)
    assert {name: session[name] for name in counted} == counted
    assert counted["examples_successful"] == 60 == sum(counted["genre_distribution"].values())
    assert set(counted["genre_distribution"]) == {"Mystery", "Science fiction", "Drama"} == set(session["genres"])
    assert (session["examples_requested"], session["examples_failed"]) == (60, 0)
    assert (session["examples_before"], session["examples_after"]) == (0, 60)
    assert (session["stored_in_memory"], session["saved_to_database"]) == (False, True)
    assert hub.get(f"/datasets/{stories}")["item_count"] == 60

    [tuning] = settings["fine_tunings"]
    assert settings["progress"] == {"examples": 60 - tuning["examples"], "threshold": 50, "enabled": True}
    assert (tuning["number"], tuning["examples"], tuning["session_id"], tuning["generated_by"]) == (
        1, 50, str(session_id), job,
    )  # fmt: skip
    done = hub.wait_job(tuning["job"])
    assert done["base_version"] == mystery and done["dataset_version"] is not None
    told = json.dumps(hub.get(f"/training/jobs/{tuning['job']}/lineage"))
    assert str(session_id) in told and f'"job": {job}' in told
    assert hub.sql("SELECT count(*) FROM jobs_finetuning") == [(1,)], "the ten after it wait for the next"
    version = version_of(hub, tuning["job"])
    assert hub.sql("SELECT base_version_id FROM registry_modelversion WHERE id = %s", version) == [(mystery,)]
