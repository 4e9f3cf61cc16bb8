"""The whole loop by the API alone, from an empty hub, with nothing but Python's standard library.

    python closing_the_loop.py http://127.0.0.1:8000 --username admin --password …
    python closing_the_loop.py http://127.0.0.1:8000 --token th_… --steady

Trains a classifier on rows of a sensor, promotes it, and asks it in earnest, sending the truth afterwards. Then what is
true changes. The hub notices and raises an alert, a training waits for approval, the new version is compared with the
one in use and tested against it on live requests, and takes its place when the test is sure. With --steady nothing
changes, and nothing must happen. Whoever runs it must be allowed to approve: an administrator, or one of the Approvers.
Exits with 1 and the reason when a step goes wrong.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

ROWS = 2000  # that the first version learns from
STEADY = 400  # rows that it is asked about before anything changes
PATIENCE = 1000  # rows after the change within which the hub must have noticed
LEARNED = 2000  # rows after the change that are told before somebody approves
BATCH = 25
# A row is "open" while the sum of its first two readings lies below a limit, which moves: the concepts of SEA
# (Street and Kim, 2001). One reading says nothing, and one truth in twenty is wrong.
BEFORE, AFTER, NOISE = 9.0, 5.0, 0.05


class Hub:
    """The few lines that a client of the API needs."""

    def __init__(self, base: str, token: str = "") -> None:
        self.base = base.rstrip("/") + "/api/v1/"
        self.token = token

    def get(self, path: str, **query: object) -> dict:
        return self._send("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path: str, body: dict | None = None) -> dict:
        return self._send("POST", path, json.dumps(body or {}).encode())

    def put(self, path: str, body: dict) -> dict:
        return self._send("PUT", path, json.dumps(body).encode())

    def upload(self, path: str, name: str, data: bytes) -> dict:
        """One file, as the multipart field `files`."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self._send("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def _send(self, method: str, path: str, data: bytes | None = None, kind: str = "application/json") -> dict:
        request = urllib.request.Request(self.base + path, data, {"Content-Type": kind}, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = json.load(error)  # every error says what happened and what to do next
            raise SystemExit(f"{method} {path}: {problem['detail']} {problem['hint']}") from None


class Sensor:
    """What the model is asked about, and what is true of it."""

    def __init__(self) -> None:
        self.luck = random.Random(7)
        self.limit = BEFORE

    def row(self) -> tuple[dict, str]:
        readings = {name: round(self.luck.uniform(0, 10), 2) for name in ("pressure", "flow", "humidity")}
        is_open = readings["pressure"] + readings["flow"] <= self.limit
        if self.luck.random() < NOISE:
            is_open = not is_open
        return readings, "open" if is_open else "closed"

    def sheet(self, count: int) -> bytes:
        out = io.StringIO()
        rows = csv.writer(out)
        rows.writerow(["pressure", "flow", "humidity", "valve"])
        for readings, truth in (self.row() for _ in range(count)):
            rows.writerow([*readings.values(), truth])
        return out.getvalue().encode()


class Stream:
    """Asks the model in earnest, and tells it the truth afterwards."""

    def __init__(self, hub: Hub, model: int, sensor: Sensor) -> None:
        self.hub, self.model, self.sensor = hub, model, sensor
        self.rows = 0

    def flow(self, count: int, one_by_one: bool = False) -> float:
        """So many rows; the share that was answered rightly. One by one, each row has a key of its own."""
        right = done = 0
        waiting: list[dict] = []
        while done < count:
            size = 1 if one_by_one else min(BATCH, count - done)
            rows = [self.sensor.row() for _ in range(size)]
            asked = {"inputs": [[readings for readings, _ in rows]], "key": f"valve {self.rows}"}
            answer = self.hub.post(f"models/{self.model}/predict", asked)
            ids, given = answer["row_predictions"][0], answer["outputs"][0]["rows"]
            for key, said, (_, truth) in zip(ids, given, rows, strict=True):
                right += said["label"] == truth
                waiting.append({"prediction": key, "truth": truth})
            done += size
            self.rows += size
            if len(waiting) >= 100 or done >= count:
                told = self.hub.post("predictions/outcomes", {"outcomes": waiting})
                if told["refused"]:
                    raise SystemExit(f"The truth was refused: {told['results'][0]}")
                waiting = []
        return right / count


def wait(what: str, look: object, done: object, seconds: float = 300) -> dict:
    """Look again and again until it is done, and say how far it is."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        state = look()  # type: ignore[operator]
        word = f"{what}: {state['status']}" + (f" {state['progress']} %" if "progress" in state else "")
        if state.get("waiting_for"):
            word += f". {state['waiting_for']}"
        if word != said:
            print(word, flush=True)
            said = word
        if done(state):  # type: ignore[operator]
            return state
        time.sleep(0.3)
    raise SystemExit(f"{what} took longer than {seconds:.0f} s.")


def first_version(hub: Hub, sensor: Sensor) -> dict:
    """Train one and make it the champion."""
    name = f"Valves {uuid.uuid4().hex[:6]}"  # each run has data and a model of its own
    dataset = hub.post("datasets", {"name": name, "modality": "table"})["id"]
    hub.upload(f"datasets/{dataset}/files", "readings.csv", sensor.sheet(ROWS))
    wait("Import", lambda: hub.get(f"datasets/{dataset}"), lambda d: d["status"] in {"active", "failed"})
    job = hub.post(
        "training/jobs",
        {"recipe": "table-baseline", "dataset": dataset, "name": name, "config": {"target": "valve"}},
    )["id"]
    job = wait("Training", lambda: hub.get(f"training/jobs/{job}"), lambda j: j["completed_at"] is not None, 1800)
    if job["status"] != "completed":
        raise SystemExit(f"The job {job['status']}: {job['failure']}")
    version = hub.get(f"versions/{job['model_version']}")
    hub.post(f"versions/{version['id']}/promote", {"reason": "The first one."})
    print(f"Version {version['id']} of model {version['model']} is the champion.")
    return version


def settle(hub: Hub, model: int) -> None:
    """What is kept of predictions, what is looked at, and what happens then."""
    hub.put(f"models/{model}/logging", {"keep": "full", "share": 1.0, "days": 30})
    hub.put(f"models/{model}/drift-monitor", {"enabled": True, "about": ["errors"], "streams": True})
    hub.put(f"models/{model}/retraining-policy", {
        "enabled": True, "drift_errors": True, "cooldown_hours": 0, "approvals_start": 1,
        "collect": True, "window": "items", "window_count": 1,  # what was told since, as one table
        "after": "ab", "approvals_promotion": 0,
    })  # fmt: skip
    hub.post(f"models/{model}/deploy", {"alias": "champion", "replicas": 1})


def alerts(hub: Hub, model: int) -> list[dict]:
    return [alert for alert in hub.get("performance/alerts/active")["results"] if alert["model"] == model]


def until_noticed(hub: Hub, stream: Stream) -> tuple[dict, int]:
    """Ask on until the hub raises an alert; with how many rows it took."""
    for rows in range(100, PATIENCE + 1, 100):
        share = stream.flow(100)
        print(f"{rows} rows after the change: {share:.0%} of the last 100 right", flush=True)
        deadline = time.monotonic() + 25  # the hub looks about every ten seconds
        while rows >= 200 and time.monotonic() < deadline:
            if found := alerts(hub, stream.model):
                return found[0], rows
            time.sleep(0.5)
    raise SystemExit(f"Nothing was noticed within {PATIENCE} rows.")


def until_followed(hub: Hub, model: int, count: int) -> None:
    """Until the hub has looked at each outcome, which it does when it is half a minute old, and each check of what it
    saw has ended."""

    def followed() -> dict:
        rows = hub.get(f"models/{model}/drift-monitor")["followed"]
        return {"status": f"{sum(row['count'] for row in rows if row['about'] == 'errors'):,} outcomes"}

    def checks() -> dict:
        found = (hub.get("performance/drift/checks", model=model, status=one) for one in ("queued", "running"))
        return {"status": f"{sum(page['count'] for page in found)} open"}

    wait("Followed", followed, lambda state: state["status"] == f"{count:,} outcomes", 180)
    wait("Checks", checks, lambda state: state["status"] == "0 open")


def retraining(hub: Hub, model: int) -> dict:
    found = hub.get("performance/retrainings", model=model)["results"]
    return found[0] if found else {"status": "none yet", "id": None}


def compare(hub: Hub, stream: Stream, experiment: int) -> dict:
    """Ask on, row by row, until the test is sure."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        stream.flow(50, one_by_one=True)
        found = hub.get(f"performance/ab-test/{experiment}/results")
        if found["status"] != "running":
            return found
    raise SystemExit("The test came to no verdict.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--token", default=os.environ.get("TRAINHUB_TOKEN", ""))
    parser.add_argument("--username", default="admin")
    parser.add_argument("--password", default=os.environ.get("TRAINHUB_ADMIN_PASSWORD", ""))
    parser.add_argument("--steady", action="store_true", help="nothing changes, and nothing must happen")
    given = parser.parse_args()

    hub = Hub(given.base, given.token)
    if not hub.token:
        hub.token = hub.post("auth/token", {"username": given.username, "password": given.password})["token"]
    sensor = Sensor()
    champion = first_version(hub, sensor)
    model = champion["model"]
    settle(hub, model)
    stream = Stream(hub, model, sensor)
    before = stream.flow(STEADY)
    print(f"In use: {before:.0%} of {STEADY} rows right.")
    if given.steady:
        stream.flow(PATIENCE)
        until_followed(hub, model, STEADY + PATIENCE)
        moved = hub.get("performance/drift/checks", model=model, moved="true")["count"]  # what the others come of
        if moved or alerts(hub, model) or retraining(hub, model)["id"]:
            raise SystemExit("Something was noticed although nothing had changed.")
        print("Nothing has changed, and nothing happened.")
        return

    sensor.limit = AFTER
    alert, rows = until_noticed(hub, stream)
    print(f"Alert after {rows} rows: {alert['title']} {alert['words']}")
    row = wait("Retraining", lambda: retraining(hub, model), lambda r: r["status"] == "awaiting_approval")
    worse = stream.flow(max(100, LEARNED - rows))
    print(f"Meanwhile {worse:.0%} right. Approving.")
    hub.post(f"performance/retrainings/{row['id']}/approve", {"reason": "The valves were set anew."})
    ends = {"promoted", "kept", "failed", "challenger", "expired"}
    row = wait(
        "Retraining",
        lambda: hub.get(f"performance/retrainings/{row['id']}"),
        lambda r: r["status"] in {"testing", *ends},
    )
    if row["status"] != "testing":
        raise SystemExit(f"Not tested: {row['message']} {row['hint']}")
    print(f"The challenger beside the champion: {row['report']['verdict']}. {row['report']['words']}")
    verdict = compare(hub, stream, row["experiment"])
    print(f"The test: {verdict['words']}")
    row = wait("Retraining", lambda: hub.get(f"performance/retrainings/{row['id']}"), lambda r: r["status"] in ends)
    if row["status"] != "promoted":
        raise SystemExit(f"Not promoted: {row['message']} {row['hint']}")
    after = stream.flow(STEADY)
    print(f"Promoted: {after:.0%} of {STEADY} rows right, as before the change: {before:.0%}.")
    for event in row["events"]:
        print(f"  {event['at'][:19]} {event['kind']}: {event['message']}")
    if after < before - 0.05:
        raise SystemExit("The new version is not as good as the first one was.")


if __name__ == "__main__":
    sys.exit(main())
