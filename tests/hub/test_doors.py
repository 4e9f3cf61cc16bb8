"""The web process against what a browser would never send, and while the database is away."""

import json
import socket
import time
import urllib.error
import urllib.request

import psutil
import pytest

from common.embedded_postgres import EmbeddedPostgres

pytestmark = pytest.mark.hub
TEN_GIB = 10 * 2**30


def send(hub, head, body=b""):
    """Send raw bytes; the status of the answer, its body, and the seconds that it took."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", hub.port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
            data += piece
        connection.settimeout(0.3)
        try:
            while piece := connection.recv(65536):
                data += piece
        except TimeoutError:
            pass
    return int(data.split()[1]), data.partition(b"\r\n\r\n")[2], time.monotonic() - started


def head(hub, path, *lines, method="POST"):
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{hub.port}", *lines, "", ""])


FORM = "Content-Type: multipart/form-data; boundary=x"


def test_ten_gigabytes_are_refused_before_they_are_sent(hub):
    web = next(process for process in hub.processes() if "uvicorn" in " ".join(process.cmdline()))
    before = web.memory_info().rss
    for path in ("/api/v1/datasets/1/files", "/datasets/1/files", "/login"):
        status, _, seconds = send(hub, head(hub, path, FORM, f"Content-Length: {TEN_GIB}"))
        assert (status, seconds < 2) == (401, True)
    token = f"Authorization: Bearer {hub.token}"
    status, body, seconds = send(hub, head(hub, "/api/v1/datasets/1/files", FORM, token, f"Content-Length: {TEN_GIB}"))
    assert (status, seconds < 2) == (413, True)
    assert json.loads(body)["hint"]
    status, _, _ = send(
        hub, head(hub, "/api/v1/training/jobs", "Content-Type: application/json", f"Content-Length: {TEN_GIB}")
    )
    assert status == 413
    assert psutil.Process(web.pid).memory_info().rss - before < 50 * 2**20


@pytest.mark.parametrize("name", ["evil.test", "127.0.0.1.evil.test"])
def test_another_host_name_is_not_served(hub, name):
    for path in ("/login", "/stream/job/1"):
        request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n"
        assert send(hub, request)[0] == 400


def test_streams_refuse_strangers_and_nonsense(hub):
    job = hub.post("/training/jobs", {"recipe": "simulate", "config": {"steps": 2, "step_seconds": 0.01}})["id"]
    for path in (f"/stream/job/{job}", f"/api/v1/training/jobs/{job}/stream"):
        assert send(hub, head(hub, path, method="GET"))[0] == 401
        assert send(hub, head(hub, path, "Authorization: Bearer nonsense", method="GET"))[0] == 401
        assert send(hub, head(hub, path, f"Authorization: Bearer {hub.token}"))[0] == 405
    token = f"Authorization: Bearer {hub.token}"
    assert send(hub, head(hub, "/stream/job/999999", token, method="GET"))[0] == 404
    assert send(hub, head(hub, "/stream/nothing/1", token, method="GET"))[0] == 404
    assert send(hub, head(hub, "/stream/job/x", token, method="GET"))[0] == 404


def test_a_stranger_hears_nothing_of_anothers_job(hub):
    job = hub.post("/training/jobs", {"recipe": "simulate", "config": {"steps": 2, "step_seconds": 0.01}})["id"]
    make = "from django.contrib.auth import get_user_model as m; from accounts.tokens import create; "
    make += "print(create(m().objects.create_user('mallory', '', 'correct horse battery'), 'x')[1])"
    token = hub.manage("shell", "-v", "0", "-c", make).split()[-1]
    for path in (f"/stream/job/{job}", f"/api/v1/training/jobs/{job}/stream", f"/api/v1/training/jobs/{job}"):
        assert send(hub, head(hub, path, f"Authorization: Bearer {token}", method="GET"))[0] == 404


def test_while_the_database_is_away_every_door_says_so_at_once_and_opens_again_by_itself(hub):
    EmbeddedPostgres(hub.home).stop("immediate")
    said = set()
    deadline = time.monotonic() + 20
    session = {"Cookie": f"sessionid_{hub.port}={'x' * 32}", "Authorization": f"Bearer {hub.token}"}
    while time.monotonic() < deadline:
        for path in ("/login", "/", "/jobs", "/api/v1/training/active", "/healthz"):
            started = time.monotonic()
            try:
                hub_request = urllib.request.Request(hub.url + path, headers=session)
                with urllib.request.urlopen(hub_request, timeout=10) as answer:
                    said.add(answer.status)
            except urllib.error.HTTPError as error:
                said.add(error.code)
                assert b"Traceback" not in error.read()
            assert time.monotonic() - started < 4
        if hub.healthy():
            break
    assert said <= {200, 503}
    hub.until(hub.healthy, 20, "the hub to be back")
    assert hub.get("/training/active") is not None
