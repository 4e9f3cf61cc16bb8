"""Every field of a session is what its rows add up to: recounted from them here, never by the code that filled it."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent import futures as threads
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from django.db import connection
from django.utils import timezone

from common.errors import ConflictError
from datasets.items import generated as written
from datasets.models import Dataset, Item
from history.daily import LOCK
from history.generations import generated
from history.models import Session
from history.recording import record_pending
from jobs import control
from jobs.creation import create_job
from jobs.generation import sources
from jobs.models import Attempt, GeneratedExample, Job, OutboxMessage
from jobs.progress import ProgressWriter
from tests.chat_server import Reply, serving
from tests.jobs.test_generation import add, config, event, good, supervised
from tests.world import make_version

FIELDS = {
    "id", "user", "session_id", "examples_requested", "examples_successful", "examples_failed", "genres",
    "stored_in_memory", "saved_to_database", "saved_count", "quality_average", "quality_min", "quality_max",
    "best_model", "performance_by_model", "genre_distribution", "total_seconds", "examples_before", "examples_after",
    "fine_tuning_triggered", "started_at", "completed_at", "created_at",
}  # fmt: skip


def fields(session: Session) -> dict:
    found = {name: getattr(session, name) for name in FIELDS}
    assert found.pop("id") == session.pk
    assert found.pop("created_at") >= found["completed_at"]
    return found


def recounted(job: Job, session: Session, *, before: int, attempt: int = 1) -> dict:
    """What the session should say, by the rows that the run left and the settings it was given."""
    rows = list(GeneratedExample.objects.filter(job=job).order_by("step"))
    kept = [row for row in rows if row.kept]
    there = set(Item.objects.filter(dataset=job.save_to).values_list("pk", flat=True)) if job.save_to else set()
    items = [row.item_id for row in kept if row.item_id in there]
    made = Item.objects.filter(pk__in=items, generated__session=str(session.session_id)).count()
    asked = job.config["examples"]
    names = job.config["generators"].splitlines()
    scores = sorted(row.score for row in kept)
    told = {name: [c["score"] for row in rows for c in row.candidates if c["generator"] == name] for name in names}
    told = {name: [score for score in found if score is not None] for name, found in told.items()}
    wins = Counter(row.winner for row in kept)
    runs = list(Attempt.objects.filter(job=job, number=attempt))
    tenth = lambda value: value.quantize(Decimal("0.1"), ROUND_HALF_UP)  # noqa: E731
    return {
        "user": job.owner,
        "session_id": session.session_id,
        "examples_requested": asked,
        "examples_successful": len(kept),
        "examples_failed": len(rows) - len(kept),
        "genres": job.config["genres"].splitlines(),
        "stored_in_memory": job.save_to is None,
        "saved_to_database": len(items) > 0,
        "saved_count": made,
        "quality_average": tenth(sum(scores) / len(scores)) if scores else None,
        "quality_min": tenth(scores[0]) if scores else None,
        "quality_max": tenth(scores[-1]) if scores else None,
        "best_model": wins.most_common(1)[0][0] if wins else "",
        "performance_by_model": {
            name: {"wins": wins[name], "average_quality": round(sum(found) / len(found), 2) if found else None}
            for name, found in told.items()
        },
        "genre_distribution": dict(Counter(row.genre for row in kept)),
        "total_seconds": pytest.approx(sum((one.ended_at - one.started_at).total_seconds() for one in runs), abs=0.05),
        "examples_before": before,
        "examples_after": Item.objects.filter(dataset=job.save_to).count() if job.save_to else len(kept),
        "fine_tuning_triggered": False,
        "started_at": runs[0].started_at,
        "completed_at": job.completed_at,
    }


@pytest.fixture
def fables(stories):
    """A dataset that has three items already."""
    pairs = [written.Written(n, f"fable {n}", f"What of fable {n}?", f"The fox ate {n} grapes.") for n in range(3)]
    written.add(stories.pk, [pairs], lambda places: None)
    assert Item.objects.filter(dataset=stories).count() == 3
    return stories


@pytest.mark.django_db(transaction=True)
def test_a_completed_run_with_failed_examples_and_a_failing_generator(owner, slot, myself, fables):
    def uneven(body):
        number = int(body["messages"][-1]["content"].split()[1])
        return good(body) if number % 3 else "no no no no no no no no no no no"

    wanted = config(generators="endpoint uneven\nendpoint broken\nendpoint poor", examples=14)
    with serving(uneven) as one, serving(lambda body: Reply(500)) as two, serving(lambda body: "so so so so") as three:
        for name, server in (("uneven", one), ("broken", two), ("poor", three)):
            add(owner, name, server)
        job, _ = create_job(owner, recipe="generate", config=wanted, save_to=fables)
        supervised(slot, myself)
    record_pending()
    job.refresh_from_db()
    session = Session.objects.get()
    told = fields(session)
    assert told == recounted(job, session, before=3)
    # And what all of it comes to, so that the two can't be wrong together.
    assert (session.outcome, session.kind, session.completed_at) == ("completed", "generation", job.completed_at)
    assert (told["examples_requested"], told["examples_successful"], told["examples_failed"]) == (14, 10, 4)
    assert (told["examples_before"], told["examples_after"], told["saved_count"]) == (3, 13, 10)
    assert told["performance_by_model"]["endpoint broken"] == {"wins": 0, "average_quality": None}
    assert told["performance_by_model"]["endpoint uneven"]["wins"] == 10
    assert told["best_model"] == "endpoint uneven" and sum(told["genre_distribution"].values()) == 10
    of_it = [one for one in Item.objects.all() if one.generated.get("session") == str(session.session_id)]
    assert Counter(one.label for one in of_it) == told["genre_distribution"]
    assert told["quality_min"] >= 6 and told["session_id"].version == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("late", [False, True])
def test_a_cancelled_run_and_what_became_of_it_when_it_was_retried(owner, slot, myself, fables, late):
    """Whether it is recorded at once, or only when it is retried, as the background worker was down."""
    enough = threading.Event()

    def slowly(body):
        if "Story 6 " in body["messages"][-1]["content"] and not enough.is_set():
            control.cancel(Job.objects.get(), owner)
            enough.wait(2)  # by then the trainer was told
        return good(body)

    with serving(slowly) as one:
        add(owner, "good", one)
        wanted = config(generators="endpoint good", examples=9, at_once=1)
        job, _ = create_job(owner, recipe="generate", config=wanted, save_to=fables)
        supervised(slot, myself)
        enough.set()
        job.refresh_from_db()
        if late:
            control.retry(Job.objects.get(), owner)
        else:
            record_pending()
        first = Session.objects.get()
        assert fields(first) == recounted(job, first, before=3)
        made = first.examples_successful
        assert (first.outcome, first.examples_requested, first.examples_failed) == ("cancelled", 9, 0)
        assert (first.examples_before, first.examples_after) == (3, 3 + made) and 5 <= made < 9

        if not late:
            control.retry(job, owner)
        supervised(slot, myself)
    record_pending()
    job.refresh_from_db()
    known = Session.objects.get(pk=first.pk)
    assert fields(known) == fields(first), "what was recorded stays"
    second = Session.objects.exclude(pk=first.pk).get()
    assert second.outcome == "completed"
    assert fields(second) == recounted(job, second, attempt=2, before=3 + made)
    # A cancelled run keeps no checkpoint: it began anew, and what it wrote once more was there already.
    assert second.examples_requested == second.examples_successful == 9
    assert (first.saved_count, second.saved_count) == (made, 9 - made), "no item is counted in two sessions"
    assert (second.examples_before, second.examples_after) == (3 + made, 12)
    of_first = [one for one in Item.objects.all() if one.generated.get("session") == str(first.session_id)]
    assert len(of_first) == made
    assert second.session_id != first.session_id


@pytest.mark.django_db(transaction=True)
def test_a_run_that_keeps_its_examples_in_memory(owner, slot, myself, inside):
    with serving(good) as one:
        add(owner, "good", one)
        create_job(owner, recipe="generate", config=config(generators="endpoint good", examples=3))
        supervised(slot, myself)
    record_pending()
    session = Session.objects.get()
    assert fields(session) == recounted(Job.objects.get(), session, before=0)
    assert (session.stored_in_memory, session.saved_to_database, session.saved_count) == (True, False, 0)
    assert (session.examples_before, session.examples_after) == (0, 3)


def test_the_items_of_the_start_are_noted_at_the_start(running, stories):
    """Other runs may fill the same dataset meanwhile; and what was not noted is not guessed."""
    job = running.job
    job.config = {"examples": 4, "generators": "endpoint good", "genres": "Sea", "judge": "measures"}
    job.save_to = stories
    job.save()
    ProgressWriter(job, 1).flush()
    written.add(stories.pk, [[written.Written(1, "other", "p", "of another run")]], lambda places: None)
    before = lambda: generated(job, 0)["examples_before"]  # noqa: E731
    started = job.events.get(kind="started")
    assert started.details == {} and before() is None, "it had no dataset then"
    for details, found in (({"dataset": stories.pk, "items": 0}, 0), ({"dataset": stories.pk + 1, "items": 7}, None)):
        job.events.filter(pk=started.pk).update(details=details)
        assert before() == found
    assert generated(job, 0)["examples_after"] == 1


def test_of_two_that_won_as_often_the_better_one_is_best(running):
    writer = ProgressWriter(running.job, running.number)
    for step, name, score in ((1, "endpoint b", 7.0), (2, "endpoint a", 9.0)):
        told = event(step, score=score)
        told["candidates"][0]["generator"] = told["winner"] = name
        writer.example(told)
    writer.flush()
    running.job.config = {"examples": 2, "generators": "endpoint b\nendpoint a"}
    assert generated(running.job, 0)["best_model"] == "endpoint a"


def test_two_versions_of_one_name_are_two_generators(administrator, stranger, make_job):
    mine, theirs = make_version(administrator, "Tales"), make_version(stranger, "Tales")
    names = [f"version {one.pk}" for one in (mine, theirs)]
    job, _ = create_job(administrator, recipe="generate", config={"generators": "\n".join(names)})
    assert sources.titles(job) == {name: f"Tales v1 ({name})" for name in names}


@pytest.mark.parametrize("outcome", ["completed", "failed", "cancelled"])
def test_a_training_run_says_what_applies_and_leaves_the_rest_empty(owner, running, outcome):
    """Nothing of a generation is made up for a run that trains."""
    job, now = running.job, timezone.now()
    Attempt.objects.update(started_at=now - timedelta(seconds=30), ended_at=now, outcome=outcome)
    code = {"failure_code": "ERROR"} if outcome == "failed" else {}
    done = {"status": outcome, "phase": "", "attempt_started_at": None, "completed_at": now, **code}
    Job.objects.filter(pk=job.pk).update(**done)
    job.events.create(sequence=99, at=now, kind=outcome, from_status="running", to_status=outcome, attempt_number=1)
    OutboxMessage.objects.create(topic="run_ended", job=job, attempt_number=1)
    assert record_pending() == 1
    session = Session.objects.get()
    assert session.kind == "training" and session.outcome == outcome
    assert fields(session) == {
        "user": owner, "session_id": session.session_id, "examples_requested": None, "examples_successful": None,
        "examples_failed": None, "genres": [], "stored_in_memory": False, "saved_to_database": False,
        "saved_count": None, "quality_average": None, "quality_min": None, "quality_max": None, "best_model": "",
        "performance_by_model": {}, "genre_distribution": {}, "total_seconds": 30.0, "examples_before": None,
        "examples_after": None, "fine_tuning_triggered": False, "started_at": now - timedelta(seconds=30),
        "completed_at": now,
    }  # fmt: skip
    assert not Dataset.objects.exists()


def cancelled(job: Job, step: int) -> None:
    """As a run of one attempt that was cancelled after this step leaves its job."""
    now = timezone.now()
    Attempt.objects.filter(job=job).update(ended_at=now, outcome="cancelled", first_step=0)
    ended = {"phase": "", "attempt_started_at": None, "completed_at": now, "current_step": step}
    Job.objects.filter(pk=job.pk).update(status="cancelled", recipe="generate", **ended)
    job.events.create(sequence=99, at=now, kind="cancelled", from_status="running", to_status="cancelled",
                      attempt_number=1)  # fmt: skip
    OutboxMessage.objects.create(topic="run_ended", job=job, attempt_number=1)
    job.refresh_from_db()


@pytest.fixture
def eight(running):
    """A cancelled run with eight examples, the third of them not kept, of which nothing is recorded."""
    job = running.job
    job.config = {"examples": 500, "generators": "endpoint good", "genres": "Sea", "judge": "measures"}
    job.save()
    writer = ProgressWriter(job, running.number)
    for step in range(1, 9):
        writer.example(event(step, kept=step != 3, text=f"tale {step}"))
    writer.flush()
    cancelled(job, 8)
    return job


def test_a_retry_records_what_is_not_recorded_yet_and_that_stays(owner, eight):
    control.retry(eight, owner)
    session = Session.objects.get()
    assert (session.outcome, session.examples_requested, session.examples_successful) == ("cancelled", 500, 7)
    assert (session.examples_failed, session.examples_untried) == (1, 492)
    assert (session.metric, session.metric_value) == ("generate/quality", 8.0)
    GeneratedExample.objects.all().delete()  # as the next run does from its first step on
    assert record_pending() == 0
    assert Session.objects.get().examples_successful == 7


def test_what_can_t_be_recorded_is_not_lost_by_a_retry(owner, eight, stories, monkeypatch):
    monkeypatch.setattr("history.recording.record_run", lambda *_: 1 / 0)
    with pytest.raises(ConflictError, match="can't be recorded now: ZeroDivisionError"):
        control.retry(eight, owner)
    monkeypatch.undo()
    monkeypatch.setattr("jobs.settling.AT_ONCE", 6)
    Job.objects.update(save_to=stories)
    eight.refresh_from_db()
    with pytest.raises(ConflictError, match="The 7 examples of the last run are still being saved"):
        control.retry(eight, owner)
    eight.refresh_from_db()
    assert eight.status == "cancelled" and not Session.objects.exists()
    assert record_pending() == 1
    control.retry(eight, owner)
    assert Item.objects.count() == Session.objects.get().saved_count == 7


@pytest.mark.django_db(transaction=True)
def test_while_a_dataset_is_written_nobody_who_records_waits(owner, eight, stories, make_job, monkeypatch):
    """Not even when a run before it, in the outbox, has taken the lock of the sums of days."""
    earlier, now = Job.objects.get(pk=make_job().pk), timezone.now()
    Job.objects.filter(pk=earlier.pk).update(status="cancelled", completed_at=now, attempt_number=1)
    attempt = Attempt.objects.get()
    attempt.pk, attempt.job = None, earlier
    attempt.save(force_insert=True)
    earlier.events.create(sequence=98, at=now, kind="cancelled", to_status="cancelled", attempt_number=1)
    message = OutboxMessage.objects.create(topic="run_ended", job=earlier, attempt_number=1)
    OutboxMessage.objects.filter(pk=message.pk).update(id=1_000_000)
    OutboxMessage.objects.filter(job=eight).update(id=1_000_001)
    Job.objects.filter(pk=eight.pk).update(save_to=stories)
    free, real = [], written.add

    def looked(*given):
        with threads.ThreadPoolExecutor(1) as other:
            free.append(other.submit(lock_is_free).result(10))
        real(*given)

    monkeypatch.setattr("jobs.generation.saving.generated.add", looked)
    assert record_pending() == 2
    assert free == [True] and Session.objects.count() == 2


def lock_is_free() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        free = cursor.fetchone()[0]
    connection.close()
    return free
