"""Writers for tests on a real hub: small models of a genre each, and a server with one behind it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.paths import PROJECT
from tests import realsets
from tests.hub.harness import Hub

TINY = {
    "tokenizer": "pieces", "vocabulary_size": 400, "layers": 1, "heads": 2, "width": 64, "block_size": 32,
    "batch_size": 16, "steps": 60, "learning_rate": 0.003, "evaluate_every": 60, "evaluation_batches": 2,
    "sample_every": 0,
}  # fmt: skip
READ = 150_000  # characters of a genre
GENRES = {
    "Mystery": "mystery_books.txt", "Science fiction": "sci_fi_fantasy.txt", "Drama": "old_english_drama_poetry.txt",
}  # fmt: skip


def begin(hub: Hub, genre: str) -> int:
    """The job of a model that learns sentences of real books of this genre; it ends where they do, so it is quick."""
    text = " ".join(realsets.gutenberg_genres()[GENRES[genre]].decode(errors="ignore")[:READ].split())
    said = [one for one in re.split(r"(?<=[.!?]) ", text) if 30 <= len(one) <= 120]
    rows = "\n".join(json.dumps({"text": one}) for one in said).encode()
    books = hub.dataset(f"{genre} books", "text", {"sentences.jsonl": rows})
    body = {"recipe": "text-generation", "name": f"{genre} teller", "dataset": books["id"], "config": TINY, "seed": 1}
    return hub.post("/training/jobs", body)["id"]


def version_of(hub: Hub, job: int) -> int:
    """The version that came of a job, when it has ended."""
    hub.wait_job(job)
    [(version,)] = hub.sql("SELECT model_version_id FROM jobs_job WHERE id = %s", job)
    return version


@contextmanager
def served(hub: Hub, version: int, folder: Path) -> Iterator[str]:
    """A process that speaks as OpenAI's API does, with this version behind it; its address."""
    [(files,)] = hub.sql("SELECT artifact FROM registry_modelversion WHERE id = %s", version)
    for file in files:
        shutil.copyfile(hub.home / "store" / file["sha256"][:2] / file["sha256"], folder / file["name"])
    command = [sys.executable, "-m", "tests.chat_server", str(folder)]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(10)


def recounted(hub: Hub, job: int, names: dict[str, str]) -> dict[str, Any]:
    """What the session of a run should say, by its dataset's items and its examples; `names`: title by setting."""
    items = hub.sql("SELECT label, generated FROM datasets_item WHERE (generated->>'job')::int = %s", job)
    scores = [facts["score"] for _, facts in items]
    wins = dict.fromkeys(names, 0)
    genres: dict[str, int] = {}
    for label, facts in items:
        wins[facts["generator"]] += 1
        genres[label] = genres.get(label, 0) + 1
    told: dict[str, list[float]] = {name: [] for name in names}
    for (candidates,) in hub.sql("SELECT candidates FROM jobs_generatedexample WHERE job_id = %s", job):
        for one in candidates:
            if one["score"] is not None:
                told[one["generator"]].append(one["score"])
    best = max(names, key=lambda name: (wins[name], sum(told[name]) / max(1, len(told[name]))))
    return {
        "examples_successful": len(items),
        "saved_count": len(items),
        "quality_average": round(sum(scores) / len(scores) + 1e-9, 1),
        "quality_min": min(scores),
        "quality_max": max(scores),
        "best_model": names[best],
        "performance_by_model": {
            names[name]: {"wins": wins[name], "average_quality": round(sum(found) / len(found), 2)}
            for name, found in told.items()
        },
        "genre_distribution": genres,
    }
