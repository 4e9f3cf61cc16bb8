"""What is counted is exactly what came in: late, corrected, by the same customer, of shadows."""

from __future__ import annotations

import statistics
from datetime import timedelta

import pytest
from django.utils import timezone

from performance.experiments import looking, overview, sums, verbs
from performance.models import ArmSum, Experiment
from registry.models import Model, Outcome, Prediction
from tests.performance.experiments.conftest import answer, judged, tell

pytestmark = pytest.mark.django_db


def counted(experiment):
    """The sums of each arm after a look at it, the control's first."""
    looking.look(experiment.pk)
    return list(ArmSum.objects.filter(arm__route__experiment=experiment).order_by("-arm__control", "arm_id"))


@pytest.fixture
def test_of(begun, versions):
    """An experiment, and its arms."""

    def start(*arguments, **given):
        experiment = begun(*arguments, **given)
        return experiment, looking.arms_of(experiment)

    return start


def test_each_outcome_counts_once_however_often_one_looks(test_of):
    experiment, (control, variant) = test_of()
    judged(control, 40, 30)
    judged(variant, 20, 5)
    for _ in range(3):
        theirs, ours = counted(experiment)
    assert (theirs.answers, theirs.outcomes, theirs.units, theirs.mean) == (40, 40, 40, 0.75)
    assert (ours.answers, ours.outcomes, ours.units, ours.mean) == (20, 20, 20, 0.25)
    assert ours.variance == pytest.approx(statistics.variance([1] * 5 + [0] * 15))


def test_truth_that_comes_late_or_is_corrected_is_in_the_sums(test_of):
    experiment, (control, variant) = test_of()
    late = answer(control, 30)
    judged(variant, 10, 10)
    assert [one.units for one in counted(experiment)] == [0, 10]
    tell(late, 10)
    Outcome.objects.filter(arm=variant).update(correct=False)
    theirs, ours = counted(experiment)
    assert (theirs.units, theirs.mean, ours.units, ours.mean) == (30, pytest.approx(1 / 3), 10, 0)


def test_a_customer_counts_once_by_the_mean_of_what_came_of_it(test_of):
    experiment, (control, variant) = test_of(metric="feedback_mean")
    made = answer(control, 12, keys=3)
    for number, one in enumerate(made):
        tell([one], value=float(number % 3), truth=None, correct=None)
    tell(answer(variant, 5), value=2.0, truth=None, correct=None)
    theirs, ours = counted(experiment)
    assert (theirs.units, theirs.outcomes, theirs.mean, theirs.variance) == (3, 12, 1.0, 1.0)
    assert (ours.units, ours.outcomes, ours.keys) == (5, 5, 5)
    assert theirs.keys == 3


def test_a_customer_is_known_when_the_predictions_are_gone(test_of):
    experiment, (control, _) = test_of()
    judged(control, 12, 6, keys=4)
    Prediction.objects.all().delete()
    assert counted(experiment)[0].units == 4


def test_the_rows_of_one_request_are_one_finding(test_of):
    experiment, (control, _) = test_of()
    made = answer(control, 6)
    Prediction.objects.filter(pk__in=[one.pk for one in made]).update(at=made[0].at)
    tell(list(Prediction.objects.all()), 3)
    theirs = counted(experiment)[0]
    assert (theirs.units, theirs.outcomes, theirs.keys, theirs.mean) == (1, 6, 1, 0.5)


def test_of_ranks_it_is_counted_how_many_lie_in_each_step(test_of):
    experiment, (control, variant) = test_of(metric="latency")
    for latency in (5.03, 5.04, 100.0):
        answer(control, 2, latency_ms=latency)
    answer(variant, 1, latency_ms=0.0)
    answer(variant, 1, latency_ms=7.0, error="It broke.")  # took no time that counts
    theirs, ours = counted(experiment)
    assert sorted(theirs.bins.values()) == [2, 4] and ours.bins == {"0": 1}
    assert theirs.figure == pytest.approx((5.03 + 5.04 + 100) / 3)
    assert (ours.answers, ours.units) == (2, 1)


def test_steps_are_ordered_as_their_values(test_of):
    experiment, (control, _) = test_of(metric="feedback_rank")
    values = [-1e6, -3.0, -1e-9, -1e-30, 0.0, 1e-30, 1e-9, 0.5, 1.0, 2.0, 3.0, 1e9]
    for one, value in zip(answer(control, len(values)), values, strict=True):
        tell([one], value=value, truth=None, correct=None)
    bins = counted(experiment)[0].bins
    assert len(bins) == len(values) and set(bins.values()) == {1}
    assert "0" in bins and min(map(int, bins)) < 0 < max(map(int, bins))


