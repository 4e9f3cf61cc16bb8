"""Checks: each rule about made-up facts, then about rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasets.freezing import versions as dataset_versions
from registry.models import PromotionPolicy
from registry.promotion import aliases, checks, evidence, held_out
from registry.promotion.checks import Ended, Facts, SameRows, judge
from registry.promotion.held_out import HeldOut
from tests.registry.promotion.cast import classifier
from tests.tables import make_table
from tests.world import make_dataset, make_version

TALES = HeldOut("Tales v1", ("tales",), {"validation": 200, "test": 0})
OTHERS = HeldOut("Tales v2", ("others",), {"validation": 200, "test": 0})


def facts(name="v2", recipe="text-classification", held_out=TALES, why_not="", **metrics):
    named = {key.replace("_", "/", 1): value for key, value in metrics.items()}
    return Facts(name, recipe, named, held_out, why_not)


def rules(**given):
    return PromotionPolicy(**{"margin": 0.02, **given})


OLD = facts("v1", validation_accuracy=0.92, validation_loss=0.30)
CASES = {
    "better passes": (rules(), facts(validation_accuracy=0.95), OLD, None, {}),
    "worse within the margin passes": (rules(), facts(validation_accuracy=0.91), OLD, None, {}),
    "the margin itself passes, whatever its last bit": (rules(), facts(validation_accuracy=0.90), OLD, None, {}),
    "worse by more fails": (
        rules(), facts(validation_accuracy=0.89), OLD, None, {"figure": "3 percentage points worse"}),
    "a margin of nothing lets the same pass": (rules(margin=0.0), facts(validation_accuracy=0.92), OLD, None, {}),
    "of a loss less is better": (
        rules(metric="validation/loss"), facts(validation_loss=0.25), OLD, None, {}),
    "a higher loss fails": (
        rules(metric="validation/loss"), facts(validation_loss=0.35), OLD, None, {"figure": "0.05 worse"}),
    "the first champion has nobody beside it": (rules(), facts(validation_accuracy=0.1), None, None, {}),
    "a version without the figure fails": (
        rules(metric="test/f1"), facts(validation_accuracy=0.95), OLD, None, {"figure": "has no figure 'test/f1'"}),
    "a figure that is not a number fails": (
        rules(), facts(validation_accuracy=None), OLD, None, {"figure": "has no figure 'validation/accuracy'"}),
    "a champion without the figure can't be compared": (
        rules(metric="validation/loss"), facts(validation_loss=0.1), facts("v1", validation_accuracy=0.9), None,
        {"figure": "champion v1 has no figure"}),
    "without figures there is nothing to judge": (rules(), facts(), None, None, {"figure": "has no figure"}),
    "figures of other data are not compared": (
        rules(), facts(validation_accuracy=0.99, held_out=OTHERS), OLD, None, {"same_held_out": "Tales v2"}),
    "unless the policy lets them": (
        rules(same_held_out=False), facts(validation_accuracy=0.99, held_out=OTHERS), OLD, None, {}),
    "unknown data are not the same": (
        rules(), facts(validation_accuracy=0.99, held_out=HeldOut()), OLD, None, {"same_held_out": "Nothing is known"}),
    "without a margin nothing is compared": (
        rules(margin=None), facts(validation_accuracy=0.1, held_out=OTHERS), OLD, None, {}),
    "too few examples fail": (
        rules(minimum_examples=201), facts(validation_accuracy=0.95), OLD, None, {"minimum_examples": "200 examples"}),
    "as many as asked for pass": (rules(minimum_examples=200), facts(validation_accuracy=0.95), OLD, None, {}),
    "the part of the figure counts": (
        rules(metric="test/accuracy", minimum_examples=1), facts(test_accuracy=0.95), None, None,
        {"minimum_examples": "test part has 0 examples"}),
    "rows of tables are counted by their share": (
        rules(minimum_examples=500), facts(validation_accuracy=0.95, held_out=replace(TALES, about=True)), None, None,
        {"minimum_examples": "Its validation part has about 200 examples; at least 500 are needed."}),
    "an unknown number of examples fails": (
        rules(minimum_examples=1), facts(validation_accuracy=0.95, held_out=HeldOut()), None, None,
        {"minimum_examples": "is not known"}),
    "a test that was not made fails": (
        rules(needs_test="ab"), facts(validation_accuracy=0.95), OLD, None, {"test": "had no A/B test against"}),
    "a test that was passed passes": (
        rules(needs_test="ab"), facts(validation_accuracy=0.95), OLD, Ended(True, "2026-03-01"), {}),
    "a test that was lost fails": (
        rules(needs_test="shadow"), facts(validation_accuracy=0.95), OLD, Ended(False, "2026-03-01"),
        {"test": "did not pass the shadow test against v1"}),
    "without a champion there is nobody to be tested against": (
        rules(needs_test="ab"), facts(validation_accuracy=0.95), None, None, {}),
    "what can't be used fails first": (
        rules(margin=None), facts(why_not="Sorter v2 is archived."), OLD, None, {"usable": "archived"}),
    "several rules fail at once": (
        rules(minimum_examples=500, needs_test="ab"), facts(validation_accuracy=0.5, held_out=OTHERS), OLD, None,
        {"figure": "worse", "same_held_out": "Tales", "minimum_examples": "500", "test": "A/B"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_verdicts(case):
    policy, version, champion, test, failed = CASES[case]
    verdict = judge(policy, version, champion, test)
    assert {check.rule for check in verdict.failed} == set(failed)
    assert verdict.passed is (not failed)
    for check in verdict.failed:
        assert failed[check.rule] in check.words and check.hint


NEWER = facts(validation_accuracy=0.99, held_out=OTHERS)


@pytest.mark.parametrize(
    ("same", "failed"),
    [
        (SameRows(300, {"accuracy": 0.93}, {"accuracy": 0.92}), set()),
        (SameRows(300, {"accuracy": 0.91}, {"accuracy": 0.92}), set()),
        (SameRows(300, {"accuracy": 0.80}, {"accuracy": 0.92}), {"figure"}),
        (SameRows(300, {"mae": 0.1}, {"mae": 0.2}), {"same_held_out"}),
    ],
)
def test_figures_of_different_data_give_way_to_those_of_the_same_rows(same, failed):
    verdict = judge(rules(), NEWER, OLD, None, same)
    assert {check.rule for check in verdict.failed} == failed
    told = {check.rule: check for check in verdict.checks}
    if not failed:
        assert "the same 300 held-out rows" in told["same_held_out"].words
        assert told["figure"].figures["value"] == same.version["accuracy"]


def test_figures_of_the_same_data_are_taken_as_they_were_recorded():
    same = SameRows(300, {"accuracy": 0.1}, {"accuracy": 0.9})
    assert judge(rules(), facts(validation_accuracy=0.95), OLD, None, same).passed


@pytest.mark.django_db
def test_the_same_rows_count_against_the_champion_that_was_asked_alone(owner):
    one, two, three = (classifier(owner, accuracy) for accuracy in (0.9, 0.95, 0.94))
    aliases.assign(one.model, "champion", one, owner)
    policy = PromotionPolicy(model=one.model, margin=0.0)
    assert [check.rule for check in checks.check(two, policy).failed] == ["same_held_out"]
    figures = {"accuracy": {"version": 0.91, "champion": 0.9}}
    evidence.note(two, "rows", True, {"words": "Better.", "rows": 300, "figures": figures})
    assert checks.check(two, policy).passed
    aliases.assign(one.model, "champion", three, owner)
    assert not checks.check(two, policy).passed, "the champion is another one by now"


def test_the_refusal_to_compare_names_how_it_can_be():
    failed = judge(rules(), facts(validation_accuracy=0.99, held_out=OTHERS), OLD).failed[0]
    assert "must be evaluated on the same data" in failed.hint
    assert "run the job of v1 again on Tales v2" in failed.hint


def test_a_shadow_test_is_named_as_a_way_only_where_it_is_one():
    version = facts(validation_accuracy=0.99, held_out=OTHERS)
    (failed,) = judge(rules(needs_test="shadow"), version, OLD, Ended(True, "2026-11-01")).failed
    assert failed.rule == "same_held_out"
    assert "only where the policy asks for one and not for this figure" in failed.hint
    assert judge(rules(margin=None, needs_test="shadow"), version, OLD, Ended(True, "2026-11-01")).passed


def test_figures_travel_with_the_verdict():
    told = judge(rules(), facts(validation_accuracy=0.95), OLD).as_json()[1]
    assert (told["rule"], told["passed"]) == ("figure", True)
    assert {"metric": "validation/accuracy", "value": 0.95, "champion": 0.92}.items() <= told["figures"].items()
    assert "95.0 %" in told["words"] and "92.0 %" in told["words"] and "3 percentage points better" in told["words"]


@pytest.mark.django_db
def test_the_check_of_rows_says_the_same(owner):
    data = dataset_versions.freeze(make_dataset(owner), owner, validation_fraction=0.5)
    one = classifier(owner, 0.9, dataset_version=data)
    two = classifier(owner, 0.95, dataset_version=data)
    aliases.assign(one.model, "champion", one, owner)
    policy = PromotionPolicy(model=one.model, margin=0.0, minimum_examples=1, needs_test="shadow")
    assert [check.rule for check in checks.check(two, policy).failed] == ["test"]
    evidence.note(two, "shadow", True, {"words": "1,000 requests."})
    verdict = checks.check(two, policy)
    assert verdict.passed and "1,000 requests." in verdict.checks[-1].words
    evidence.note(two, "shadow", False, {})
    assert not checks.check(two, policy).passed, "the newest test counts"


@pytest.mark.django_db
def test_a_test_against_an_earlier_champion_does_not_count(owner):
    one, two, three = (classifier(owner, accuracy) for accuracy in (0.8, 0.85, 0.9))
    aliases.assign(one.model, "champion", one, owner)
    evidence.note(three, "ab", True, {})
    policy = PromotionPolicy(model=one.model, needs_test="ab")
    assert checks.check(three, policy).passed
    aliases.assign(one.model, "champion", two, owner)
    assert "no A/B test against the champion v2" in checks.check(three, policy).failed[0].words
    evidence.note(three, "ab", True, {}, against=two)
    assert checks.check(three, policy).passed


@pytest.mark.django_db
def test_rows_of_a_table_are_the_same_only_when_they_were_divided_alike(owner):
    data = dataset_versions.freeze(make_table(owner, "Sheet"), owner, validation_fraction=0, test_fraction=0)

    def divided(fraction=0.2, seed=1, **more):
        config = {"validation_fraction": fraction, "test_fraction": 0.0, **more}
        made = make_version(owner, "Rows", "table-baseline", config=config, seed=seed, dataset_version=data)
        return held_out.of(type(made).objects.get(pk=made.pk))

    assert divided().key == divided().key
    assert divided().key != divided(0.3).key
    assert divided().key != divided(seed=2).key
    assert divided(time="day").key == divided(seed=2, time="day").key
    rows = data.dataset.items.get().facts["rows"]
    assert divided(0.5).examples["validation"] == round(rows / 2) and divided().about
