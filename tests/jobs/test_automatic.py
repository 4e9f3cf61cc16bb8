"""Examples that start a fine-tuning: once for each threshold that is reached, whoever looks and whatever dies."""

from __future__ import annotations

import threading
from datetime import timedelta
from pkgutil import resolve_name

import pytest
from django.db import OperationalError, connections, transaction
from django.utils import timezone

from common.errors import ConflictError
from datasets.creation import create_dataset
from datasets.models import Item
from datasets.subjects.subjects import create as create_subject
from jobs import blueprints, control, limits, runs, tasks
from jobs.automatic import settings, starting, threshold
from jobs.models import AutomaticTraining, FineTuning, GeneratedExample, Job, JobEvent, OutboxMessage
from jobs.progress import ProgressWriter
from tests.generating import ENOUGH, keep, make_generating, make_rule
from tests.jobs.test_generation import event
from tests.world import make_job, make_version


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    settings.TRAINHUB_HOME = tmp_path / "home"
    for name in ("uploads", "store", "jobs"):
        (settings.TRAINHUB_HOME / name).mkdir(parents=True)


@pytest.fixture
def asked(monkeypatch):
    """The tasks that were put, in place of a background worker."""
    put = []
    monkeypatch.setattr(threshold, "enqueue", lambda *task: put.append(task))
    monkeypatch.setattr(threshold, "_swept", [0.0])
    return put


@pytest.fixture
def stories(owner):
    return create_dataset(owner, name="Stories", modality="text")[0]


def taken():
    return GeneratedExample.objects.filter(fine_tuning__isnull=False).count()


def again(rule):
    """As if the time until the next try had passed."""
    AutomaticTraining.objects.filter(pk=rule.pk).update(retry_at=timezone.now() - timedelta(seconds=1))
    return tasks.start_fine_tuning(rule.pk)


def test_the_last_example_that_was_missing_starts_a_job_in_the_middle_of_the_run(owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH - 1)
    assert tasks.start_fine_tuning(rule.pk) == 0 and not FineTuning.objects.exists()
    keep(maker, 1)
    assert tasks.start_fine_tuning(rule.pk) == 1
    made = FineTuning.objects.get()
    assert (made.number, made.examples, made.threshold, made.generated_by) == (1, ENOUGH, ENOUGH, maker)
    assert made.session_id == runs.session_id_of(maker.pk, 1)
    job = made.job
    assert (job.recipe, job.status, job.owner, job.name) == ("text-generation", "queued", owner, "Fine-tuning 1")
    assert job.dataset_version.dataset == stories and sum(job.dataset_version.counts.values()) == ENOUGH
    assert taken() == ENOUGH and Item.objects.filter(dataset=stories).count() == ENOUGH
    assert {item["session"] for item in Item.objects.values_list("generated", flat=True)} == {str(made.session_id)}
    assert f"job {maker.pk}" in JobEvent.objects.get(job=job, kind="triggered").message
    assert f"job {job.pk}" in JobEvent.objects.get(job=maker, kind="fine_tuning_started").message
    maker.refresh_from_db()
    assert maker.status == "running"
    assert [tasks.start_fine_tuning(rule.pk) for _ in range(3)] == [0, 0, 0]
    keep(maker, ENOUGH)
    assert tasks.start_fine_tuning(rule.pk) == 1
    assert list(FineTuning.objects.values_list("number", "examples").order_by("number")) == [(1, 5), (2, 5)]


@pytest.mark.django_db(transaction=True)
def test_a_supervisor_asks_as_soon_as_enough_is_written(owner, stories, running, asked):
    rule = make_rule(owner, stories)
    Job.objects.filter(pk=running.job_id).update(save_to=stories)
    running.job.refresh_from_db()
    writer = ProgressWriter(running.job, running.number)
    for step in range(1, ENOUGH):
        writer.example(event(step))
    writer.example(event(ENOUGH, kept=False, score=2.0))
    writer.flush()
    assert asked == []
    writer.example(event(ENOUGH + 1))
    writer.flush()
    assert asked == [(threshold.TASK, rule.pk)]
    writer.example(event(ENOUGH + 2))
    writer.flush()
    assert len(asked) == 1, "one task is enough for a while"
    assert set(GeneratedExample.objects.values_list("attempt_number", flat=True)) == {running.number}


