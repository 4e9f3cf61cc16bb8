"""A newcomer's whole path by the API alone, with nothing but Python's standard library.

    python first_job.py http://127.0.0.1:8000 --username admin --password …
    python first_job.py http://127.0.0.1:8000 --token th_…

Signs in, draws pictures of two classes, uploads them as one zip, trains on them, watches the run, reads its
loss curve, has the new model version name a picture, and finds the run in the history. Exits with 1 and the
reason when a step goes wrong.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zipfile
import zlib

SIZE = 16
PER_CLASS = 40
CLASSES = ("circle", "cross")


class Hub:
    """The few lines that a client of the API needs."""

    def __init__(self, base: str, token: str = "") -> None:
        self.base = base.rstrip("/") + "/api/v1/"
        self.token = token

    def get(self, path: str, **query: object) -> dict:
        return self._send("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path: str, body: dict | None = None, **headers: str) -> dict:
        data = json.dumps(body or {}).encode()
        return self._send("POST", path, data, {"Content-Type": "application/json", **headers})

    def upload(self, path: str, name: str, data: bytes) -> dict:
        """One file, as the multipart field `files`."""
        boundary = uuid.uuid4().hex
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + data + f"\r\n--{boundary}--\r\n".encode()
        return self._send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def _send(self, method: str, path: str, data: bytes | None = None, headers: dict | None = None) -> dict:
        request = urllib.request.Request(self.base + path, data, headers or {}, method=method)
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = json.load(error)  # every error says what happened and what to do next
            raise SystemExit(f"{method} {path}: {problem['detail']} {problem['hint']}") from None


def picture(kind: str, luck: random.Random) -> bytes:
    """A small grey picture of a circle or a cross, a little different each time, as a PNG file."""
    centre = [SIZE / 2 + luck.uniform(-2, 2) for _ in range(2)]
    radius = luck.uniform(3.5, 6)

    def shade(x: int, y: int) -> int:
        dx, dy = x - centre[0], y - centre[1]
        distance = (dx * dx + dy * dy) ** 0.5
        on_line = abs(distance - radius) < 1 if kind == "circle" else min(abs(dx), abs(dy)) < 1 and distance < radius
        return min(255, max(0, (220 if on_line else 30) + luck.randint(-20, 20)))

    rows = b"".join(b"\0" + bytes(shade(x, y) for x in range(SIZE)) for y in range(SIZE))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def archive(luck: random.Random) -> bytes:
    """A zip with a folder for each class; the folder's name becomes the label."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for kind in CLASSES:
            for number in range(PER_CLASS):
                file.writestr(f"{kind}/{number:03}.png", picture(kind, luck))
    return packed.getvalue()


def wait(what: str, look: object, done: object, seconds: float = 600) -> dict:
    """Look again and again until it is done, and say how far it is."""
    deadline, said = time.monotonic() + seconds, ""
    while time.monotonic() < deadline:
        state = look()  # type: ignore[operator]
        word = f"{what}: {state['status']}" + (f" {state['progress']} %" if "progress" in state else "")
        if word != said:
            print(word, flush=True)
            said = word
        if done(state):  # type: ignore[operator]
            return state
        time.sleep(0.3)
    raise SystemExit(f"{what} took longer than {seconds:.0f} s.")


def make_dataset(hub: Hub, luck: random.Random) -> dict:
    name = f"Shapes {uuid.uuid4().hex[:6]}"
    dataset = hub.post("datasets", {"name": name, "modality": "image"})
    hub.upload(f"datasets/{dataset['id']}/files", "shapes.zip", archive(luck))
    dataset = wait(
        "Import", lambda: hub.get(f"datasets/{dataset['id']}"), lambda d: d["status"] in {"active", "failed"}
    )
    print(f"Dataset {dataset['id']} holds {dataset['item_count']} pictures.")
    return dataset


def train(hub: Hub, dataset: dict) -> dict:
    wanted = {
        "recipe": "image-classification",
        "dataset": dataset["id"],
        "name": dataset["name"],
        "config": {"epochs": 24, "augmentation": "none"},
        "validation_fraction": 0.2,
    }
    # Sent twice by a broken connection, the key makes it one job all the same.
    job = hub.post("training/jobs", wanted, **{"Idempotency-Key": uuid.uuid4().hex})
    ended = {"completed", "failed", "cancelled"}
    job = wait(f"Job {job['id']}", lambda: hub.get(f"training/jobs/{job['id']}"), lambda j: j["status"] in ended)
    if job["status"] != "completed":
        raise SystemExit(f"The job {job['status']}: {job['failure']}")
    return job


def find_session(hub: Hub, job: dict) -> dict:
    """The history is written a moment after the job's end."""
    me = hub.get("auth/me")
    for _ in range(100):
        for session in hub.get(f"training-history/user/{me['id']}")["results"]:
            if session["job"] == job["id"]:
                return session
        time.sleep(0.3)
    raise SystemExit("The run is not in the history.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--token", default=os.environ.get("TRAINHUB_TOKEN", ""))
    parser.add_argument("--username", default="admin")
    parser.add_argument("--password", default=os.environ.get("TRAINHUB_ADMIN_PASSWORD", ""))
    given = parser.parse_args()

    hub = Hub(given.base, given.token)
    if not hub.token:
        hub.token = hub.post("auth/token", {"username": given.username, "password": given.password})["token"]
    luck = random.Random(0)

    job = train(hub, make_dataset(hub, luck))
    loss = hub.get(f"training/jobs/{job['id']}/metrics", name="train/loss")
    first, last = loss["points"][0], loss["points"][-1]
    print(f"Loss fell from {first['value']:.3f} to {last['value']:.3f} over {loss['total_points']} steps.")
    print(f"Metrics: {job['metrics']}")

    path = f"versions/{job['model_version']}/predict"
    for kind in CLASSES:
        answer = hub.upload(path, "new.png", picture(kind, luck))
        print(f"A {kind} is taken for: {answer['outputs'][0]['label']} ({answer['latency_ms']} ms)")
        if answer["outputs"][0]["label"] != kind:
            raise SystemExit("The model did not learn it.")

    session = find_session(hub, job)
    print(f"Session {session['session_id']}: {session['outcome']} in {session['total_seconds']:.1f} s.")


if __name__ == "__main__":
    sys.exit(main())
