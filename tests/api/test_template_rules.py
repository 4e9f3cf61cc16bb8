"""Rules of templates on the API."""

SIMULATE = {"recipe": "simulate", "config": {"steps": 7}, "seed": 5, "name": "Small"}


def test_the_api_tells_the_rules_and_keeps_them(alice):
    body = {"name": "Ruled", "request": SIMULATE, "required": ["seed"], "locked": ["config.steps"]}
    made = alice.post_json("training/templates", body)
    assert made.status_code == 201, made.content
    assert (made.json()["required"], made.json()["locked"]) == (["seed"], ["config.steps"])
    address = f"training/templates/{made.json()['id']}"
    refused = alice.post_json(f"{address}/start", {"config": {"steps": 8}})
    assert refused.status_code == 400 and set(refused.json()["errors"]) == {"seed", "config.steps"}
    started = alice.post_json(f"{address}/start", {"seed": 1, "preemptible": True, "max_seconds": 90})
    assert started.status_code == 201, started.content
    job = started.json()
    assert (job["seed"], job["config"]["steps"], job["preemptible"], job["max_seconds"]) == (1, 7, True, 90)
    wrong = alice.send("PATCH", address, {"locked": ["config.nope"]})
    assert wrong.status_code == 400 and "locked" in wrong.json()["errors"]
    changed = alice.send("PATCH", address, {"required": [], "locked": ["seed"]}).json()
    assert (changed["required"], changed["locked"]) == ([], ["seed"])