def test_a_supervisor_is_not_harmed_when_counting_fails(running, stories, owner, monkeypatch):
    Job.objects.filter(pk=running.job_id).update(save_to=stories)
    running.job.refresh_from_db()

    def away():
        raise OperationalError("away")

    monkeypatch.setattr(threshold, "due", away)
    writer = ProgressWriter(running.job, running.number)
    writer.example(event(1))
    assert writer.flush() == "" and writer.flush() == ""
    assert GeneratedExample.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rounds", range(3))
def test_many_at_once_make_one_job(owner, stories, rounds):
    rule = make_rule(owner, stories)
    makers = [make_generating(owner, stories, f"Writer {n}") for n in range(2)]
    keep(makers[0], 3), keep(makers[1], 2)
    ready, made, wrong = threading.Barrier(4), [], []

    def worker():
        ready.wait()
        try:
            made.append(tasks.start_fine_tuning(rule.pk))
        except Exception as error:
            wrong.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and sum(made) == 1
    assert FineTuning.objects.get().examples == ENOUGH == taken()
    assert Job.objects.filter(recipe="text-generation").count() == 1
    assert Item.objects.count() == ENOUGH


@pytest.mark.django_db(transaction=True)
def test_two_sessions_that_write_while_workers_look_lose_and_double_nothing(owner, stories):
    rule = make_rule(owner, stories)
    makers = [make_generating(owner, stories, f"Writer {n}") for n in range(2)]
    over, wrong = threading.Event(), []

    def write(job):
        try:
            for _ in range(12):
                with transaction.atomic():
                    Job.objects.select_for_update().get(pk=job.pk)
                    keep(job, 1)
        finally:
            connections.close_all()

    def look():
        try:
            while not over.is_set():
                tasks.start_fine_tuning(rule.pk)
        except Exception as error:
            wrong.append(error)
        finally:
            connections.close_all()

    writers = [threading.Thread(target=write, args=(job,)) for job in makers]
    lookers = [threading.Thread(target=look) for _ in range(2)]
    for thread in (*writers, *lookers):
        thread.start()
    for thread in writers:
        thread.join()
    over.set()
    for thread in lookers:
        thread.join()
    again(rule)
    assert wrong == []
    made = list(FineTuning.objects.order_by("number"))
    assert sum(one.examples for one in made) == taken() == 20 and threshold.count(rule) == 4
    assert [one.number for one in made] == list(range(1, len(made) + 1))
    assert len(made) == 4 and all(one.taken.count() == one.examples for one in made)
    assert Job.objects.filter(recipe="text-generation").count() == len(made)


STEPS = [
    "jobs.automatic.starting.saving.save", "jobs.automatic.starting.creation.freeze",
    "jobs.automatic.starting.limits.take_turns", "jobs.automatic.starting.blueprints.start",
    "jobs.automatic.starting.runs.first_attempt", "jobs.automatic.starting.record",
    "jobs.automatic.starting.wake_on_commit",
]  # fmt: skip


