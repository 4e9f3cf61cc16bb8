"""An adapter that was trained is merged by a worker that is killed meanwhile: another ends it, and the model is the
same."""

from __future__ import annotations

import json
import os
import signal

import psutil
import pytest

from tests.hub.harness import alive
from tests.hub.test_killed_work import take_for_dead
from tests.recipes.language_models import make_llama
from tests.recipes.specs.text_fine_tuning import SMALL, pairs

pytestmark = pytest.mark.hub

PROMPTS = {
    "inputs": ["Anna has 3 apples.", "Anna has 8 apples."],
    "parameters": {"temperature": 0, "max_new_tokens": 8},
}


def at_work(hub, name):
    return [process for process in hub.processes() if process.name().startswith(name)]


def trained_adapter(hub):
    """A dataset, and the version that a job made of it by LoRA on the model folder 'llama'."""
    make_llama(hub.home / "models" / "llama")
    data = hub.post("/datasets", {"name": "Apples, to be merged", "modality": "text"})["id"]
    hub.upload(data, {"pairs.jsonl": "\n".join(map(json.dumps, pairs(40))).encode()})
    hub.until(lambda: hub.get(f"/datasets/{data}")["status"] == "active", 60, "the import")
    config = SMALL | {"base_model": "llama", "sample_every": 0}
    job = hub.post("/training/jobs", {"recipe": "text-generation", "dataset": data, "config": config})["id"]
    return data, hub.wait_job(job)["model_version"]


def test_a_merge_whose_worker_is_killed_is_ended_by_another_and_answers_as_the_adapter_does(hub):
    data, adapter = trained_adapter(hub)
    said = hub.post(f"/versions/{adapter}/predict", PROMPTS)["outputs"]

    made = hub.post(f"/versions/{adapter}/merge")["id"]
    [(row,)] = hub.sql("SELECT id FROM registry_merge WHERE version_id = %s", made)
    assert hub.post(f"/versions/{adapter}/merge")["id"] == made, "asked again it is the same"
    hub.until(lambda: at_work(hub, "merge-model"), 60, "the engine to merge")
    workers, models = at_work(hub, f"merge {row}"), at_work(hub, "merge-model")
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    assert workers and models and not psutil.wait_procs(models, timeout=10)[1], "the model's process dies with it"
    assert not any(map(alive, workers))
    assert hub.get(f"/versions/{made}")["status"] == "processing" and not hub.get(f"/versions/{made}")["files"]
    take_for_dead(hub, "registry_merge", row)
    hub.until(lambda: hub.get(f"/versions/{made}")["status"] != "processing", 120, "another worker to merge")

    version = hub.get(f"/versions/{made}")
    assert (version["status"], version["merge"]["status"], version["base_version"]) == ("ready", "completed", adapter)
    assert "model.safetensors" in {file["name"] for file in version["files"]}
    assert hub.sql("SELECT attempt FROM registry_merge WHERE id = %s", row)[0][0] >= 2
    hub.until(lambda: not list((hub.home / "merges").iterdir()), 30, "what the killed one left to be removed")
    (hub.home / "models" / "llama").rename(hub.home / "models" / "away")
    assert hub.post(f"/versions/{made}/predict", PROMPTS)["outputs"] == said, "without the base"
    more = {"recipe": "text-generation", "dataset": data, "config": SMALL | {"steps": 3}, "base_version": made}
    assert hub.wait_job(hub.post("/training/jobs", more)["id"])["status"] == "completed"
    (hub.home / "models" / "away").rename(hub.home / "models" / "llama")
