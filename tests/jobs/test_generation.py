"""A run that generates, from the request to the session: real trainer, real server, rows recounted."""

from __future__ import annotations

import threading
from collections import Counter
from decimal import Decimal

import pytest

from common.errors import InvalidInputError, NotFoundError
from datasets.creation import create_dataset
from datasets.models import Dataset, Item
from history.generations import generated
from history.models import Session
from history.recording import record_pending
from jobs import control, presentation
from jobs.creation import create_job
from jobs.endpoints import verbs as endpoints
from jobs.folders import work_folder
from jobs.generation import examples, saving
from jobs.models import GeneratedExample, Job
from jobs.progress import ProgressWriter
from jobs.queue import claim
from jobs.runs import session_id_of
from jobs.supervisor import Supervisor
from tests.chat_server import Reply, serving
from tests.world import make_version

KEY = "sk-very-secret-marker"
GOOD = (
    "The {n}th keeper of the lighthouse climbed the stairs every evening, counted the ships beyond the reef, and wrote "
    "their names into a book."
)


def good(body):
    return GOOD.format(n=abs(hash(body["messages"][-1]["content"])) % 10**6)


def add(owner, name, server, key=""):
    return endpoints.make(owner, name=name, url=server.url, model="tiny", key=key, retries=0, timeout_seconds=10)


def config(**more):
    return {"generators": "endpoint good\nendpoint poor", "genres": "Sea\nLand", "examples": 12, "shortest": 5,
            "prompts": "Story {number} of {genre}:", "minimum_quality": 6.0} | more  # fmt: skip


def supervised(slot, myself) -> None:
    Supervisor(claim(slot, myself), slot).run()


@pytest.mark.django_db(transaction=True)
def test_a_run_fills_its_dataset_and_its_session_is_right(owner, slot, myself, stories):
    def poor(body):
        said = body["messages"][-1]["content"]
        return Reply(500) if "Story 5 " in said else "no no no no no no no no no no no"

    with serving(good) as one, serving(poor) as two:
        add(owner, "good", one, KEY), add(owner, "poor", two)
        job, _ = create_job(owner, recipe="generate", config=config(), save_to=stories, seed=3)
        supervised(slot, myself)
    job.refresh_from_db()
    assert job.status == "completed", job.failure_message
    assert (job.model_version, job.current_step, job.progress) == (None, 12, 100.0)
    assert one.headers[0]["authorization"] == f"Bearer {KEY}"
    assert record_pending() == 1

    rows = list(GeneratedExample.objects.filter(job=job).order_by("step"))
    assert [row.step for row in rows] == list(range(1, 13))
    kept = [row for row in rows if row.kept]
    assert len(kept) == 12 and {row.winner for row in kept} == {"endpoint good"}
    assert next(c for c in rows[4].candidates if c["generator"] == "endpoint poor")["error"].startswith("It answered")

    session = Session.objects.get()
    scores = [row.score for row in kept]
    mean = lambda name: [c["score"] for row in rows for c in row.candidates if c["generator"] == name and c["score"]]  # noqa: E731
    assert session.kind == "generation" and session.outcome == "completed" and session.job == job
    assert (session.examples_requested, session.examples_successful, session.examples_failed) == (12, 12, 0)
    assert session.genres == ["Sea", "Land"] and session.genre_distribution == Counter(row.genre for row in kept)
    assert (session.stored_in_memory, session.saved_to_database, session.saved_count) == (False, True, 12)
    assert session.quality_average == (sum(scores) / len(scores)).quantize(Decimal("0.1"))
    assert (session.quality_min, session.quality_max) == (min(scores), max(scores))
    assert session.best_model == "endpoint good"
    assert session.performance_by_model == {
        name: {"wins": wins, "average_quality": round(sum(found) / len(found), 2)}
        for name, wins in (("endpoint good", 12), ("endpoint poor", 0))
        if (found := mean(name))
    }
    assert session.total_seconds > 0 and session.completed_at > session.started_at

    stories.refresh_from_db()
    assert (stories.status, stories.item_count) == ("active", 12)
    for row in kept:
        item = row.item
        assert (item.dataset_id, item.label) == (stories.pk, row.genre)
        assert item.content == {"prompt": row.prompt, "completion": row.text}
        assert item.generated["generator"] == "endpoint good" and item.generated["score"] == float(row.score)
        assert item.generated["session"] == str(session.session_id)


