"""Rules over data: what they may say, what they decide, and that no decision outlives what it was made of."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from common.errors import ConflictError, InvalidInputError
from datasets.creation import create_dataset
from datasets.gating import conditions, gates, governance, rulebook
from datasets.gating.switches import set_gates
from datasets.items import edits
from datasets.models import Dataset, Finding, GovernanceDecision, Item
from datasets.subjects.subjects import create as create_subject
from tests.datasets.test_gates import fill

IMAGES = {"field": "modality", "is": "is", "value": "image"}


@pytest.mark.parametrize(
    ("condition", "facts", "fits"),
    [
        ({}, {}, True),
        ({"field": "licence", "is": "is", "value": "cc0"}, {"licence": "CC0"}, True),
        ({"field": "licence", "is": "is", "value": "cc0"}, {"licence": None}, False),
        ({"field": "licence", "is": "is_not", "value": "cc0"}, {"licence": None}, True),
        ({"field": "licence", "is": "in", "value": ["MIT", "CC0"]}, {"licence": "cc0"}, True),
        ({"field": "licence", "is": "not_in", "value": ["MIT"]}, {}, True),
        ({"field": "age", "is": "more", "value": 30}, {"age": 30.5}, True),
        ({"field": "age", "is": "less", "value": 30}, {}, False),
        ({"field": "subject.region", "is": "contains", "value": "eu"}, {"subject.region": "EU-West"}, True),
        ({"field": "findings", "is": "contains", "value": "personal_data"}, {"findings": ["blurred"]}, False),
        ({"field": "findings", "is": "contains", "value": "blurred"}, {"findings": ["blurred"]}, True),
        ({"field": "consent", "is": "exists", "value": False}, {"consent": None}, True),
        ({"field": "personal_data", "is": "is", "value": True}, {"personal_data": 1}, False),
        ({"not": {"all": [IMAGES, {"field": "label", "is": "exists", "value": True}]}}, {"modality": "text"}, True),
        ({"any": [IMAGES, {"field": "metadata.site", "is": "is", "value": 4}]}, {"metadata.site": 4.0}, True),
    ],
)
def test_what_a_condition_means(condition, facts, fits):
    assert conditions.matches(conditions.check(condition), facts) is fits


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ([], "no object"),
        ({"all": []}, "empty"),
        ({"all": [{}]}, "part 1 of 'all'"),
        ({"field": "licence", "is": "is"}, "has the keys 'field', 'is'"),
        ({"field": "colour", "is": "is", "value": "red"}, "'colour', which items do not have"),
        ({"field": "subject.", "is": "is", "value": "red"}, "which items do not have"),
        ({"field": "licence", "is": "matches", "value": "x"}, "compares by 'matches'"),
        ({"field": "licence", "is": "is", "value": 3}, "compares with '3'"),
        ({"field": "licence", "is": "in", "value": "CC0"}, "needs a list"),
        ({"field": "licence", "is": "less", "value": 3}, "needs a number"),
        ({"field": "age", "is": "more", "value": float("nan")}, "needs a number"),
        ({"field": "age", "is": "contains", "value": 3}, "contains nothing"),
        ({"field": "findings", "is": "is", "value": "blurred"}, "is a list"),
        ({"field": "consent", "is": "exists", "value": "yes"}, "no true or false"),
        ({"not": [IMAGES]}, "what 'not' stands before"),
        ({"all": [IMAGES] * 300}, "more than 200 parts"),
        ({"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": IMAGES}}}}}}}}, "levels deep"),
    ],
)
def test_what_is_no_condition_is_refused_in_words(condition, said):
    with pytest.raises(InvalidInputError) as caught:
        conditions.check(condition)
    assert said in caught.value.message and caught.value.hint and caught.value.fields["condition"]


def allow(by, **wanted):
    return rulebook.save(by, **{"name": "fine", "decision": "allow", "reason": "It is fine.", "condition": {}} | wanted)


def marks(dataset) -> list[str]:
    return list(dataset.items.order_by("id").values_list("governance", flat=True))


@pytest.fixture
def governed(images, owner):
    fill(images, 3)
    return set_gates(images, owner, governed=True)


def test_without_a_rule_nothing_is_allowed(governed):
    assert governance.work(governed.pk) == 3
    assert marks(governed) == ["refused"] * 3 and not gates.trainable(governed).exists()
    assert set(GovernanceDecision.objects.values_list("reason", "rule_name", "by")) == {
        ("No rule allows it.", "", None)
    }


def test_the_first_rule_that_fits_decides_and_each_decision_is_recorded_once(governed, administrator):
    first, second, third = governed.items.order_by("id")
    Item.objects.filter(pk=first.pk).update(metadata={"licence": "CC0"})
    Item.objects.filter(pk=second.pk).update(metadata={"licence": "unknown"}, label="cat")
    allow(administrator, name="open", condition={"field": "licence", "is": "is", "value": "CC0"})
    no_cats = rulebook.save(
        administrator, name="no cats", decision="refuse", reason="No cats.", position=1,
        condition={"field": "label", "is": "is", "value": "cat"},
    )  # fmt: skip
    governance.work(governed.pk)
    assert marks(governed) == ["allowed", "refused", "refused"]
    said = {row.item_id: row for row in GovernanceDecision.objects.all()}
    assert (said[second.pk].rule, said[second.pk].reason) == (no_cats, "No cats.")
    assert said[second.pk].by == administrator and said[third.pk].rule is None
    governance.recheck(governed)
    governance.work(governed.pk)
    assert GovernanceDecision.objects.count() == 3, "the same is not said twice"
    rulebook.delete(no_cats, no_cats.changed_by)
    governance.work(governed.pk)
    latest = second.decisions.first()
    assert latest.reason == "No rule allows it." and second.decisions.count() == 2
    assert second.decisions.last().rule_name == "no cats", "what a deleted rule decided stays on record"


def test_items_are_seen_with_their_dataset_subject_age_and_findings(images, owner):
    old, owned, named, found = fill(images, 4)
    Item.objects.filter(pk=old.pk).update(recorded_at=timezone.now() - timedelta(days=90))
    region = create_subject(owner, name="Press 4")
    region.attributes = {"region": "EU"}
    region.save()
    Item.objects.filter(pk=owned.pk).update(subject=region, generated={"score": 4.5})
    Item.objects.filter(pk=named.pk).update(metadata={"licence": "MIT"})
    Finding.objects.create(dataset=images, item=found, code="personal_data", points=30, reason="A mail address.")
    set_gates(images, owner, governed=True, metadata={"licence": "CC0", "personal_data": False})
    for position, (name, field, operator, value) in enumerate([
        ("old", "age", "more", 60), ("region", "subject.region", "is", "EU"), ("licence", "licence", "is", "mit"),
        ("found", "findings", "contains", "personal_data"),
    ]):  # fmt: skip
        allow(owner, name=name, position=position, condition={"field": field, "is": operator, "value": value})
    governance.work(images.pk)
    assert list(images.decisions.order_by("item_id").values_list("rule_name", flat=True)) == [
        "old", "region", "licence", "found",
    ]  # fmt: skip


def test_a_change_lets_nothing_through_until_it_was_looked_at(governed, owner):
    rule = allow(owner)
    governance.work(governed.pk)
    assert gates.trainable(governed).count() == 3
    governed.refresh_from_db()
    governance.recheck(governed, [governed.items.first().pk])
    assert gates.trainable(governed).count() == 2 and governance.waiting(governed) == 1
    governed.refresh_from_db()
    rulebook.save(owner, rule, decision="refuse")
    governed.refresh_from_db()
    assert governance.waiting(governed) == 3
    governance.settle(governed)
    assert marks(governed) == ["refused"] * 3


def test_many_unchecked_items_are_left_to_the_worker(governed, owner, monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(governance, "AT_ONCE", 2)
    with django_capture_on_commit_callbacks() as asked, pytest.raises(ConflictError, match="3 items of 'pets' yet"):
        governance.settle(governed)
    assert len(asked) == 1


def test_a_rule_of_another_dataset_or_kind_is_not_tried(governed, owner):
    other = create_dataset(owner, name="other", modality="image")[0]
    allow(owner, name="other", dataset=other)
    allow(owner, name="texts", modality="text")
    allow(owner, name="off", enabled=False)
    governance.work(governed.pk)
    assert marks(governed) == ["refused"] * 3


def test_rules_that_can_not_be_used_are_refused(owner):
    allow(owner)
    for wrong, said in [
        ({"name": "fine"}, "There is a rule called 'fine' already."), ({"name": " "}, "The rule's name is missing"),
        ({"reason": ""}, "reason is missing"), ({"decision": "maybe"}, "can't decide 'maybe'"),
        ({"modality": "smell"}, "'smell' is no kind"), ({"position": -1}, "position is out of range"),
        ({"condition": {"field": "x"}}, "has the keys 'field'"), ({"rank": 1}, "A rule has no 'rank'"),
    ]:  # fmt: skip
        with pytest.raises((InvalidInputError, ConflictError)) as caught:
            allow(owner, **{"name": "another"} | wrong)
        assert said in caught.value.message


def test_the_sweep_asks_again_where_a_worker_died(governed, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as asked:
        assert governance.sweep() == 0, "it was asked for just now"
        Dataset.objects.update(governance_asked_at=timezone.now() - timedelta(minutes=1))
        assert governance.sweep() == 1
        assert governance.sweep() == 0
    assert len(asked) == 1
    governance.work(governed.pk)
    Dataset.objects.update(governance_asked_at=timezone.now() - timedelta(minutes=1))
    assert governance.sweep() == 0, "nothing waits"


def test_rules_of_age_are_applied_again_each_day(governed, owner):
    allow(owner, condition={"field": "age", "is": "less", "value": 10})
    governance.work(governed.pk)
    assert marks(governed) == ["allowed"] * 3
    Dataset.objects.update(governance_at=timezone.now() - timedelta(days=2), governance_asked_at=None)
    Item.objects.update(created_at=timezone.now() - timedelta(days=11))
    assert governance.sweep() == 1
    governance.work(governed.pk)
    assert marks(governed) == ["refused"] * 3


@pytest.mark.django_db(transaction=True)
def test_no_worker_writes_what_earlier_rules_said(owner, images):
    """A rule is changed while a worker looks at items; whoever comes first, the present rule has the last word."""
    fill(images, 1)
    set_gates(images, owner, governed=True)
    rule = allow(owner)
    changed = threading.Event()

    def worker() -> None:
        changed.wait(5)
        governance.work(images.pk)
        connection.close()

    thread = threading.Thread(target=worker)
    thread.start()
    with transaction.atomic():
        rulebook.save(owner, rule, decision="refuse")
        changed.set()
        thread.join(0.3)
        assert thread.is_alive(), "the worker waits until the rules stand"
    thread.join(10)
    assert marks(images) == ["refused"]


def test_metadata_that_no_rule_could_read_are_refused(images, owner):
    for wrong in (
        {"Licence": "x"},
        {"licence": ["x"]},
        {"licence": "x" * 501},
        {"personal_data": "no"},
        [],
        {"a": None},
    ):
        with pytest.raises(InvalidInputError) as caught:
            set_gates(images, owner, metadata=wrong)
        assert caught.value.fields["metadata"]
    with pytest.raises(InvalidInputError):
        set_gates(images, owner, approvals=3)


def test_an_edit_has_the_rules_look_again(governed, owner):
    allow(owner, condition={"field": "label", "is": "is", "value": "cat"})
    governance.work(governed.pk)
    first, second, _ = governed.items.order_by("id")
    edits.edit_items(governed, owner, [first.pk], field="label", value="cat")
    edits.edit_items(governed, owner, [second.pk], field="caption", value="A cat.")
    assert marks(governed) == ["unchecked", "refused", "refused"], "no rule looks at captions"
    assert list(governed.items.order_by("id").values_list("review_round", flat=True)) == [2, 2, 1]
    governance.work(governed.pk)
    assert marks(governed) == ["allowed", "refused", "refused"]
