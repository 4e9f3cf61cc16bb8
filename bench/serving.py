"""Predictions by the API beside the same model called in this process, how many a second, and what a kill costs."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from bench.report import line
from common.paths import run_folder
from engine.serving.client import status
from tests.hub.harness import Hub, digits, manual_text

TURNS = 150
THREADS = 4
SECONDS = 8.0
KILL_EVERY = 1.0

Case = tuple[str, str, dict[str, bytes], dict[str, Any], Callable[[], Any], dict[str, Any]]


def main() -> None:
    print("\n## Serving", flush=True)
    hub = Hub()
    try:
        hub.start()
        versions = {recipe: _deployed(hub, *case) for recipe, case in CASES.items()}
        for recipe, version in versions.items():
            _added(hub, recipe, version)
        for recipe in ("table-baseline", "text-classification"):
            _rate(hub, recipe, versions[recipe])
        _kills(hub, versions["table-baseline"])
    finally:
        hub.stop()


class Client:
    """One kept connection to the hub."""

    def __init__(self, hub: Hub) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {hub.token}", "Content-Type": "application/json"}

    def ask(self, version: int, given: Any, parameters: dict[str, Any]) -> tuple[int, Any]:
        body = json.dumps({"inputs": [given], "parameters": parameters})
        self.connection.request("POST", f"/api/v1/versions/{version}/predict", body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def _rows() -> bytes:
    dice = random.Random(0)
    rows = [(dice.random() * 10, dice.randrange(9)) for _ in range(300)]
    return "\n".join(["a,b,kind", *(f"{a:.3f},{b},{'high' if a > 5 else 'low'}" for a, b in rows)]).encode()


def _texts() -> dict[str, bytes]:
    found = {}
    for number, (name, text) in enumerate(sorted(manual_text(60).items())):
        found[f"{'early' if number < 30 else 'late'}/{name}"] = text[:2000]
    return found


def _series() -> bytes:
    values = [f"2024-01-{1 + n // 24:02d}T{n % 24:02d}:00:00,{(n % 24) + (n % 7) * 0.1:.2f}" for n in range(28 * 24)]
    return "\n".join(["time,value", *values]).encode()


# Recipe → modality, files, settings, an input as the API takes it, parameters.
CASES: dict[str, Any] = {
    "table-baseline": ("table", {"rows.csv": _rows()}, {"target": "kind", "rounds": 20}, [{"a": 7.1, "b": 3}], {}),
    "text-classification": ("text", _texts(), {"epochs": 2}, "The statement is executed in a new frame.", {}),
    "image-classification": ("image", digits(12), {"epochs": 2}, None, {}),
    "text-generation": (
        "text", manual_text(10),
        {"layers": 2, "heads": 2, "width": 64, "block_size": 64, "steps": 20, "sample_every": 0},
        "The ", {"max_new_tokens": 8, "seed": 1},
    ),
    "forecast": ("table", {"series.csv": _series()}, {}, [], {}),
}  # fmt: skip


def _input(recipe: str) -> Any:
    if recipe != "image-classification":
        return CASES[recipe][3]
    import base64

    return base64.b64encode(next(iter(digits(1).values()))).decode()


def _deployed(hub: Hub, modality: str, files: dict[str, bytes], config: Any, given: Any, parameters: Any) -> int:
    recipe = next(name for name, case in CASES.items() if case[1] is files)
    dataset = hub.dataset(recipe, modality, files)["id"]
    job = hub.post("/training/jobs", {"recipe": recipe, "dataset": dataset, "config": config})["id"]
    version = hub.wait_job(job, seconds=300)["model_version"]
    made = hub.post(f"/versions/{version}/deploy", {"replicas": 1})["id"]
    hub.until(lambda: hub.get(f"/deployments/{made}")["ready_replicas"] == 1, 60, f"{recipe} to be loaded")
    return version


def _added(hub: Hub, recipe: str, version: int) -> None:
    """The two ways take turns, so that what else the machine does falls on both."""
    import torch

    from engine.serve import inputs_of, load_predictor

    torch.set_num_threads(1)
    predictor = load_predictor(Path(hub.home) / "artifacts" / str(version), recipe, {})
    given, parameters = _input(recipe), CASES[recipe][4]
    raw: Any = given
    if recipe == "image-classification":
        import base64

        raw = base64.b64decode(given)
    elif isinstance(given, list):
        (raw,) = inputs_of({"inputs": [json.dumps(given)]}, [], takes_rows=True)
    client = Client(hub)
    direct, asked = [], []
    for turn in range(TURNS):
        began = time.perf_counter()
        predictor.predict([raw], parameters)
        between = time.perf_counter()
        code, _ = client.ask(version, given, parameters)
        assert code == 200
        if turn > 20:
            direct.append(between - began)
            asked.append(time.perf_counter() - between)
    one, two = statistics.median(direct) * 1000, statistics.median(asked) * 1000
    line(f"{recipe}: added by the API to a call in process, p50", f"{two - one:.1f} ms ({one:.1f} → {two:.1f})", "5 ms")
    # What the least disturbed tenth took says more on a busy machine.
    few, many = statistics.quantiles(direct, n=10)[0] * 1000, statistics.quantiles(asked, n=10)[0] * 1000
    line("… in the least disturbed tenth", f"{many - few:.1f} ms ({few:.1f} → {many:.1f})")


def _rate(hub: Hub, recipe: str, version: int) -> None:
    given, until, taken = _input(recipe), time.monotonic() + SECONDS, []

    def ask(_: int) -> int:
        client, count = Client(hub), 0
        while time.monotonic() < until:
            began = time.perf_counter()
            code, _answer = client.ask(version, given, {})
            taken.append(time.perf_counter() - began)
            count += code == 200
        return count

    before = _spent(hub)
    with ThreadPoolExecutor(THREADS) as pool:
        count = sum(pool.map(ask, range(THREADS)))
    spent = {name: (seconds - before.get(name, 0.0)) * 1000 / count for name, seconds in _spent(hub).items()}
    p95 = sorted(taken)[int(len(taken) * 0.95)] * 1000
    line(f"{recipe}: requests a second, {THREADS} clients", f"{count / SECONDS:.0f} (p95 {p95:.0f} ms)", "200")
    parts = ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items())
    line(f"{recipe}: CPU of a request, ms", f"{sum(spent.values()):.1f} ({parts})")


def _spent(hub: Hub) -> dict[str, float]:
    """Seconds of CPU that the hub's processes have taken so far, by what they are."""
    found: dict[str, float] = {"web": 0.0, "database": 0.0, "models": 0.0}
    for process in {one.pid: one for top in hub.processes() for one in (top, *top.children(recursive=True))}.values():
        try:
            name, command, times = process.name(), " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        kind = "web" if "uvicorn" in command else "database" if "postgres" in name else None
        kind = "models" if name in ("model-server", "trainhub-model") else kind
        if kind:
            found[kind] += times.user + times.system
    return found


