"""An endpoint's key goes to its own address and is nowhere else: in no table, file, page, answer or process."""

from __future__ import annotations

import http.cookiejar
import json
import re
import tempfile
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import psutil
import pytest

from common.paths import run_folder
from tests.chat_server import Reply, serving
from tests.hub.harness import PASSWORD

pytestmark = pytest.mark.hub
KEY = "sk-marker-5f1c0a7e93"


@pytest.fixture(scope="module")
def browse(hub):
    """A signed-in person's way to read a page."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = opener.open(f"{hub.url}/login", timeout=30).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
    sent = {"csrfmiddlewaretoken": token, "username": "admin", "password": PASSWORD}
    opener.open(urllib.request.Request(f"{hub.url}/login", urllib.parse.urlencode(sent).encode(),
                                       {"Referer": f"{hub.url}/login"}), timeout=30)  # fmt: skip
    return lambda address: opener.open(f"{hub.url}{address}", timeout=30).read()


def in_tables(hub) -> list[str]:
    """Tables of which any row, as text, holds the key."""
    names = [name for (name,) in hub.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    return [name for name in names if hub.sql(f"SELECT 1 FROM \"{name}\" AS r WHERE r::text ~ '{KEY}' LIMIT 1")]


def in_files(*folders: Path) -> list[str]:
    found = []
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and KEY.encode() in path.read_bytes():
                    found.append(str(path))
            except FileNotFoundError:
                continue  # gone meanwhile
    return found


def in_processes(hub) -> list[str]:
    found = []
    for process in hub.processes():
        try:
            if KEY in " ".join(process.cmdline()) or KEY in str(process.environ()):
                found.append(process.name())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_a_key_is_nowhere_but_where_it_belongs(hub, browse):
    asked, go_on = threading.Event(), threading.Event()

    def writes(body):
        asked.set()
        go_on.wait(30)
        return f"The keeper counted ship after ship and wrote down {len(str(body))} names by the light of a lamp."

    # One that says the key in its refusal, as some do.
    refusal = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}."}}).encode()
    with serving(writes) as good, serving(lambda body: Reply(401, refusal)) as bad:
        for name, server in (("keyed-writer", good), ("keyed-refuser", bad)):
            wanted = {"name": name, "url": server.url, "model": "m", "key": KEY, "retries": 0}
            made = hub.post("/training/endpoints", wanted)
            assert KEY not in json.dumps(made) + json.dumps(hub.get(f"/training/endpoints/{made['id']}"))
        stories = hub.post("/datasets", {"name": "Keyed stories", "modality": "text"})["id"]
        config = {"generators": "endpoint keyed-writer\nendpoint keyed-refuser", "genres": "Sea", "examples": 5,
                  "shortest": 5, "minimum_quality": 0, "prompts": "Story {number}:"}  # fmt: skip
        job = hub.post("/training/jobs", {"recipe": "generate", "config": config, "save_to": stories})["id"]
        assert asked.wait(60)
        hub.until(lambda: not in_files(hub.home / "jobs"), 10, "the key to be deleted, once the trainer has read it")
        assert in_files(hub.home) == [] and in_processes(hub) == []
        go_on.set()
        hub.wait_job(job)
        # A judge that refuses: the attempt ends badly, its folder stays, and the job waits to be tried again.
        failing = hub.post("/training/jobs", {"recipe": "generate", "config": config | {
            "generators": "endpoint keyed-refuser", "examples": 8}})["id"]  # fmt: skip
        hub.until(lambda: hub.sql("SELECT count(*) FROM jobs_attempt WHERE job_id = %s AND ended_at IS NOT NULL",
                                  failing) != [(0,)], 60, "the attempt to end")  # fmt: skip
        told = json.dumps(hub.get(f"/training/jobs/{failing}/events"))
        hub.post(f"/training/jobs/{failing}/cancel")
        assert good.headers[0]["authorization"] == bad.headers[0]["authorization"] == f"Bearer {KEY}"
    hub.until(lambda: hub.sql("SELECT count(*) FROM jobs_outboxmessage WHERE processed_at IS NULL") == [(0,)], 60,
              "the history")  # fmt: skip

    [(user,)] = hub.sql("SELECT owner_id FROM jobs_job WHERE id = %s", job)
    answers = [told]
    for one in (job, failing):
        for tail in ("", "/events", "/logs", "/examples"):
            answers.append(json.dumps(hub.get(f"/training/jobs/{one}{tail}")))
    for address in ("/training/endpoints", f"/training-history/user/{user}", f"/datasets/{stories}/items"):
        answers.append(json.dumps(hub.get(address)))
    assert "keyed-refuser" in answers[1] and "401" in "".join(answers), "what it answered is told"
    [(endpoint,)] = hub.sql("SELECT id FROM jobs_endpoint WHERE name = 'keyed-writer'")
    [(session,)] = hub.sql("SELECT id FROM history_session WHERE job_id = %s", job)
    pages = [browse(address).decode() for address in (
        f"/jobs/{job}", f"/jobs/{failing}", "/endpoints", f"/endpoints/{endpoint}", f"/history/{session}",
        "/history", "/history?export=csv", f"/datasets/{stories}", "/settings")]  # fmt: skip
    assert "keyed-writer" in pages[2], "signed in"
    assert not [page for page in answers + pages if KEY in page]
    assert in_tables(hub) == [] and in_processes(hub) == []
    temporary = [path for path in Path(tempfile.gettempdir()).glob("trainhub-*") if path.is_dir()]
    assert run_folder(hub.home) in temporary
    assert in_files(hub.home, *temporary) == []
