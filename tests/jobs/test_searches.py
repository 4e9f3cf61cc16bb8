"""A search makes trials as jobs, learns from them, ends those behind, and keeps the best: whatever dies between."""

from __future__ import annotations

import hashlib
import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.files import store
from common.references import remove_unreferenced
from engine.catalogue import RECIPES
from engine.protocol import Exit
from jobs import conclusion, control
from jobs.conclusion import Ending
from jobs.folders import work_folder
from jobs.limits import set_limit
from jobs.models import Job, MetricSeries, ProgressRow, Search, Trial
from jobs.queue import claim
from jobs.search import running, sampling, space, verbs
from jobs.states import Status
from tests.world import make_dataset

SPACE = {"step_seconds": {"low": 0.001, "high": 1.0, "log": True}, "steps": {"values": [10, 20, 40]}}


@pytest.fixture
def search(owner):
    return verbs.create(owner, recipe="simulate", space=SPACE, trials=9, at_once=2)


@pytest.fixture
def finish(slot, myself):
    """Let the next queued job run to its end with these figures."""

    def run(metrics=None, artifact=None, code=0) -> Job:
        attempt = claim(slot, myself)
        assert attempt is not None
        with connection.cursor() as cursor:  # a claim is short, the transaction of a test is not
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
        job = attempt.job
        listed = []
        if artifact is not None:
            folder = work_folder(job.pk) / "artifact"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "model.safetensors").write_bytes(artifact)
            digest = hashlib.sha256(artifact).hexdigest()
            listed = [{"name": "model.safetensors", "sha256": digest, "bytes": len(artifact)}]
        event = {"event": "completed", "step": 1, "metrics": metrics or {}, "artifact": listed}
        if code:
            event = {"event": "failed", "code": "CODE_ERROR", "message": "It broke.", "hint": "", "traceback": ""}
        conclusion.conclude(job.pk, attempt.number, Ending(ended=conclusion.Ended(code=code), event=event))
        job.refresh_from_db()
        return job

    return run


def states(search):
    return list(search.trials.values_list("state", flat=True))


def test_it_fills_its_places_with_trials_inside_the_space(search):
    running.advance(search.pk)
    running.advance(search.pk)
    trials = list(search.trials.select_related("job"))
    assert [trial.number for trial in trials] == [1, 2] and states(search) == ["running", "running"]
    for trial in trials:
        assert 0.001 <= trial.params["step_seconds"] <= 1 and trial.params["steps"] in (10, 20, 40)
        assert trial.job.config["steps"] == trial.params["steps"] and trial.job.status == Status.QUEUED
        assert trial.job.seed == search.seed
    assert trials[0].params != trials[1].params


def test_it_ends_with_the_best_trial_when_all_were_made(search, finish):
    values = [0.9, 0.4, 0.7, 0.2, 0.8, 0.5, 0.6, 0.3, 1.0]
    for value in values:
        running.advance(search.pk)
        finish({"validation/loss": value})
    running.advance(search.pk)
    search.refresh_from_db()
    assert (search.status, search.best.value) == ("completed", 0.2) and search.ended_at
    assert sorted(search.trials.values_list("value", flat=True)) == sorted(values)
    assert set(search.importances) == set(SPACE) and sum(search.importances.values()) == pytest.approx(1, abs=0.01)
    assert [event.kind for event in search.events.order_by("id")] == ["created", "completed"]
    assert search.version is None  # the simulator makes no model


def test_the_best_trial_alone_keeps_its_files_and_becomes_a_version_once(owner, finish):
    dataset = make_dataset(owner)
    search = verbs.create(
        owner, recipe="text-generation", dataset=dataset, space={"width": {"values": [16, 32, 64]}},
        config={"heads": 2}, trials=3, at_once=1,
    )  # fmt: skip
    for value, data in ((2.0, b"first"), (1.0, b"second"), (3.0, b"third")):
        running.advance(search.pk)
        job = finish({"validation/loss": value, "best/validation/loss": 0.1}, data)
        assert job.model_version is None and job.status == Status.COMPLETED
    addresses = {data: hashlib.sha256(data).hexdigest() for data in (b"first", b"second", b"third")}
    remove_unreferenced(store(), addresses.values())
    assert [store().exists(address) for address in addresses.values()] == [False, True, False]

    running.advance(search.pk)
    search.refresh_from_db()
    version = search.version
    assert search.status == "completed" and version.model.name == search.name
    assert version.metrics == {"validation/loss": 1.0} and version.artifact[0]["sha256"] == addresses[b"second"]
    assert version.config["heads"] == 2 and search.best.job.model_version == version
    assert verbs.promote(search, owner) == version
    assert version.model.versions.count() == 1


