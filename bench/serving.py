"""Predictions by the API beside the same model called in this process, how many a second, and what a kill costs."""

from __future__ import annotations

import base64
import http.client
import json
import os
import random
import shutil
import signal
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from bench.report import line
from common.paths import run_folder
from engine.serve import inputs_of, load_predictor
from engine.serving.client import status
from tests.engine.cast import FileLine
from tests.hub.harness import Hub, digits, manual_text
from tests.recipes.clips import film, films, moving, recordings, tone, wav
from tests.recipes.pipelines import make_pipeline

TURNS = 150
THREADS = 4
SECONDS = 8.0
KILL_EVERY = 1.0


@dataclass(frozen=True)
class Case:
    """A small model of a recipe, what it is asked, and with which parameters. Bytes travel in base64."""

    modality: str
    files: Callable[[], dict[str, bytes]]
    config: dict[str, Any]
    given: Any
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def sent(self) -> Any:
        """The input as the API takes it."""
        return base64.b64encode(self.given).decode() if isinstance(self.given, bytes) else self.given

    @property
    def held(self) -> Any:
        """The input as a predictor in this process takes it."""
        if not isinstance(self.given, list):
            return self.given
        (rows,) = inputs_of({"inputs": [json.dumps(self.given)]}, [], takes_rows=True)
        return rows


def main() -> None:
    print("\n## Serving", flush=True)
    bases = Path(tempfile.mkdtemp(prefix="thbench-bases-"))
    make_pipeline(bases / "pipeline")
    hub = Hub(TRAINHUB_MODEL_FOLDERS=str(bases))
    try:
        hub.start()
        versions = {recipe: _deployed(hub, recipe) for recipe in CASES}
        for recipe, version in versions.items():
            _added(hub, recipe, version)
        for recipe in ("table-baseline", "text-classification"):
            _rate(hub, recipe, versions[recipe])
        _kills(hub, versions["table-baseline"])
    finally:
        hub.stop()
        shutil.rmtree(bases)


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


def _sensors() -> bytes:
    dice = random.Random(0)
    minutes = [datetime(2024, 1, 1) + timedelta(minutes=n) for n in range(4000)]
    return "\n".join(["time,heat", *(f"{at.isoformat()},{dice.gauss(20, 1):.3f}" for at in minutes)]).encode()


def _captioned() -> dict[str, bytes]:
    return {f"{number}.png": data for number, data in enumerate(digits(1).values())}


def _by_class(lines: list[FileLine]) -> dict[str, bytes]:
    return {name: data for name, _, _, data in lines}


NETWORK = {"layers": 2, "heads": 2, "width": 64, "block_size": 64, "steps": 20, "sample_every": 0}
CASES = {
    "table-baseline": Case(
        "table", lambda: {"rows.csv": _rows()}, {"target": "kind", "rounds": 20}, [{"a": 7.1, "b": 3}]
    ),
    "text-classification": Case("text", _texts, {"epochs": 2}, "The statement is executed in a new frame."),
    "image-classification": Case("image", lambda: digits(12), {"epochs": 2}, next(iter(digits(1).values()))),
    "audio-classification": Case(
        "audio", lambda: _by_class(recordings(12)), {"epochs": 2}, wav(tone(rising=True, number=99))
    ),
    "video-classification": Case(
        "video", lambda: _by_class(films(8)), {"epochs": 2, "width": 8, "image_size": 32},
        film(moving(right=True, number=99)),
    ),
    "forecast": Case("table", lambda: {"series.csv": _series()}, {}, []),
    "anomaly": Case(
        "table", lambda: {"sensors.csv": _sensors()}, {"trees": 20}, [{"time": "2024-01-09T00:00:00", "heat": 27.5}]
    ),
    "text-generation": Case("text", lambda: manual_text(10), NETWORK, "The ", {"max_new_tokens": 8, "seed": 1}),
    "image-generation": Case(
        "image", _captioned, {"base_model": "pipeline", "prompt": "a sks digit", "resolution": 16, "steps": 4,
        "sample_every": 1000}, "a sks digit", {"steps": 2, "seed": 1},
    ),
}  # fmt: skip


def _deployed(hub: Hub, recipe: str) -> int:
    case = CASES[recipe]
    dataset = hub.dataset(recipe, case.modality, case.files())["id"]
    job = hub.post("/training/jobs", {"recipe": recipe, "dataset": dataset, "config": case.config})["id"]
    version = hub.wait_job(job, seconds=300)["model_version"]
    made = hub.post(f"/versions/{version}/deploy", {"replicas": 1})["id"]
    hub.until(lambda: hub.get(f"/deployments/{made}")["ready_replicas"] == 1, 60, f"{recipe} to be loaded")
    return version


def _added(hub: Hub, recipe: str, version: int) -> None:
    """The two ways take turns, so that what else the machine does falls on both."""
    import torch

    torch.set_num_threads(1)
    predictor = load_predictor(Path(hub.home) / "artifacts" / str(version), recipe, {})
    case, client = CASES[recipe], Client(hub)
    held, sent = case.held, case.sent
    direct, asked = [], []
    for turn in range(TURNS):
        began = time.perf_counter()
        predictor.predict([held], case.parameters)
        between = time.perf_counter()
        code, answer = client.ask(version, sent, case.parameters)
        assert code == 200, answer
        if turn > 20:
            direct.append(between - began)
            asked.append(time.perf_counter() - between)
    one, two = statistics.median(direct) * 1000, statistics.median(asked) * 1000
    line(f"{recipe}: added by the API to a call in process, p50", f"{two - one:.1f} ms ({one:.1f} → {two:.1f})", "5 ms")
    # What the least disturbed tenth took says more on a busy machine.
    few, many = statistics.quantiles(direct, n=10)[0] * 1000, statistics.quantiles(asked, n=10)[0] * 1000
    line("… in the least disturbed tenth", f"{many - few:.1f} ms ({few:.1f} → {many:.1f})")


def _rate(hub: Hub, recipe: str, version: int) -> None:
    given, until, taken = CASES[recipe].sent, time.monotonic() + SECONDS, []

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
