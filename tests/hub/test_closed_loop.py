"""The loop closes by itself: a change is noticed, learned, tested on live requests, and the model is good again.

The documented example does all of it by the API; what it says is looked up in the database afterwards.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from common.paths import PROJECT
from tests.hub.harness import PASSWORD

pytestmark = pytest.mark.hub
SCRIPT = PROJECT / "docs" / "examples" / "closing_the_loop.py"


def looping(hub, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT), hub.url, "--username", "admin", "--password", PASSWORD, *more]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_where_nothing_changes_nothing_happens(hub):
    """All of it was looked at, outcome by outcome, and neither an alert nor a training came of it."""
    assert "Nothing has changed, and nothing happened." in looping(hub, "--steady").stdout
    [(model, followed)] = hub.sql(
        "SELECT model_id, count FROM performance_driftstream JOIN registry_modelversion AS version"
        " ON version.id = version_id WHERE about = 'errors' ORDER BY version.id DESC LIMIT 1"
    )
    assert followed == 1400
    for rows in ("alert WHERE", "retraining WHERE", "driftcheck WHERE moved AND"):
        assert hub.sql(f"SELECT count(*) FROM performance_{rows} model_id = %s", model) == [(0,)], rows


def test_a_change_is_noticed_learned_tested_and_put_right(hub):
    looping(hub)
    [(retraining, model, job, challenger, experiment, check)] = hub.sql(
        "SELECT id, model_id, job_id, challenger_id, experiment_id, evidence->>'check' FROM performance_retraining"
        " WHERE status = 'promoted' ORDER BY id DESC LIMIT 1"
    )
    assert hub.sql("SELECT moved FROM performance_driftcheck WHERE id = %s", int(check)) == [(True,)]
    [(alert,)] = hub.sql("SELECT evidence::text FROM performance_alert WHERE model_id = %s", model)
    assert f'"check": {check}' in alert
    # One job, one version, one verdict, and the name went to it once, each with its evidence.
    assert hub.sql("SELECT count(*) FROM jobs_job WHERE model_id = %s AND id <> %s", model, job) == [(0,)]
    assert hub.get(f"/versions/{challenger}")["job"] == job
    [(verdict, winner)] = hub.sql(
        "SELECT verdict, version_id FROM performance_experiment AS test JOIN registry_routearm AS arm"
        " ON winner_id = arm.id WHERE test.id = %s",
        experiment,
    )
    assert (verdict, winner) == ("better", challenger)
    changes = hub.sql(
        "SELECT alias, kind, after_id, evidence::text FROM registry_aliaschange WHERE model_id = %s ORDER BY id", model
    )
    assert [(alias, kind) for alias, kind, _, _ in changes if alias == "champion"] == [("champion", "promoted")] * 2
    assert changes[-1][2] == challenger and f'"retraining": {retraining}' in changes[-1][3]
    lineage = hub.get(f"/training/jobs/{job}/lineage")
    assert f"'id': {retraining}" in str(lineage), "the job's lineage names what started it"
    hub.manage("audit", "verify")
    verbs = {verb for (verb,) in hub.sql("SELECT verb FROM accounts_auditentry WHERE object_id <> ''")}
    assert {"promoted", "deployed", "experiment started"} <= verbs