def test_settings_that_contradict_each_other_are_trials_that_failed_not_the_end(owner):
    dataset = make_dataset(owner)
    search = verbs.create(
        owner, recipe="text-generation", dataset=dataset, space={"heads": {"values": [2, 3]}}, config={"width": 32},
        trials=8, at_once=8, sampler="random",
    )  # fmt: skip
    running.advance(search.pk)
    found = {trial.params["heads"]: (trial.state, trial.reason) for trial in search.trials.all()}
    assert found[2][0] == "running"
    assert found[3][0] == "failed" and "can't be split into 3" in found[3][1]


def test_a_search_whose_first_trials_all_fail_ends_and_says_why(search, finish):
    for _ in range(6):
        running.advance(search.pk)
        finish(code=int(Exit.FAILED))
    running.advance(search.pk)
    search.refresh_from_db()
    assert search.status == "failed" and "It broke." in search.reason
    assert search.trials.count() == 6  # the one that ran beside the fifth was waited for, and there is no other


def test_a_metric_that_nobody_reports_is_named(search, finish):
    running.advance(search.pk)
    finish({"validation/accuracy": 1.0})
    trial = search.trials.first()
    assert trial.state == "failed" and "no 'validation/loss'. It reported: validation/accuracy" in trial.reason
    running.advance(search.pk)  # no more are made; the one beside it is waited for
    assert search.trials.count() == 2
    finish({"validation/accuracy": 1.0})
    running.advance(search.pk)
    search.refresh_from_db()
    assert search.status == "failed" and search.reason.startswith("It reported no 'validation/loss'. It reported:")


def test_cancelling_ends_the_search_and_its_jobs(search, owner, finish):
    running.advance(search.pk)
    verbs.cancel(search, owner)
    verbs.cancel(search, owner)
    running.advance(search.pk)
    search.refresh_from_db()
    assert search.status == "cancelled" and search.events.filter(kind="cancelled").count() == 1
    assert set(Job.objects.filter(trial__search=search).values_list("status", flat=True)) == {"cancelled"}


def test_a_search_cancelled_early_goes_on_with_fewer_at_once(owner):
    search = verbs.create(owner, recipe="simulate", space=SPACE, trials=60, at_once=40)
    running.advance(search.pk)
    Trial.objects.filter(search=search, number__gt=12).delete()
    verbs.cancel(search, owner)
    assert states(search) == ["failed"] * 12  # none is said to run
    search = verbs.extend(search, owner, 1)
    running.advance(search.pk)
    search.refresh_from_db()
    # What was cancelled tells nothing of the settings.
    assert (search.status, search.wanted, search.at_once) == ("running", 13, 13)
    assert states(search) == ["failed"] * 12 + ["running"]


def test_what_a_dead_process_left_running_is_cancelled_at_the_next_look(search, owner, finish, slot, myself):
    running.advance(search.pk)
    attempt = claim(slot, myself)
    pruned = search.trials.get(job=attempt.job)
    Trial.objects.filter(pk=pruned.pk).update(state="pruned", value=5.0, reason="It fell behind.")
    running.advance(search.pk)
    assert Job.objects.get(pk=attempt.job_id).request == "cancel"

    with transaction.atomic():
        verbs.end(verbs.locked(search.pk), Search.Status.CANCELLED, owner)
    waiting = Job.objects.filter(trial__search=search, status=Status.QUEUED)
    assert waiting.exists()
    OrmQ.objects.all().delete()
    running.sweep()
    assert OrmQ.objects.count() == 1
    running.advance(search.pk)
    assert not waiting.exists() and "running" not in states(search)


def test_more_trials_go_on_with_what_is_known(search, owner, finish):
    for value in range(9):
        running.advance(search.pk)
        finish({"validation/loss": float(value)})
    running.advance(search.pk)
    verbs.extend(search, owner, 2)
    running.advance(search.pk)
    search.refresh_from_db()
    assert (search.status, search.wanted, search.trials.count()) == ("running", 11, 11)
    with pytest.raises(InvalidInputError, match="1 to 989 more"):
        verbs.extend(search, owner, 5000)


def test_more_trials_may_run_at_another_pace(owner):
    search = verbs.create(owner, recipe="simulate", space=SPACE, trials=2, at_once=8)
    assert search.at_once == 2, "there were no more to run"
    search = verbs.extend(search, owner, 20, at_once=8)
    assert (search.wanted, search.at_once) == (22, 8)
    assert search.events.first().message == "20 more trials, 8 at a time."
    running.advance(search.pk)
    assert Job.objects.filter(trial__search=search).count() == 8
    assert verbs.extend(search, owner, 1).at_once == 8
    for wrong in (0, 65, True):
        with pytest.raises(InvalidInputError, match="from 1 to 64 at a time"):
            verbs.extend(search, owner, 1, at_once=wrong)