def test_answers_are_counted_on_and_only_once_they_are_surely_written(test_of):
    experiment, (control, _) = test_of()
    answer(control, 3)
    assert counted(experiment)[0].answers == 3
    answer(control, 2, since=timezone.now())
    assert counted(experiment)[0].answers == 3
    Experiment.objects.update(counted_until=timezone.now() - timedelta(hours=1))
    assert counted(experiment)[0].answers == 6  # from where the cursor stands


def test_the_last_answers_of_one_that_ended_are_counted_a_minute_later(test_of, owner):
    experiment, (control, _) = test_of()
    answer(control, 3)
    tell(answer(control, 5, since=timezone.now() - timedelta(seconds=30)), right=5)
    counted(experiment)
    verbs.stop(experiment, owner)
    kept = ArmSum.objects.get(arm=control)
    assert (kept.answers, kept.outcomes) == (3, 5)
    kept.arm.sums = kept
    assert overview.answers_of(kept.arm) == 5, "no fewer than the outcomes"
    assert not looking.sweep(), "they may still be on their way"
    Experiment.objects.update(ended_at=timezone.now() - timedelta(seconds=61))
    assert looking.sweep()
    looking.run()
    assert ArmSum.objects.get(arm=control).answers == 8
    assert not looking.sweep()
    looking.run()
    assert ArmSum.objects.get(arm=control).answers == 8


def test_two_looks_at_once_do_not_count_twice(test_of):
    experiment, arms = test_of()
    answer(arms[0], 3)
    row = Experiment.objects.get(pk=experiment.pk)
    first, second = sums.count(row, arms), sums.count(row, arms)
    assert sums.write(row, first)
    stale = Experiment.objects.get(pk=experiment.pk)
    stale.counted_until = experiment.started_at - timedelta(hours=1)
    assert not sums.write(stale, second)
    assert ArmSum.objects.get(arm=arms[0]).answers == 3


def test_a_shadow_is_judged_by_the_truth_of_the_answer_that_was_given(test_of):
    experiment, (control, shadow) = test_of(kind="shadow")
    given = answer(control, 10, label="a")
    copies = [one.pk for one in given]
    answer(shadow, 6, label="a", shadow_of=copies[:6], latency_ms=9.0)
    answer(shadow, 4, label="b", shadow_of=copies[6:], latency_ms=9.0)
    tell(given[:8], 8, truth="a", correct=True)  # two are not known yet
    _, ours = counted(experiment)
    assert (ours.units, ours.mean, ours.figure, ours.beside) == (8, -0.25, 0.75, 1.0)
    assert (ours.above, ours.below, ours.compared, ours.agreed) == (0, 2, 10, 6)
    assert (ours.latency_ms, ours.control_latency_ms) == (9.0, 5.0)
    Outcome.objects.filter(pk__in=copies[6:8]).update(truth="b", correct=False)
    _, ours = counted(experiment)
    assert (ours.mean, ours.above, ours.below) == (0.25, 2, 0)


def test_a_shadow_of_numbers_is_judged_by_how_far_it_is_off(test_of):
    Model.objects.update(recipe="forecast")
    experiment, (control, shadow) = test_of(kind="shadow", metric="error_mean")
    given = answer(control, 4, score=12.0)
    answer(shadow, 4, score=10.5, shadow_of=[one.pk for one in given])
    tell(given, truth=10, correct=None, error=2.0)
    _, ours = counted(experiment)
    assert (ours.figure, ours.beside, ours.mean) == (0.5, 2.0, -1.5)


def test_a_shadow_s_forecast_is_as_it_was_judged(test_of):
    Model.objects.update(recipe="forecast")
    experiment, (control, shadow) = test_of(kind="shadow", metric="error_mean")
    given = answer(control, 4)
    copies = answer(shadow, 4, shadow_of=[one.pk for one in given])
    tell(given, truth=[1, 2], correct=None, error=2.0)
    tell(copies, truth=[1, 2], correct=None, error=0.5)
    _, ours = counted(experiment)
    assert (ours.units, ours.figure, ours.beside) == (4, 0.5, 2.0)


def test_a_shadow_s_time_is_compared_on_the_same_inputs(test_of):
    experiment, (control, shadow) = test_of(kind="shadow", metric="latency")
    given = answer(control, 4)
    answer(shadow, 3, latency_ms=4.0, shadow_of=[one.pk for one in given[:3]])
    answer(shadow, 1, latency_ms=400.0, shadow_of=[given[3].pk])
    _, ours = counted(experiment)
    assert (ours.units, ours.mean, ours.above, ours.below) == (4, -0.5, 1, 3)
