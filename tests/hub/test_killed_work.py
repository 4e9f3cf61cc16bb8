"""Whoever kills a background worker in the middle of a check or a rendering: another ends it, and nothing is twice."""

from __future__ import annotations

import json
import os
import signal
import time

import psutil
import pytest

from tests.datasets.planted import paragraphs

pytestmark = pytest.mark.hub

TEXTS, ROWS = 3_000, 40_000
TEMPLATE = {"prompt": "Machine {{ id }} runs at {{ speed|round }} rpm.", "completion": "{{ state|upper }}"}


def kill_worker(hub):
    """SIGKILL to what is at work: a background worker, or the process of a long check, which uses the processor."""
    named = [process for process in hub.processes() if process.name().startswith(("q:background", "check "))]
    before = {process: sum(process.cpu_times()[:2]) for process in named}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        time.sleep(0.05)
        used = {process: sum(process.cpu_times()[:2]) - before[process] for process in named}
        busiest = max(used, key=used.__getitem__)
        if used[busiest] > 0.1:
            os.kill(busiest.pid, signal.SIGKILL)
            psutil.wait_procs([busiest], timeout=10)
            return
    raise AssertionError("no background worker is at work")


def take_for_dead(hub, table, row):
    """As when a minute has passed without a heartbeat."""
    [(status, attempt)] = hub.sql(f"SELECT status, attempt FROM {table} WHERE id = %s", row)
    assert (status, attempt) == ("running", 1)
    long_ago = "now() - interval '61 seconds'"
    hub.sql(f"UPDATE {table} SET heartbeat_at = {long_ago}, created_at = {long_ago} WHERE id = %s", row)


def made_of(hub, name, modality, files):
    """A dataset that is not checked by itself."""
    made = hub.post("/datasets", {"name": name, "modality": modality})["id"]
    hub.call("PATCH", f"/datasets/{made}/quality", {"by_itself": False})
    if files:
        hub.upload(made, files)
        hub.until(lambda: hub.get(f"/datasets/{made}")["status"] == "active", 60, "the import")
    return made


def test_a_check_whose_worker_is_killed_is_ended_by_another_and_measures_each_item_once(hub):
    rows = [{"text": f"{number}. {text}"} for number, (text, _) in enumerate(paragraphs()[:TEXTS])]
    rows += [{"text": row["text"].upper()} for row in rows[:40]]
    content = "\n".join(map(json.dumps, rows)).encode()
    dataset = made_of(hub, "Documentation, checked under fire", "text", {"rows.jsonl": content})
    address, ours = f"/datasets/{dataset}/quality", "sha256 IN (SELECT sha256 FROM datasets_item WHERE dataset_id = %s)"
    known = f"SELECT count(*), count(DISTINCT sha256) FROM datasets_fingerprint WHERE {ours}"

    run = hub.post(address)["id"]
    hub.until(lambda: hub.sql(known, dataset)[0][0] >= 500, 60, "some items to be measured")
    kill_worker(hub)
    measured = hub.sql(known, dataset)[0][0]
    assert 500 <= measured < len(rows) and hub.get(address)["run"]["status"] == "running"
    take_for_dead(hub, "datasets_qualityrun", run)
    hub.until(lambda: hub.get(address)["run"]["status"] == "completed", 90, "another worker to end the check")

    report = hub.get(address)
    assert hub.sql("SELECT attempt FROM datasets_qualityrun WHERE id = %s", run) == [(2,)]
    assert report["run"]["id"] == run and report["run"]["done"] == report["run"]["total"]
    assert report["run"]["summary"]["measured"] == len(rows) - measured, "what the dead one measured is kept"
    assert hub.sql(known, dataset) == [(len(rows), len(rows))]
    assert sum(report["histogram"]) == len(rows)
    findings = "SELECT item_id, code, reason FROM datasets_finding WHERE dataset_id = %s ORDER BY 1, 2, 3"
    found = hub.sql(findings, dataset)
    assert len(found) == len(set(found)) and sum(code == "duplicate" for _, code, _ in found) == 40

    again = hub.post(address)["id"]
    hub.until(lambda: hub.get(address)["run"]["status"] == "completed", 90, "the next check")
    assert hub.get(address)["run"]["id"] == again
    assert hub.get(address)["run"]["summary"]["measured"] == 0
    assert hub.sql(findings, dataset) == found, "an undisturbed check says the same"


def test_a_rendering_whose_worker_is_killed_is_ended_by_another_and_makes_each_pair_once(hub):
    lines = [f"M{number},{1000 + number % 977}.25,{'idle' if number % 3 else 'busy'}" for number in range(ROWS)]
    table = "\n".join(["id,speed,state", *lines]).encode()
    sheet = made_of(hub, "Machines, rendered under fire", "table", {"machines.csv": table})
    target = made_of(hub, "Pairs made under fire", "text", {})
    template = hub.post("/templates", {"name": "Machines under fire", **TEMPLATE})["id"]

    made = hub.post(f"/datasets/{sheet}/render", {"template": template, "target": target})["id"]
    address = f"/renderings/{made}"
    hub.until(lambda: hub.get(address)["done"] >= 2000, 60, "some rows to be rendered")
    kill_worker(hub)
    half = hub.get(address)
    assert half["status"] == "running" and 2000 <= half["done"] < ROWS
    assert half["done"] == half["made"] == hub.get(f"/datasets/{target}")["item_count"]
    take_for_dead(hub, "datasets_rendering", made)
    hub.until(lambda: hub.get(address)["finished_at"], 90, "another worker to end the rendering")

    done = hub.get(address)
    assert (done["status"], done["done"], done["made"], done["failed"]) == ("completed", ROWS, ROWS, 0)
    assert hub.sql("SELECT attempt FROM datasets_rendering WHERE id = %s", made) == [(2,)]
    said = hub.sql(
        "SELECT (origin->>'row')::int, content->>'prompt', content->>'completion' FROM datasets_item "
        "WHERE dataset_id = %s ORDER BY 1",
        target,
    )
    assert said == [
        (number, f"Machine M{number} runs at {1000 + number % 977} rpm.", "IDLE" if number % 3 else "BUSY")
        for number in range(ROWS)
    ]
    assert hub.get(f"/datasets/{target}")["item_count"] == ROWS