def test_what_is_better_is_said_of_a_metric_that_is_named(owner):
    def begun(**wanted):
        return verbs.create(owner, recipe="simulate", space=SPACE, **wanted)

    with pytest.raises(
        InvalidInputError, match="simulate's own goal, validation/loss, a lower value is better"
    ) as told:
        begun(higher_is_better=True)
    assert "higher_is_better" in told.value.fields and not Search.objects.exists()
    with pytest.raises(InvalidInputError, match="Say whether a higher value of 'train/loss' is better"):
        begun(metric="train/loss")
    assert begun(higher_is_better=False).higher_is_better is False
    named = begun(metric="train/loss", higher_is_better=True)
    assert (named.metric, named.higher_is_better) == ("train/loss", True)


def test_a_limit_is_waited_for_and_told(search, owner, administrator):
    set_limit(administrator, user=owner, max_active=1)
    running.advance(search.pk)
    search.refresh_from_db()
    assert search.trials.count() == 1 and search.status == "running" and search.reason


def _curve(job, values, total=100):
    series = MetricSeries.objects.create(job=job, name="validation/loss")
    ProgressRow.objects.bulk_create(
        ProgressRow(series=series, step=10 * (place + 1), value=value, recorded_at=timezone.now())
        for place, value in enumerate(values)
    )
    Job.objects.filter(pk=job.pk).update(total_steps=total)


def test_a_trial_that_falls_behind_is_ended_early(owner, finish, slot, myself):
    search = verbs.create(owner, recipe="simulate", space=SPACE, trials=6, at_once=1)
    for start in (1.0, 1.1, 1.2, 1.3):
        running.advance(search.pk)
        job = finish({"validation/loss": start - 0.9})
        _curve(job, [start - place * 0.1 for place in range(10)])
    running.advance(search.pk)
    attempt = claim(slot, myself)
    _curve(attempt.job, [5.0, 5.0])
    running.advance(search.pk)
    assert states(search)[-1] == "running"  # its first fifth is its own
    ProgressRow.objects.create(
        series=MetricSeries.objects.get(job=attempt.job), step=30, value=5.0, recorded_at=timezone.now()
    )
    running.advance(search.pk)
    trial = search.trials.get(job=attempt.job)
    job = Job.objects.get(pk=attempt.job_id)
    assert (trial.state, trial.value, job.request) == ("pruned", 5.0, "cancel")
    conclusion.conclude(job.pk, 1, Ending(ended=conclusion.Ended(code=4), event={"event": "cancelled", "step": 30}))
    running.advance(search.pk)
    assert states(search) == ["completed"] * 4 + ["pruned", "running"]


def test_a_good_trial_is_not_behind():
    search = Search(higher_is_better=True)
    others = [([(step, 0.5 + 0.01 * step) for step in range(0, 50, 5)], 50)] * 4
    assert not sampling.behind(search, [(20, 0.9)], 50, others)
    assert sampling.behind(search, [(20, 0.3)], 50, others)
    assert not sampling.behind(search, [(20, 0.3)], 50, others[:3])
    # Runs of other lengths are compared by the share that is done.
    assert sampling.behind(search, [(400, 0.3)], 1000, others)


BOWL = {"x": {"low": -5.0, "high": 5.0, "log": False, "whole": False}, "y": {"values": ["a", "b", "c"]}}


def tried(search: Search, count: int) -> list[Trial]:
    """Trials of a bowl whose bottom is at x = 2, y = b."""
    trials: list[Trial] = []
    for number in range(1, count + 1):
        params = sampling.suggest(search, trials, number)
        value = (params["x"] - 2) ** 2 + (0 if params["y"] == "b" else 4)
        trials.append(Trial(number=number, params=params, state="completed", value=value))
    return trials


