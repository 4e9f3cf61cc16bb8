"""Names with markup or formulas, in every field that holds a text: text on all pages, and text in every cell."""

from __future__ import annotations

import csv
import io
import time

import pytest
from django.utils import timezone

from datasets.subjects.subjects import create as create_subject
from history import notes, saved_views
from history.models import Session
from history.recording import record_reported
from jobs.creation import create_job
from jobs.endpoints import verbs as endpoints
from jobs.models import GeneratedExample, Job
from jobs.progress import ProgressWriter
from tests.api.conftest import Api
from tests.history.runs import ended
from tests.world import run

MARK = "<xss-mark onload=alert(1)>"
FORMULAS = ["=1+1", "+1+cmd|'/C calc'!A0", "-2+3+cmd", "@SUM(A1:A2)", "\t=1+1", "\r=1+1", "＝1+1", "－1+1"]
EVIL = "'\"></script></td>" + MARK


def everywhere(owner, text):
    """A session whose every text is this one."""
    subject = create_subject(owner, name=f"{text} {Session.objects.count()}".strip())
    now = timezone.now()
    told, _ = record_reported(owner, {
        "started_at": now, "completed_at": now, "name": text, "kind": "generation", "recipe": text[:50],
        "best_model": text, "genres": [text], "genre_distribution": {text: 3}, "metrics": {text: 0.5},
        "performance_by_model": {text: {"wins": 2, "average_quality": 7.5}}, "quality_average": 7.5,
        "examples_successful": 3,
    })  # fmt: skip
    Session.objects.filter(pk=told.pk).update(subject=subject, metric=text, metric_value=0.5, currency=text[:10])
    notes.change(told, note=text, tags=[text[:40]])
    told.refresh_from_db()
    return told


def written(owner, text):
    """A run that generates, of that name, with an example that consists of it."""
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model=text[:200])
    config = {"generators": "endpoint mine", "genres": text[:100].replace("\t", "").replace("\r", "")}
    job, _ = create_job(owner, recipe="generate", name=text, config=config)
    attempt = run(job)
    writer = ProgressWriter(attempt.job, attempt.number)
    one = {"generator": text, "text": text, "score": 9.0, "reasons": [text], "error": text, "seconds": 0.1}
    writer.example({"step": 1, "genre": text, "prompt": text, "kept": True, "winner": text, "reason": text,
                    "candidates": [one, {**one, "generator": "endpoint mine"}]})  # fmt: skip
    writer.step({"step": 1, "epoch": 0.1, "time": time.time(), "metrics": {f"{text} score": 1.0}, "rate": 1.0})
    writer.log(text)
    writer.flush()
    Job.objects.filter(pk=job.pk).update(started_at=timezone.now(), failure_message="")
    return job


def content(answer) -> str:
    assert answer.status_code == 200, answer
    return (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode()


def test_markup_is_text_on_every_page_of_the_history(client, owner):
    told, job = everywhere(owner, EVIL), written(owner, EVIL)
    others = [ended(owner, EVIL, curves={EVIL: [1.0, 2.0]}, metrics={EVIL: 0.5}) for _ in range(2)]
    view = saved_views.create(owner, EVIL, {"search": EVIL})
    client.force_login(owner)
    runs = ",".join(str(one.pk) for one in others)
    addresses = [
        "/history", f"/history?search={MARK}", f"/history/{told.pk}", f"/history/compare?runs={runs}",
        f"/history/compare?runs={runs}&metric={EVIL}", "/history/compare", f"/history/views/{view.pk}",
        f"/history/views/{view.pk}/delete", f"/jobs/{job.pk}", "/jobs", "/endpoints", "/templates",
        *(f"/history/trends?period=day&by={by}" for by in ("recipe", "subject", "model")),
        f"/history/trends?search={MARK}",
    ]  # fmt: skip
    seen = 0
    for address in addresses:
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.get(address, headers=headers)
            if answer.status_code == 404:
                assert address in {"/endpoints", "/templates"}
                continue
            html = content(answer)
            assert "<xss-mark" not in html, address
            seen += "xss-mark" in html
    assert seen >= 12, "the texts are shown, as text"


def test_no_cell_of_any_export_begins_a_formula(client, owner):
    jobs = []
    for text in FORMULAS:
        everywhere(owner, text)
        jobs.append(ended(owner, text, curves={text: [1.0, 2.0]}))
    client.force_login(owner)
    runs = ",".join(str(job.pk) for job in jobs)
    files = [content(client.get("/history?export=csv")), content(client.get("/jobs?export=csv"))]
    files.append(content(Api(owner).get(f"training-history/user/{owner.pk}/export")))
    for by in ("recipe", "subject", "model"):
        page = client.get(f"/history/trends?by={by}&period=day")
        for chart in page.context["charts"]:
            files.append(content(client.get(f"/history/trends?by={by}&period=day&csv={chart.key}")))
    for job, text in zip(jobs, FORMULAS, strict=True):
        asked = {"runs": runs, "metric": text, "format": "csv"}
        files.append(content(client.get("/api/v1/training-history/compare/curves", asked)))
        if text == text.strip():  # a query is trimmed
            found = client.get(f"/api/v1/training/jobs/{job.pk}/metrics", {"format": "csv", "name": text})
            files.append(content(found))
    cells = [cell for file in files for row in csv.reader(io.StringIO(file, newline="")) for cell in row]
    for cell in cells:
        if cell[:1] in set("=+-@\t\r＝＋－＠"):
            float(cell)
    for text in FORMULAS:
        shown = {cell.removeprefix("'") for cell in cells}
        assert text in shown or text.strip() in shown, f"{text!r} is in no export at all"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_exported_can_be_read_back(client, owner, form):
    """The apostrophe is all that is added, and to CSV alone."""
    names = [everywhere(owner, text).name for text in FORMULAS]
    client.force_login(owner)
    answer = client.get(f"/history?export={form}")
    data = b"".join(answer.streaming_content)
    if form == "csv":
        found = [row["name"] for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]
        assert all(name.startswith("'") for name in found)
        found = [name[1:] for name in found]
    else:
        import pyarrow.parquet as pq

        found = pq.read_table(io.BytesIO(data)).column("name").to_pylist()
    assert sorted(found) == sorted(names)


def test_examples_are_given_as_they_are_and_shown_as_text(client, owner):
    job = written(owner, EVIL)
    client.force_login(owner)
    answer = client.get(f"/api/v1/training/jobs/{job.pk}/examples")
    assert answer.headers["Content-Type"] == "application/json"
    [row] = answer.json()["results"]
    assert (row["prompt"], row["text"]) == (EVIL, EVIL) and GeneratedExample.objects.get().text == EVIL
    html = content(client.get(f"/jobs/{job.pk}"))
    assert "<xss-mark" not in html and "&lt;xss-mark" in html