def _kills(hub: Hub, version: int) -> None:
    """kill -9 of a replica once a second, then of the model server itself, under load."""
    hub.post(f"/versions/{version}/deploy", {"replicas": 2})
    path = run_folder(hub.home) / "models.sock"
    rows = ([{"a": 1.0, "b": 1}], [{"a": 9.0, "b": 1}])
    over, seen = threading.Event(), Counter[str]()
    moments: list[float] = []

    def ask(number: int) -> None:
        client = Client(hub)
        while not over.is_set():
            code, answer = client.ask(version, rows[number % 2], {})
            right = code == 200 and answer["outputs"][0]["rows"][0]["label"] == ("low", "high")[number % 2]
            seen["right" if right else "wrong" if code == 200 else str(code)] += 1
            if right:
                moments.append(time.monotonic())

    restarts = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for number in range(THREADS):
            pool.submit(ask, number)
        for _ in range(int(SECONDS / KILL_EVERY)):
            time.sleep(KILL_EVERY)
            mine = next(one for one in status(path)["models"] if one["key"] == f"version-{version}")
            os.kill(mine["replicas"][0]["pid"], signal.SIGKILL)
            restarts = mine["restarts"] + 1
        time.sleep(KILL_EVERY)
        os.kill(status(path)["pid"], signal.SIGKILL)
        killed = time.monotonic()
        time.sleep(6)
        over.set()
    back = next((at - killed for at in moments if at > killed + 0.05), float("nan"))
    line("kill -9 under load: right answers", str(seen["right"]))
    line("… wrong answers", str(seen["wrong"]), "0")
    line("… answers 503", str(seen["503"]))
    line("… other refusals", str(sum(count for code, count in seen.items() if code.isdigit() and code != "503")), "0")
    line("… replicas killed, each started again", str(restarts))
    line("… until it answers again after the model server was killed", f"{back:.1f} s", "5 s")