@pytest.mark.django_db(transaction=True)
def test_keys_leave_no_trace_on_disk_or_in_the_job(owner, slot, myself, inside):
    with serving(good) as one:
        add(owner, "good", one, KEY)
        wanted = config(generators="endpoint good", examples=3)
        job, _ = create_job(owner, recipe="generate", config=wanted)
        supervised(slot, myself)
        assert one.headers[0]["authorization"] == f"Bearer {KEY}"
        # A failed run keeps its folder.
        failing, _ = create_job(owner, recipe="generate", config=wanted | {"judge": "endpoint good", "examples": 12})
        supervised(slot, myself)
    failing.refresh_from_db()
    assert failing.attempts.get().code == "UNAVAILABLE"
    assert work_folder(failing.pk).exists()
    for path in work_folder(failing.pk).parent.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path
    assert KEY not in str([list(Job.objects.values()), list(GeneratedExample.objects.values())])
    assert KEY not in "".join(job.logs.values_list("text", flat=True))


@pytest.mark.django_db(transaction=True)
def test_a_dead_endpoint_makes_a_job_fail_in_words_with_what_it_had(owner, slot, myself, stories, settings):
    settings.MAX_ATTEMPTS, settings.RETRY_DELAYS = 2, (0.0,)
    down = threading.Event()

    def dying(body):
        if "Story 4 " in body["messages"][-1]["content"]:
            down.set()
        return Reply(503) if down.is_set() else good(body)

    with serving(dying) as one:
        add(owner, "good", one)
        wanted = config(generators="endpoint good", examples=12, at_once=1)
        job, _ = create_job(owner, recipe="generate", config=wanted, save_to=stories)
        supervised(slot, myself)
        job.refresh_from_db()
        assert job.is_active and job.current_step == 3
        supervised(slot, myself)
    job.refresh_from_db()
    assert (job.status, job.failure_code, job.current_step) == ("failed", "UNAVAILABLE", 3)
    assert "2 attempts in a row ended without getting further" in job.failure_message
    assert "It answered with 503" in job.failure_message and "the endpoints run" in job.failure_hint
    log = "\n".join(job.logs.values_list("text", flat=True))
    assert "It answered with 503" in log and "Traceback" not in log and "checkpoint of" not in log
    assert job.checkpoints.exists() and '"checkpoint"' not in presentation.chart_marks(job)
    assert list(GeneratedExample.objects.order_by("step").values_list("step", "kept")) == [
        (1, True), (2, True), (3, True),
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_keeps_what_it_made(owner, slot, myself, stories):
    enough = threading.Event()

    def slowly(body):
        if "Story 6 " in body["messages"][-1]["content"]:
            control.cancel(Job.objects.get(), owner)
            enough.wait(20)
        return good(body)

    with serving(slowly) as one:
        add(owner, "good", one)
        wanted = config(generators="endpoint good", examples=50, at_once=1)
        job, _ = create_job(owner, recipe="generate", config=wanted, save_to=stories)
        supervised(slot, myself)
        enough.set()
    job.refresh_from_db()
    assert job.status == "cancelled"
    record_pending()
    session = Session.objects.get()
    assert (session.outcome, session.examples_requested) == ("cancelled", 50)
    assert session.examples_successful == GeneratedExample.objects.filter(kept=True).count() == 5
    tried = GeneratedExample.objects.filter(kept=False).count()  # the one that was under way, if it came to an end
    assert (session.examples_failed, session.examples_untried) == (tried, 45 - tried) and tried <= 1
    assert session.saved_count == Item.objects.filter(dataset=stories).count() == 5


@pytest.mark.django_db(transaction=True)
def test_recording_that_breaks_is_done_again_and_nothing_is_twice(owner, slot, myself, stories, monkeypatch):
    with serving(good) as one:
        add(owner, "good", one)
        create_job(owner, recipe="generate", config=config(generators="endpoint good"), save_to=stories)
        supervised(slot, myself)
    with monkeypatch.context() as broken:
        broken.setattr("history.recording.publish", lambda *_: 1 / 0)  # the last thing before the commit
        assert record_pending() == 0
    assert not Session.objects.exists() and not Item.objects.exists(), "items and session come together"
    assert record_pending() == 1 and record_pending() == 0
    assert Session.objects.get().saved_count == Item.objects.count() == 12


@pytest.mark.django_db(transaction=True)
def test_a_pair_that_is_there_already_is_no_second_item(owner, slot, myself, stories):
    with serving(lambda body: GOOD) as one:
        add(owner, "good", one)
        wanted = config(generators="endpoint good", prompts="Write of the sea.", genres="Sea", examples=4)
        create_job(owner, recipe="generate", config=wanted, save_to=stories)
        supervised(slot, myself)
    record_pending()
    session = Session.objects.get()
    assert Item.objects.count() == session.saved_count == 1 and session.examples_there_already == 3
    assert len(set(GeneratedExample.objects.values_list("item", flat=True))) == 1


@pytest.mark.django_db(transaction=True)
def test_without_a_dataset_examples_stay_with_the_run(owner, slot, myself, inside):
    with serving(good) as one:
        add(owner, "good", one)
        create_job(owner, recipe="generate", config=config(generators="endpoint good", examples=2))
        supervised(slot, myself)
    record_pending()
    session = Session.objects.get()
    assert (session.stored_in_memory, session.saved_to_database, session.saved_count) == (True, False, 0)
    assert not Item.objects.exists()


def event(step, kept=True, score=8.0, text="a text"):
    one = {"generator": "endpoint good", "text": text, "score": score, "reasons": ["r"], "error": "", "seconds": 0.1}
    return {"event": "example", "step": step, "genre": "Sea", "prompt": "p", "kept": kept, "winner": "endpoint good",
            "reason": "" if kept else "Too bad.", "candidates": [one]}  # fmt: skip


def test_rows_after_the_checkpoint_are_forgotten_and_told_again(running):
    writer = ProgressWriter(running.job, running.number)
    for step in range(1, 6):
        writer.example(event(step, text=f"first {step}\x00"))
    writer.flush()
    writer.rewind(3)
    assert list(GeneratedExample.objects.values_list("step", flat=True)) == [1, 2, 3]
    writer.example(event(4, text="again"))
    writer.example(event(5, kept=False, score=2.0))
    writer.flush()
    assert dict(GeneratedExample.objects.values_list("step", "text"))[4] == "again"
    found = examples.figures(running.job, ["endpoint good", "endpoint idle"])
    assert (found.made, found.kept, found.failed, found.quality, found.least, found.most) == (5, 4, 1, 8.0, 8.0, 8.0)
    assert found.generators == {"endpoint good": (4, pytest.approx(6.8)), "endpoint idle": (0, None)}


def test_what_a_run_made_that_was_retried_is_not_counted_again(running):
    """Each run has a session of its own."""
    job = running.job
    job.config = {"examples": 20, "generators": "endpoint good", "genres": "Sea"}
    writer = ProgressWriter(job, running.number)
    for step in range(1, 9):
        writer.example(event(step, kept=step != 7))
    writer.flush()
    first, second = generated(job, 0), generated(job, 5)
    told = ("examples_requested", "examples_successful", "examples_failed")
    assert [first[name] for name in told] == [20, 7, 1]
    assert [second[name] for name in told] == [15, 2, 1]
    assert second["performance_by_model"]["endpoint good"]["wins"] == 2


def test_kept_examples_are_saved_batch_by_batch_and_a_dataset_at_work_stays_so(running, stories, monkeypatch):
    monkeypatch.setattr(saving, "BATCH", 2)
    job = running.job
    Job.objects.filter(pk=job.pk).update(save_to=stories, config={"judge": "measures"})
    Dataset.objects.filter(pk=stories.pk).update(status="processing")
    writer = ProgressWriter(job, running.number)
    for step in range(1, 8):
        writer.example(event(step, text=f"tale {min(step, 5)}"))  # the last three are one
    writer.flush()
    saving.save(job), saving.save(job)
    assert saving.saved(job, 0, str(session_id_of(job.pk, 1))) == (7, 5)
    stories.refresh_from_db()
    assert (stories.status, stories.item_count, Item.objects.count()) == ("processing", 5, 5)
    assert set(GeneratedExample.objects.values_list("item__content__completion", flat=True)) == {
        f"tale {n}" for n in range(1, 6)
    }


# What is refused when the job is made


@pytest.mark.parametrize(
    ("values", "setting", "said"),
    [
        ({"generators": ""}, "generators", "Nobody is named"),
        ({"generators": "endpoint missing"}, "generators", "no 'endpoint missing'"),
        ({"generators": "version 0"}, "generators", "no 'version 0'"),
        ({"generators": "version 99999999999999999999"}, "generators", "There is no"),
        ({"generators": "gpt-4"}, "generators", "There is no 'gpt-4'"),
        ({"judge": "version x"}, "judge", "There is no"),
        ({"reference": "endpoint mine"}, "reference", "is an endpoint"),
        ({"classifier": "endpoint mine"}, "classifier", "is an endpoint"),
    ],
)
def test_models_that_are_not_there_are_refused_at_their_setting(owner, values, setting, said):
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="m")
    with pytest.raises(InvalidInputError, match=said) as refused:
        create_job(owner, recipe="generate", config={"generators": "endpoint mine"} | values)
    assert list(refused.value.fields) == [f"config.{setting}"]


