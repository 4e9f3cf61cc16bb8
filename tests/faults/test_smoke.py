"""A short campaign: about twenty faults of more than ten kinds on a real hub. `make faults` runs the long one."""

import json
import random
import subprocess
import sys

import pytest

from common.paths import PROJECT
from faults.campaign import Plan
from faults.kinds import KINDS

pytestmark = pytest.mark.hub


def test_nothing_is_lost_in_a_short_campaign(tmp_path):
    seed = random.SystemRandom().randrange(1, 10**6)
    report, log = tmp_path / "report.json", tmp_path / "faults.jsonl"
    command = [sys.executable, "-m", "faults", "--smoke", "--seed", str(seed), "--report", report, "--log", log]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=400)
    assert done.returncode == 0, f"seed {seed}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    result = json.loads(report.read_text())
    assert result["violations"] == [] and result["late"] == []
    struck = [record for record in result["records"] if not record["skipped"]]
    assert len(struck) >= 18 and len({record["kind"] for record in struck}) >= 8
    assert all(record["recovered"] for record in struck)
    assert result["samples"] > 100
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["kind"] for record in logged] == [record["kind"] for record in result["records"]]


def test_the_seed_alone_decides_the_order():
    counts = {name: kind.smoke for name, kind in KINDS.items() if kind.smoke}
    orders = [[record.seed for group in Plan(seed, counts).order() for record in group] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert len(orders[0]) == sum(counts.values())


def test_the_long_campaign_has_the_trials_that_its_claims_need():
    headline = [
        "trainer-killed", "supervisor-killed", "cluster-killed", "supervisor-frozen", "database-restarted",
        "checkpoint-damaged", "answer-lost", "disk-full",
    ]  # fmt: skip
    assert all(KINDS[name].long >= 30 for name in headline)
    assert sum(kind.long for kind in KINDS.values()) >= 300
