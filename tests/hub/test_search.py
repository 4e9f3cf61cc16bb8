"""A search on a running hub: trials beside each other on its slots, the best one a version that can be tried."""

from __future__ import annotations

import pytest

from tests.hub.harness import digits

pytestmark = pytest.mark.hub


def test_a_search_of_real_runs_ends_with_a_version_of_its_best(hub):
    dataset = hub.dataset("Digits to search", "image", digits(12))
    body = {
        "recipe": "image-classification", "dataset": dataset["id"], "trials": 3, "at_once": 2,
        "config": {"epochs": 2, "width": 8, "depth": 2},
        "space": {"learning_rate": {"low": 0.0005, "high": 0.01, "log": True}},
        "validation_fraction": 0.3,
    }  # fmt: skip
    search = hub.post("/training/searches", body)
    address = f"/training/searches/{search['id']}"
    hub.until(lambda: hub.get(address)["status"] != "running", 120, "the search")
    search = hub.get(address)
    assert search["status"] == "completed", search
    trials = hub.get(f"{address}/trials")["results"]
    assert [trial["state"] for trial in trials] == ["completed"] * 3
    assert len({trial["params"]["learning_rate"] for trial in trials}) == 3
    best = max(trials, key=lambda trial: trial["value"])
    assert search["best"]["number"] == best["number"] or search["best"]["value"] == best["value"]
    version = hub.get(f"/versions/{search['version']}")
    assert version["metrics"]["validation/accuracy"] == search["best"]["value"]
    jobs = [hub.job(trial["job"]) for trial in trials]
    assert sorted(bool(job["model_version"]) for job in jobs) == [False, False, True]