class Killed(BaseException):
    """As a process ends that is killed: nobody catches it."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", STEPS)
def test_a_worker_that_dies_between_two_lines_leaves_nothing_half_done(owner, stories, monkeypatch, asked, where, when):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH)
    call = resolve_name(where)

    def die(*given, **named):
        if when == "after":
            call(*given, **named)
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(where, die)
        with pytest.raises(Killed):
            starting.start_all(rule.pk)
    assert not FineTuning.objects.exists() and taken() == 0
    assert not Job.objects.filter(recipe="text-generation").exists()
    assert not OutboxMessage.objects.filter(topic=starting.STARTED).exists()
    threshold.sweep()
    assert asked == [(threshold.TASK, rule.pk)], "the sweep finds it after a restart"
    assert tasks.start_fine_tuning(rule.pk) == 1
    assert taken() == ENOUGH == Item.objects.count() and Job.objects.filter(recipe="text-generation").count() == 1


def test_the_sweep_asks_for_what_is_due_and_nothing_else(owner, stranger, stories, asked, monkeypatch):
    other, _ = create_dataset(owner, name="Others", modality="text")
    theirs, _ = create_dataset(stranger, name="Theirs", modality="text")
    rule = make_rule(owner, stories)
    maker = make_generating(owner, stories)
    keep(maker, ENOUGH)
    subject = create_subject(owner, name="Anna")
    off = make_rule(owner, other, subject=subject, enabled=False)
    keep(make_generating(owner, other), ENOUGH)
    make_rule(stranger, theirs)
    keep(make_generating(stranger, theirs), ENOUGH - 1)
    threshold.sweep()
    assert asked == [(threshold.TASK, rule.pk)]
    monkeypatch.setattr(threshold, "_swept", [0.0])
    threshold.sweep()
    assert len(asked) == 1
    AutomaticTraining.objects.filter(pk=rule.pk).update(asked_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(threshold, "_swept", [0.0])
    threshold.sweep()
    assert len(asked) == 2, "a task that was lost is sent again"
    assert tasks.start_fine_tuning(off.pk) == 0 and threshold.count(off) == ENOUGH


def test_what_passes_by_itself_is_tried_again(owner, administrator, stories):
    limits.set_limit(administrator, user=owner, max_active=1)
    maker = make_generating(owner, stories)
    rule = make_rule(owner, stories)
    keep(maker, ENOUGH)
    assert tasks.start_fine_tuning(rule.pk) == 0
    rule.refresh_from_db()
    assert "the limit is 1" in rule.last_error and rule.retry_at > timezone.now() and rule.refused_after is None
    assert taken() == 0
    assert tasks.start_fine_tuning(rule.pk) == 0, "not in a hot loop"
    limits.set_limit(administrator, user=owner, max_active=5)
    assert again(rule) == 1
    rule.refresh_from_db()
    assert (rule.last_error, rule.retry_at) == ("", None)


def test_what_is_refused_is_told_and_tried_again_with_new_examples(owner, stories, monkeypatch):
    maker = make_generating(owner, stories)
    rule = make_rule(owner, stories, recipe="image-classification")
    keep(maker, ENOUGH)
    assert tasks.start_fine_tuning(rule.pk) == 0
    rule.refresh_from_db()
    assert "trains on image" in rule.last_error and rule.refused_after is not None
    calls = []
    monkeypatch.setattr(starting, "_ready", lambda rule: calls.append(rule) or 1 / 0)
    assert again(rule) == 0 and calls == [], "nothing is new"
    keep(maker, 1)
    assert again(rule) == 0 and len(calls) == 1


def test_there_is_a_job_for_each_threshold_however_late_somebody_looks(owner, stories):
    rule = make_rule(owner, stories)
    keep(make_generating(owner, stories), 2 * ENOUGH + 2)
    assert tasks.start_fine_tuning(rule.pk) == 2
    assert list(FineTuning.objects.values_list("examples", flat=True)) == [ENOUGH, ENOUGH]
    assert threshold.count(rule) == 2


def test_what_gathered_while_nothing_could_start_is_for_one_job(owner, administrator, stories):
    maker = make_generating(owner, stories)
    keep(maker, 2 * ENOUGH + 2)
    rule = settings.change(owner, dataset=stories.pk, enabled=True, threshold=ENOUGH)
    limits.set_limit(administrator, user=owner, max_active=1)
    assert tasks.start_fine_tuning(rule.pk) == 0
    keep(maker, ENOUGH)
    assert again(rule) == 0
    limits.set_limit(administrator, user=owner)
    assert again(rule) == 1
    assert FineTuning.objects.get().examples == 3 * ENOUGH and threshold.count(rule) == 2
    keep(maker, ENOUGH)
    assert tasks.start_fine_tuning(rule.pk) == 1 and threshold.count(rule) == 2


def test_examples_that_are_not_kept_or_not_his_or_in_memory_count_nothing(owner, stranger, stories):
    rule = make_rule(owner, stories)
    keep(make_generating(owner, stories), ENOUGH, kept=False)
    keep(make_generating(stranger, stories), ENOUGH)
    keep(make_generating(owner, None), ENOUGH)
    assert threshold.count(rule) == 0 and tasks.start_fine_tuning(rule.pk) == 0
    memory = make_rule(stranger, None)
    assert threshold.count(memory) == 0 and tasks.start_fine_tuning(memory.pk) == 0


def test_a_template_says_how_and_the_rule_with_which_data(owner, stories):
    version = make_version(owner)
    kept = {"recipe": "text-generation", "name": "Nightly {number}", "config": {"steps": 7}, "priority": 3,
            "base_version": version.pk, "dataset": stories.pk}  # fmt: skip
    template = blueprints.save(owner, "Nightly", kept)
    rule = make_rule(owner, stories, template=template)
    keep(make_generating(owner, stories), ENOUGH)
    assert tasks.start_fine_tuning(rule.pk) == 1
    job = FineTuning.objects.get().job
    assert (job.name, job.config["steps"], job.priority, job.base_version) == ("Nightly 1", 7, 3, version)


def test_rows_that_count_stay_when_an_attempt_goes_back(running, stories, owner):
    job = running.job
    rule = make_rule(owner, stories)
    Job.objects.filter(pk=job.pk).update(save_to=stories, recipe="generate", config={"judge": "measures"})
    writer = ProgressWriter(job, running.number)
    for step in range(1, ENOUGH + 1):
        writer.example(event(step, text=f"first {step}"))
    writer.flush()
    assert tasks.start_fine_tuning(rule.pk) == 1
    writer.example(event(ENOUGH + 1, text="first 6"))
    writer.flush()
    writer.rewind(2)
    assert list(GeneratedExample.objects.values_list("step", flat=True)) == list(range(1, ENOUGH + 1))
    for step in range(3, ENOUGH + 2):
        writer.example(event(step, text=f"second {step}"))
    writer.flush()
    texts = dict(GeneratedExample.objects.values_list("step", "text"))
    assert (texts[3], texts[6]) == ("first 3", "second 6")
    assert taken() == ENOUGH and threshold.count(rule) == 1


def test_a_cancelled_run_s_examples_count(owner, stories):
    rule, maker = make_rule(owner, stories), make_generating(owner, stories)
    keep(maker, ENOUGH)
    Job.objects.filter(pk=maker.pk).update(status="queued", phase="", attempt_started_at=None)
    control.cancel(maker, owner)
    assert tasks.start_fine_tuning(rule.pk) == 1


def test_a_subject_s_rule_makes_a_job_about_it_when_that_is_free(owner, stories, monkeypatch):
    subject = create_subject(owner, name="Anna")
    rule = make_rule(owner, stories, subject=subject)
    other = make_rule(owner, create_dataset(owner, name="Others", modality="text")[0])
    keep(make_generating(owner, stories, subject=subject), ENOUGH)
    keep(make_generating(owner, other.dataset, "Other"), ENOUGH)
    busy = make_job(owner, name="Busy")
    Job.objects.filter(pk=busy.pk).update(recipe="text-generation", subject=subject)
    with monkeypatch.context() as watched:
        watched.setattr(starting.creation, "freeze", lambda *_: 1 / 0)
        assert tasks.start_fine_tuning(rule.pk) == 0, "nothing is frozen for what is busy"
    rule.refresh_from_db()
    assert f"Job {busy.pk}" in rule.last_error
    assert tasks.start_fine_tuning(other.pk) == 1, "rules don't wait for each other"
    Job.objects.filter(pk=busy.pk).update(status="completed", completed_at=timezone.now())
    assert again(rule) == 1
    made = {one.rule: one for one in FineTuning.objects.select_related("job")}
    assert (made[rule].job.subject, made[other].job.subject, made[rule].number) == (subject, None, 1)


def test_a_database_that_takes_too_long_is_not_asked_in_a_hot_loop(owner, stories, monkeypatch):
    def slow(*_):
        raise OperationalError("canceling statement due to statement timeout")

    rule = make_rule(owner, stories)
    keep(make_generating(owner, stories), ENOUGH)
    monkeypatch.setattr(starting.creation, "freeze", slow)
    assert tasks.start_fine_tuning(rule.pk) == 0
    rule.refresh_from_db()
    assert rule.retry_at > timezone.now() and "took too long" in rule.last_error


def test_a_template_that_a_rule_uses_stays(owner, stories):
    template = blueprints.save(owner, "Nightly", {"recipe": "text-generation", "dataset": stories.pk})
    make_rule(owner, stories, template=template)
    with pytest.raises(ConflictError, match="automatic training"):
        blueprints.delete(template)
