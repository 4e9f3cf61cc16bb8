"""What a run's examples add up to is kept with them, whatever is told twice or forgotten."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.generation import examples, shown, sums
from jobs.models import ExampleSum, GeneratedExample
from jobs.progress import ProgressWriter

NAMES = ["a", "idle"]


def event(step, kept=True, winner="a", scores=(8.0, 4.5), genre="Sea"):
    candidates = [
        {"generator": name, "text": f"text {step}", "score": score, "reasons": [], "error": "", "seconds": 0.1}
        for name, score in zip(("a", "b"), scores, strict=True)
    ]
    return {"event": "example", "step": step, "genre": genre, "prompt": "p", "kept": kept, "winner": winner,
            "reason": "" if kept else "Too bad.", "candidates": candidates}  # fmt: skip


def tell(writer, steps, **more):
    for step in steps:
        writer.example(event(step, **more))
    writer.flush()


def same(job):
    counted, kept = examples.figures(job, NAMES), sums.figures(job, NAMES)
    for name, (wins, mean) in counted.generators.items():
        assert kept.generators[name] == (wins, None if mean is None else pytest.approx(mean)), name
    assert list(kept.generators) == list(counted.generators)
    assert list(kept.genres.items()) == list(counted.genres.items())
    for name in ("made", "kept", "failed", "quality", "least", "most"):
        assert getattr(kept, name) == pytest.approx(getattr(counted, name)), name
    return kept


def test_sums_are_what_the_examples_say(running):
    writer = ProgressWriter(running.job, running.number)
    assert same(running.job).made == 0
    tell(writer, range(1, 400))
    tell(writer, range(400, 700), genre="Land", winner="b", scores=(None, 9.5))
    tell(writer, range(700, 1100), kept=False, scores=(1.0, 2.5))
    found = same(running.job)
    assert (found.made, found.kept, found.most, found.genres) == (1099, 699, 9.5, {"Sea": 399, "Land": 300})
    assert ExampleSum.objects.count() == 3


def test_what_is_told_once_more_takes_the_place_of_what_was_there(running):
    writer = ProgressWriter(running.job, running.number)
    tell(writer, range(1, 600))
    tell(writer, [3, 550], kept=False, winner="b", genre="Land", scores=(0.5, 1.0))
    assert same(running.job).failed == 2
    tell(writer, [3], genre="Land")
    assert same(running.job).failed == 1


@pytest.mark.parametrize("step", [0, 3, 498, 499, 500, 501, 1000, 1100, 9999])
def test_a_rewind_forgets_them_in_the_sums_too(running, step):
    writer = ProgressWriter(running.job, running.number)
    tell(writer, range(1, 1101))
    writer.rewind(step)
    assert same(running.job).made == min(step, 1100)
    tell(writer, range(step + 1, step + 31), winner="b")
    same(running.job)


def test_examples_of_before_are_counted_by_the_migration(running):
    writer = ProgressWriter(running.job, running.number)
    tell(writer, range(1, 1101))
    tell(writer, range(1101, 1103), kept=False)
    before = list(ExampleSum.objects.order_by("block").values_list("block", "made", "kept", "score", "candidates"))
    ExampleSum.objects.all().delete()
    with connection.schema_editor() as editor:
        import_module("jobs.migrations.0013_example_sums").fill(apps, editor)
    after = ExampleSum.objects.order_by("block").values_list("block", "made", "kept", "score", "candidates")
    assert list(after) == before
    same(running.job)


def test_the_page_reads_no_more_examples_than_it_shows(running):
    running.job.recipe = "generate"
    running.job.config = {"generators": "a", "examples": 2000}
    writer = ProgressWriter(running.job, running.number)
    tell(writer, range(1, 900))
    tell(writer, range(900, 1900), kept=False)
    with CaptureQueriesContext(connection) as asked:
        made = shown.made(running.job)
    assert [one["row"].step for one in made["winners"]] == [899, 898, 897, 896, 895]
    reading = [query["sql"] for query in asked if "jobs_generatedexample" in query["sql"]]
    assert len(reading) == 1 and '"step" >= ' in reading[0] and "LIMIT 5" in reading[0]
    assert GeneratedExample.objects.count() == 1899