def test_it_learns_where_the_good_settings_are():
    near = {
        sampler: sum(trial.value < 1 for trial in tried(Search(space=BOWL, seed=3, sampler=sampler), 60))
        for sampler in Search.Sampler.values
    }
    assert near["tpe"] > 2 * near["random"] + 5
    search = Search(space=BOWL, seed=3)
    trials = tried(search, 20)
    assert sampling.suggest(search, trials, 21) == sampling.suggest(search, trials, 21)
    weights = sampling.importances(search, trials)
    assert set(weights) == {"x", "y"} and weights["x"] > weights["y"] > 0


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({}, "space", "at least one"),
        ("width", "space", "at least one"),
        ({"wdth": {"low": 1, "high": 2}}, "space.wdth", "no setting 'wdth'"),
        ({"width": 5}, "space.width", "Write"),
        ({"width": {"low": 16}}, "space.width", "must be numbers"),
        ({"width": {"low": 16.5, "high": 32}}, "space.width", "whole numbers"),
        ({"width": {"low": 64, "high": 32}}, "space.width", "less than"),
        ({"width": {"low": 1, "high": 32}}, "space.width", "can't be used. Write a whole number from 8 to 4,096."),
        ({"width": {"low": 16, "high": 10**9}}, "space.width", "from 8 to 4,096"),
        ({"width": {"low": 16, "high": 32, "lg": True}}, "space.width", "'lg' is not known"),
        ({"width": {"low": float("nan"), "high": 32}}, "space.width", "must be numbers"),
        ({"width": {"low": 16, "high": 32, "log": "yes"}}, "space.width", "log is true or false"),
        ({"dropout": {"low": 0, "high": 0.5, "log": True}}, "space.dropout", "above 0"),
        ({"dropout": {"low": 0, "high": 1}}, "space.dropout", "from 0 to below 1"),
        ({"tokenizer": {"low": 0, "high": 1}}, "space.tokenizer", "name its values"),
        ({"tokenizer": {"values": ["byte", "morse"]}}, "space.tokenizer", "'morse' can't be used"),
        ({"tokenizer": {"values": ["byte"]}}, "space.tokenizer", "from 2 to 50"),
        ({"tokenizer": {"values": ["byte", "byte"]}}, "space.tokenizer", "each once"),
        ({"tokenizer": {"values": ["byte", ["x"]]}}, "space.tokenizer", "each once"),
        ({"width": {"values": [16, 32], "low": 3}}, "space.width", "one of the two"),
    ],
)
def test_a_wrong_space_is_told_by_setting(given, field, said):
    with pytest.raises(InvalidInputError) as told:
        space.read("text-generation", given)
    assert said in told.value.fields[field][0]


def test_what_a_form_offers_is_a_space_that_is_taken():
    for recipe in ("text-generation", "image-classification", "simulate"):
        for name, where in space.offered(recipe).items():
            asked = (
                {"values": where}
                if isinstance(where, list)
                else {"low": where.low, "high": where.high, "log": where.log}
            )
            if isinstance(where, list) and len(where) < 2:
                continue
            assert name in space.read(recipe, {name: asked}), name


def test_what_moves_the_yardstick_or_has_no_sensible_range_is_not_offered():
    never = {"validation_fraction", "test_fraction", "horizon", "tokenizer", "accumulate", "sample_every"}
    never |= {"seconds", "season", "deterministic", "precision", "false_alarm_rate"}
    for recipe in RECIPES:
        assert not set(space.offered(recipe)) & never
    offered = space.offered("text-generation")
    assert "steps" not in offered and offered["lora_alpha"].low >= 1 and "learning_rate" in offered


def test_a_trial_that_failed_is_a_poor_place_to_look_again():
    search = Search(space=BOWL, seed=3)
    done = tried(search, 4)
    bad = {"x": -4.0, "y": "c"}
    failed = Trial(number=5, params=bad, state="failed", reason="It broke.")
    cancelled = Trial(number=6, params=bad, state="failed", reason="It was cancelled.")
    told = sampling._study(search, [*done, failed, cancelled], 7).trials
    assert [trial.value for trial in told] == [trial.value for trial in done] + [max(trial.value for trial in done)]


def test_wrong_counts_and_others_data_are_refused(owner, stranger):
    for wrong, field in (({"trials": 0}, "trials"), ({"trials": 1001}, "trials"), ({"at_once": 65}, "at_once")):
        with pytest.raises(InvalidInputError) as told:
            verbs.create(owner, recipe="simulate", space=SPACE, **wrong)
        assert field in told.value.fields
    with pytest.raises(InvalidInputError, match="sampler"):
        verbs.create(owner, recipe="simulate", space=SPACE, sampler="guess")
    with pytest.raises(NotFoundError):
        verbs.create(
            owner, recipe="text-generation", space={"width": {"values": [16, 32]}}, dataset=make_dataset(stranger)
        )
    with pytest.raises(ConflictError, match="No trial"):
        verbs.promote(verbs.create(owner, recipe="simulate", space=SPACE), owner)
    assert Search.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_make_no_trial_twice(owner):
    search = verbs.create(owner, recipe="simulate", space=SPACE, trials=4, at_once=4)

    def work():
        running.advance(search.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(search.trials.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert Job.objects.filter(trial__search=search).count() == 4


def test_a_trial_that_someone_cancels_has_failed_and_another_takes_its_place(search, owner):
    running.advance(search.pk)
    control.cancel(search.trials.first().job, owner)
    running.advance(search.pk)
    assert states(search) == ["failed", "running", "running"]
