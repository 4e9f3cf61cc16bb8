"""A check lays recent data of a model beside a reference and says what moved, by what, and from what it knows."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ

from common.errors import InvalidInputError
from datasets.claims import STALE
from datasets.freezing.versions import freeze
from performance.drift import reading, verbs, windows
from performance.drift.verbs import Stretch, check, in_use, run
from performance.models import DriftCheck
from performance.sweep import PARTS
from registry.models import Alias, ModelVersion
from tests.performance.drift.made import log, sensor, tell, wrongs
from tests.tables import make_table
from tests.world import make_dataset, make_version

DAYS = timedelta(days=1)


def found(version, about="inputs", **wanted):
    return run(check(version.model, about, **wanted).pk)


def test_what_moved_is_told_to_alerts_and_to_retraining_at_once(trained, owner, monkeypatch):
    told = []
    monkeypatch.setattr(verbs.evaluating, "soon", lambda: told.append("alerts"))
    monkeypatch.setattr(verbs.triggers, "knock", told.append)
    log(trained, sensor(2, 400))
    assert found(trained).moved is False and told == ["alerts"]
    log(trained, sensor(3, 1000, shift=3.0))
    assert found(trained).moved and told == ["alerts", "alerts", trained.model_id]


def test_inputs_that_moved_away_from_the_training_data_are_named_with_all_evidence(trained, owner):
    log(trained, sensor(2, 1200, shift=3.0))
    made = check(trained.model, "inputs", owner)
    assert (made.status, made.reference_data, made.version, made.asked_by) == (
        "queued", trained.dataset_version, None, owner,
    )  # fmt: skip
    ended = run(made.pk)
    assert (ended.status, ended.moved, ended.attempt) == ("completed", True, 1), ended.message
    assert (ended.reference_count, ended.recent_count) == (3000, 1000)
    first = ended.findings[0]
    assert (first["column"], first["test"], first["moved"]) == ("temperature", "Kolmogorov–Smirnov", True)
    assert first["distance"] == pytest.approx(1.5, abs=0.1) and first["threshold"] == 0.2
    assert not any(one["moved"] for one in ended.findings[1:])
    for words in ("1 input has moved", "'temperature' (Kolmogorov–Smirnov D = ", "corrected p < 0.0001; Wasserstein",
                  "0.2 matters", "1,000 recent predictions beside 3,000 rows of Machines v1"):  # fmt: skip
        assert words in ended.message
    drawn = first["picture"]
    assert len(drawn["labels"]) == len(drawn["recent"]) == len(drawn["edges"]) - 1
    assert sum(drawn["reference"]) == pytest.approx(1, abs=1e-4) and sum(drawn["recent"]) == pytest.approx(1, abs=1e-4)
    assert {one["column"] for one in ended.findings} == {"temperature", "speed", "Type"}  # no 'failure': never an input
    types = next(one["picture"] for one in ended.findings if one["column"] == "Type")
    assert types["labels"] == ["L", "M", "H"] and types["reference"] == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_inputs_as_in_training_are_quiet(trained):
    log(trained, sensor(3, 1000))
    ended = found(trained)
    assert ended.moved is False and ended.message.startswith("Nothing has moved: none of 3 tests")
    assert "1,000 recent predictions beside 3,000 rows" in ended.message


def test_numbers_that_come_as_texts_are_numbers(trained):
    log(trained, [{name: str(value) for name, value in row.items()} for row in sensor(3, 400)])
    ended = found(trained)
    assert ended.moved is False
    assert {one["kind"] for one in ended.findings} == {"number", "category"}


def test_too_few_predictions_say_how_many_are_missing(trained):
    assert "there are 0 recent predictions, 30 more are needed" in found(trained).message
    log(trained, sensor(3, 12))
    ended = found(trained)
    assert (ended.status, ended.moved, ended.findings) == ("completed", None, [])
    assert ended.message == "Too little to say: there are 12 recent predictions, 18 more are needed."
    assert ended.hint == "Check again when more has been logged."


def test_inputs_of_other_names_are_told(trained):
    log(trained, [{"a": 1.0}] * 40)
    ended = found(trained)
    assert ended.moved is None and ended.hint.startswith("Log inputs with the names")
    expected = "There is nothing to compare: Machines v1 has none of the columns that are logged now ('a')."
    assert ended.message == expected


def test_without_training_data_the_first_predictions_are_the_reference(version):
    log(version, sensor(4, 500), ago=9 * DAYS)
    log(version, sensor(5, 1000, shift=2.0))
    ended = found(version)
    assert ended.reference_data is None and ended.moved and ended.reference_until <= ended.recent_from
    assert "1,000 recent predictions beside 500 of an earlier time" in ended.message


def test_a_stretch_of_time_can_be_the_reference_and_the_recent_window(version):
    now = timezone.now()
    log(version, sensor(4, 100), ago=9 * DAYS)
    log(version, sensor(4, 200), ago=5 * DAYS)
    log(version, sensor(5, 300))
    stretch = Stretch(now - 6 * DAYS, now - 4 * DAYS)
    ended = found(version, reference=stretch, recent=timedelta(hours=2))
    assert (ended.reference_count, ended.recent_count, ended.moved) == (200, 300, False)


def test_answers_of_the_version_in_use_are_compared_with_its_first_ones(version, owner):
    other = make_version(owner, model=version.model, name=version.model.name, recipe="table-baseline")
    dice = np.random.default_rng(6)
    for seed, mine, ago in ((1, 0.3, 9 * DAYS), (2, 0.8, timedelta(0))):
        labels = [str(one) for one in dice.choice(["yes", "no"], 400, p=[mine, 1 - mine])]
        scores = [float(one) for one in dice.beta(8, 2, 400)]
        log(other, sensor(seed, 400), ago=ago, label=labels, score=scores)
        log(version, sensor(seed, 400), ago=ago + DAYS, label="yes", score=0.9)
    assert in_use(version.model) == other
    ended = found(version, "predictions", recent=400)
    assert ended.version == other and ended.moved
    assert [one["column"] for one in ended.findings if one["moved"]] == ["label"]
    Alias.objects.create(model=version.model, name="champion", version=version, since=timezone.now())
    assert in_use(version.model) == version
    assert found(version, "predictions", recent=400).moved is False


def test_answers_that_fail_to_come_are_a_finding(version):
    log(version, sensor(1, 300), ago=9 * DAYS, score=0.5)
    log(version, sensor(2, 200), score=0.5, error=["no memory" if n % 5 == 0 else "" for n in range(200)])
    ended = found(version, "predictions", recent=200)
    assert [(one["column"], one["kind"]) for one in ended.findings if one["moved"]] == [("unanswered", "share")]


def test_more_wrong_answers_are_told_and_fewer_are_no_alarm(version):
    tell(log(version, sensor(1, 1000), ago=9 * DAYS), wrongs(1, (1000, 0.10)))
    tell(log(version, sensor(2, 1000), ago=5 * DAYS), wrongs(2, (1000, 0.20)))
    ended = found(version, "errors")
    assert ended.moved and "'wrong'" in ended.message and "1,000 recent outcomes" in ended.message
    assert ended.findings[0]["picture"]["labels"] == ["no", "yes"]
    tell(log(version, sensor(3, 1000)), wrongs(3, (1000, 0.01)))
    better = found(version, "errors")
    assert better.moved is False and better.findings[0]["corrected"] < 0.01


def test_larger_errors_of_numbers_are_told(version):
    dice = np.random.default_rng(3)
    tell(log(version, sensor(1, 600), ago=9 * DAYS), errors=dice.normal(0, 1, 600))
    tell(log(version, sensor(2, 600)), errors=dice.normal(0, 2, 600))
    assert "size of error" in {one["column"] for one in found(version, "errors", recent=600).findings if one["moved"]}


def test_a_large_window_is_sampled_the_same_way_each_time(version, monkeypatch):
    monkeypatch.setattr(windows, "SAMPLE", 300)
    log(version, sensor(1, 2000), ago=9 * DAYS)
    log(version, sensor(2, 3000))
    one, other = found(version, recent=3000), found(version, recent=3000)
    assert one.recent_count == 300 and one.reference_count == 300
    assert one.findings == other.findings and one.moved is False


def test_shadows_are_no_inputs_of_their_own(version, owner):
    shadow = make_version(owner, model=version.model, name=version.model.name, recipe="table-baseline")
    given = log(version, sensor(1, 40))
    log(shadow, sensor(1, 40), shadow_of=given[0].pk)
    assert found(version).recent_count == 40


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"about": "weather"}, "can't be checked"),
        ({"about": "errors", "reference": "training"}, "hold no errors"),
        ({"about": "inputs", "reference": "yesterday"}, "is no reference"),
        ({"about": "inputs", "reference": "training"}, "has not answered yet"),
    ],
)
def test_what_does_not_fit_together_is_refused(version, wanted, words):
    with pytest.raises(InvalidInputError, match=words):
        check(version.model, **wanted)
    assert not DriftCheck.objects.exists()


def test_a_version_of_another_model_is_refused(version, owner):
    with pytest.raises(InvalidInputError, match="no version of"):
        check(version.model, "inputs", version=make_version(owner, "Other"))


def test_it_is_carried_out_once_and_a_lost_worker_s_place_is_taken(trained, django_capture_on_commit_callbacks):
    log(trained, sensor(3, 100))
    with django_capture_on_commit_callbacks(execute=True):
        made = check(trained.model, "inputs")
    assert OrmQ.objects.filter(key="background").count() == 1
    DriftCheck.objects.filter(pk=made.pk).update(
        status="running",
        attempt=1,
        created_at=timezone.now() - DAYS,
        heartbeat_at=timezone.now() - STALE - timedelta(seconds=9),
    )
    assert verbs.sweep in PARTS and verbs.sweep() == 1
    ended = run(made.pk)
    assert (ended.status, ended.attempt) == ("completed", 2)
    assert run(made.pk) is None


def test_a_worker_that_was_taken_for_dead_writes_nothing(trained, monkeypatch):
    log(trained, sensor(3, 100))
    made = check(trained.model, "inputs")
    real = verbs.judging.judge

    def overtaken(*given):
        DriftCheck.objects.filter(pk=made.pk).update(attempt=2)
        return real(*given)

    monkeypatch.setattr(verbs.judging, "judge", overtaken)
    assert run(made.pk) is None
    made.refresh_from_db()
    assert (made.status, made.moved, made.findings) == ("running", None, [])


def test_what_breaks_is_told_in_words(trained, monkeypatch):
    log(trained, sensor(3, 100))
    made = check(trained.model, "inputs")
    monkeypatch.setattr(verbs.judging, "judge", lambda *given: 1 / 0)
    ended = run(made.pk)
    assert (ended.status, ended.moved) == ("failed", None) and "ZeroDivisionError" in ended.message and ended.hint


def test_a_verdict_belongs_to_a_completed_check(trained):
    made = check(trained.model, "inputs")
    with pytest.raises(IntegrityError), transaction.atomic():
        DriftCheck.objects.filter(pk=made.pk).update(moved=True)
    assert ModelVersion.objects.count() == 1


def test_items_are_measured_as_inputs_are(owner, monkeypatch):
    files = {f"{n}.txt": f"number {n} of a few words ".encode() * (1 + n % 9) for n in range(60)}
    data = freeze(make_dataset(owner, "Notes", files), owner)
    version = make_version(owner, "Sorter", recipe="text-classification", dataset_version=data)
    log(version, [{"characters": 26 * (1 + n % 9), "confidence": 0.9} for n in range(60)])
    monkeypatch.setattr(reading, "features_of", lambda given, takes, modality, keep: {"characters": len(given)})
    ended = found(version)
    assert (ended.reference_data, ended.reference_count, ended.moved) == (data, 60, False)
    assert [one["column"] for one in ended.findings] == ["characters"]


def test_texts_that_are_not_logged_are_not_missing(owner):
    columns = {"note": ["x" * 80 if n % 2 else "short" for n in range(400)], "y": list(range(400))}
    data = freeze(make_table(owner, "Notes", [columns]), owner)
    version = make_version(owner, "Notes", recipe="table-baseline", dataset_version=data)
    log(version, [{} if n % 2 else {"note": "short"} for n in range(400)])
    assert found(version).moved is False


def test_two_clicks_are_one_check_though_predictions_came_between(trained, owner):
    log(trained, sensor(2, 300))
    first = check(trained.model, "inputs", owner, recent=timedelta(hours=1))
    log(trained, sensor(3, 50))
    assert check(trained.model, "inputs", owner, recent=timedelta(hours=1)) == first
    assert check(trained.model, "inputs", None) != first, "the hub's own is another one"
    DriftCheck.objects.update(created_at=F("created_at") - timedelta(minutes=1))
    assert check(trained.model, "inputs", owner) != first
