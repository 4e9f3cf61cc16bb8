"""Imports at scale: many small pictures and a long table, beside a bare read of the same files; pages meanwhile.

python -m bench imports: 20,000 pictures and 500,000 rows, or TRAINHUB_BENCH_PICTURES and TRAINHUB_BENCH_ROWS of them.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import tempfile
import threading
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from bench.report import line, spread
from tests.hub.harness import Hub

PICTURES = int(os.environ.get("TRAINHUB_BENCH_PICTURES", "20000"))
ROWS = int(os.environ.get("TRAINHUB_BENCH_ROWS", "500000"))
PIECE = 8 << 20
MIB = 1 << 20


def main() -> None:
    print("\n## Imports", flush=True)
    with tempfile.TemporaryDirectory(prefix="thbench-") as folder:
        hub = Hub()
        try:
            hub.start()
            if PICTURES:
                _pictures(hub, Path(folder))
            if ROWS:
                _table(hub, Path(folder))
        finally:
            hub.stop()


def _pictures(hub: Hub, folder: Path) -> None:
    path = folder / "pictures.zip"
    _make_pictures(path)
    bare = _bare_zip(path)
    line(f"bare read of {PICTURES:,} pictures (unzip, SHA-256)", f"{PICTURES / bare:,.0f} files/s")
    with _Pages(hub) as idle:
        time.sleep(5)
    line("a page of datasets, nothing running", spread(idle.times))
    seconds, pages, memory = _import(hub, "image", path)
    line(f"import of {PICTURES:,} pictures of 32 × 32", f"{PICTURES / seconds:,.0f} files/s")
    line("a page of datasets while they come in", spread(pages))
    line("memory of the importing worker, at most", f"{memory / MIB:.0f} MiB")


def _table(hub: Hub, folder: Path) -> None:
    path = folder / "table.csv"
    _make_table(path)
    size = path.stat().st_size
    started = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
        file.seek(0)
        rows = sum(1 for _ in file) - 1
    bare = time.perf_counter() - started
    line(f"bare read of {rows:,} rows, {size / MIB:.0f} MiB (SHA-256, lines)", f"{rows / bare:,.0f} rows/s")
    seconds, pages, memory = _import(hub, "table", path)
    line(f"import of a table of {rows:,} rows, typed and profiled", f"{rows / seconds:,.0f} rows/s")
    line("a page of datasets while it comes in", spread(pages))
    line("memory of the importing worker, at most", f"{memory / MIB:.0f} MiB")


def _import(hub: Hub, modality: str, path: Path) -> tuple[float, list[float], int]:
    """Send the file in pieces and import it: seconds of the import, times of pages meanwhile, bytes of memory."""
    made = hub.post("/datasets", {"name": path.stem, "modality": modality})["id"]
    started = time.perf_counter()
    upload = _send(hub, made, path)
    rate = path.stat().st_size / (time.perf_counter() - started) / MIB
    line(f"upload of {path.name} in pieces of {PIECE // MIB} MiB", f"{rate:.0f} MiB/s")
    with _Pages(hub) as pages, _Memory(hub) as memory:
        number = hub.post(f"/datasets/{made}/uploads/finish", {"ids": [upload]})["id"]
        address = f"/datasets/{made}/imports/{number}"
        while (now := hub.get(address))["status"] not in {"completed", "failed"}:
            time.sleep(0.2)
    if now["status"] == "failed" or now["set_aside"]:
        raise SystemExit(f"the import ended as {now['status']}: {now['message']} {now['hint']}")
    row = hub.sql("SELECT extract(epoch FROM finished_at - started_at) FROM datasets_import WHERE id = %s", number)
    return float(row[0][0]), pages.times, memory.most


def _send(hub: Hub, dataset: int, path: Path) -> str:
    upload = hub.post(f"/datasets/{dataset}/uploads", {"name": path.name, "bytes": path.stat().st_size})["id"]
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            request = urllib.request.Request(
                f"{hub.url}/api/v1/datasets/{dataset}/uploads/{upload}", piece, method="PATCH"
            )
            request.add_header("Authorization", f"Bearer {hub.token}")
            request.add_header("Content-Type", "application/offset+octet-stream")
            request.add_header("Upload-Offset", str(file.tell() - len(piece)))
            urllib.request.urlopen(request, timeout=60).close()
    return upload


class _Every:
    """Does something again and again beside the measurement."""

    wait = 0.05

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Any:
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ends.set()
        self.thread.join(30)

    def _run(self) -> None:
        while not self.ends.wait(self.wait):
            self.look()

    def look(self) -> None:
        raise NotImplementedError


class _Pages(_Every):
    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.times: list[float] = []

    def look(self) -> None:
        started = time.perf_counter()
        self.hub.get("/datasets")
        self.times.append(time.perf_counter() - started)


class _Memory(_Every):
    """The largest unique memory of a background worker with its decoders."""

    wait = 1.0

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self.most = 0

    def look(self) -> None:
        total = 0
        for process in self.hub.processes():
            try:
                if process.name() == "q:background":
                    total += process.memory_full_info().uss
                    # Decoders run with an environment of their own.
                    decoders = [child for child in process.children() if child.name() != process.name()]
                    total += sum(child.memory_full_info().uss for child in decoders)
            except psutil.Error:
                continue
        self.most = max(self.most, total)


def _make_pictures(path: Path) -> None:
    rng = random.Random(1)
    with zipfile.ZipFile(path, "w") as out:
        for number in range(PICTURES):
            picture = io.BytesIO()
            Image.frombytes("L", (32, 32), rng.randbytes(1024)).save(picture, "PNG", compress_level=1)
            out.writestr(f"pictures/class-{number % 10}/{number:06}.png", picture.getvalue())


def _make_table(path: Path) -> None:
    rng = random.Random(2)
    with path.open("w") as out:
        out.write("id,size,kind,when,words\n")
        for number in range(ROWS):
            size, kind = rng.random() * 100, "abcde"[number % 5]
            out.write(f"{number},{size:.4f},{kind},2026-01-{1 + number % 28:02} 12:00:00,word{number % 9973}\n")


def _bare_zip(path: Path) -> float:
    started = time.perf_counter()
    with zipfile.ZipFile(path) as file:
        for info in file.infolist():
            hashlib.sha256(file.read(info)).hexdigest()
    return time.perf_counter() - started
