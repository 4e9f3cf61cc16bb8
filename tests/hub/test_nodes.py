"""A second node joins with one command; drained, stopped and started it loses no job and no step."""

import os
import signal
import subprocess
import sys

import pytest

from common.paths import PROJECT

pytestmark = pytest.mark.hub
SECOND = "second"


@pytest.fixture
def join(hub):
    """Starts another node of this hub; ended at the end of the test."""
    started = []

    def start(**environment):
        process = subprocess.Popen(
            [sys.executable, "manage.py", "node"], cwd=PROJECT, stdin=subprocess.DEVNULL,
            env=hub.environment | {"TRAINHUB_NODE": SECOND} | environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


def node(hub, name=SECOND):
    return next((row for row in hub.get("/training/nodes")["results"] if row["name"] == name), None)


def simulate(hub, name, **wanted):
    config = {"steps": wanted.pop("steps", 40), "step_seconds": 0.05}
    return hub.post("/training/jobs", {"recipe": "simulate", "name": name, "config": config, **wanted})["id"]


def events(hub, job):
    return [row["kind"] for row in hub.get(f"/training/jobs/{job}/events")["results"]]


def test_a_job_that_asks_for_a_label_waits_for_the_node_that_has_it(hub, join):
    job = simulate(hub, "labelled", resources={"labels": ["fast-disk"]}, steps=3)
    assert (
        hub.job(job)["waiting_for"] == "Needs a device on a node labelled fast-disk: no node that is running has that."
    )
    join(TRAINHUB_LABELS="fast-disk")
    hub.wait_job(job)
    where = hub.sql("SELECT n.name FROM jobs_attempt a JOIN jobs_slot s ON s.id = a.slot_id "
                    "JOIN jobs_node n ON n.id = s.node_id WHERE a.job_id = %s", job)  # fmt: skip
    assert where == [(SECOND,)]


def test_a_node_that_stops_hands_its_job_over_without_losing_a_step(hub, join):
    process = join(TRAINHUB_LABELS="fast-disk")
    hub.until(lambda: (node(hub) or {}).get("is_up", False), 20, "the second node")
    job = simulate(hub, "handed over", resources={"labels": ["fast-disk"]}, steps=60)
    hub.wait_step(job, 10)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    stopped = hub.job(job)
    assert (stopped["status"], stopped["failure"]) == ("queued", None)
    step = stopped["current_step"]
    assert step >= 10
    assert node(hub)["state"] == "stopped"
    join(TRAINHUB_LABELS="fast-disk")
    hub.wait_job(job)
    first = hub.sql("SELECT first_step FROM jobs_attempt WHERE job_id = %s ORDER BY number", job)
    assert first[1] == (step,)
    assert "failed" not in events(hub, job)


def test_a_second_manager_of_the_same_name_is_refused_in_words(hub, join):
    process = join(TRAINHUB_NODE="test")
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "A node called 'test' is already running here" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["a/b", "", "x" * 101, "näme"])
def test_a_name_that_could_not_stand_in_an_address_is_refused(name):
    from common.errors import InvalidInputError
    from jobs.node import check_name

    with pytest.raises(InvalidInputError, match="can't be a node's name"):
        check_name(name)


def test_a_machine_with_another_home_is_refused_in_words(hub, join, tmp_path):
    from common.embedded_postgres import EmbeddedPostgres

    url = EmbeddedPostgres(hub.home).url
    process = join(TRAINHUB_HOME=str(tmp_path), DATABASE_URL=url)
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "No hub was ever started in TRAINHUB_HOME" in text
    assert os.listdir(tmp_path) == [], "nothing is written into a folder that is none of ours"
    for name in ("home_id", "secret_key"):  # the home of some other hub
        (tmp_path / name).write_text("x" * 60)
    process = join(TRAINHUB_HOME=str(tmp_path), DATABASE_URL=url)
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "is not the hub's home" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("wrong", [("user=trainhub", "user=nobody-known"), ("/trainhub?", "/no-such-database?")])
def test_a_database_that_knows_neither_user_nor_name_ends_the_node_with_the_setting_named(hub, join, wrong):
    """It was 'the database is away', for ever."""
    from common.embedded_postgres import EmbeddedPostgres

    process = join(DATABASE_URL=EmbeddedPostgres(hub.home).url.replace(*wrong))
    text, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "does not exist" in text and "in DATABASE_URL" in text
    assert "Traceback" not in text