def test_a_version_must_be_able_to_do_what_is_asked(owner, stranger):
    pictures = make_version(owner, "Pictures", recipe="image-classification")
    theirs = make_version(stranger, "Theirs")
    for version, said in ((pictures, "made by image-classification"), (theirs, "There is no")):
        with pytest.raises(InvalidInputError, match=said):
            create_job(owner, recipe="generate", config={"generators": f"version {version.pk}"})
    mine = make_version(owner, "Mine")
    with pytest.raises(InvalidInputError) as refused:
        create_job(owner, recipe="generate", config={"generators": f"version {mine.pk}", "classifier": "version 0"})
    assert "endpoint" not in str(refused.value.fields), "a classifier can't be one"
    with pytest.raises(InvalidInputError, match="at most 1,000 tokens") as refused:
        create_job(owner, recipe="generate", config={"generators": f"version {mine.pk}", "max_new_tokens": 1001})
    assert list(refused.value.fields) == ["config.max_new_tokens"]
    assert create_job(owner, recipe="generate", config={"generators": f"version {mine.pk}"})[1]


def test_another_s_endpoint_is_not_used_even_by_staff(owner, administrator):
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="m", key=KEY)
    with pytest.raises(InvalidInputError, match="There is no"):
        create_job(administrator, recipe="generate", config={"generators": "endpoint mine"})


def test_a_dataset_that_can_t_take_texts_is_refused(owner, stranger):
    endpoints.make(owner, name="mine", url="https://93.184.216.34/v1", model="m")
    wanted = {"recipe": "generate", "config": {"generators": "endpoint mine"}}
    pictures, _ = create_dataset(owner, name="Pictures", modality="image")
    with pytest.raises(InvalidInputError, match="can't take texts"):
        create_job(owner, **wanted, save_to=pictures)
    theirs, _ = create_dataset(stranger, name="Theirs", modality="text")
    with pytest.raises(NotFoundError):
        create_job(owner, **wanted, save_to=theirs)
    ours, _ = create_dataset(owner, name="Ours", modality="text")
    with pytest.raises(InvalidInputError, match="makes no examples"):
        create_job(owner, recipe="simulate", save_to=ours)
    assert create_job(owner, **wanted, save_to=ours)[0].save_to == ours
