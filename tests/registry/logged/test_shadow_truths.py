"""A shadow's answer gets the truth of the answer that was given, whichever of the two is written first."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from registry.logged import outcomes, shadow_truths, storing, writing
from registry.logged.policies import recent_policy
from registry.logged.rows import new_ids, rows_of
from registry.models import Outcome, Prediction, Touched
from registry.routing import Choice
from tests.registry.logged.cast import CAT, asked, classifier, logged, regressor

DOG = {**CAT, "label": "dog"}


def test_a_truth_that_came_before_the_shadow_is_the_shadow_s_too(db, owner):
    version = classifier(owner)
    given, unknown = logged(version, owner), logged(version, owner)
    outcomes.send(owner, given.pk, truth="cat", value=1)
    outcomes.send(owner, unknown.pk, value=0)
    Touched.objects.all().delete()
    shadow = logged(classifier(owner), owner, DOG, shadow_of=given.pk, group="north")
    logged(classifier(owner), owner, DOG, shadow_of=unknown.pk)
    logged(regressor(owner), owner, {"value": 2.0}, shadow_of=given.pk)  # a class is no truth of a number
    logged(version, owner, error="No process.", shadow_of=given.pk)
    told = Outcome.objects.exclude(pk__in=[given.pk, unknown.pk]).get()
    assert (told.pk, told.truth, told.correct, told.value) == (shadow.pk, "cat", False, None)
    assert (told.group, told.version, told.predicted_at, told.user) == ("north", shadow.version, shadow.at, owner)
    assert Touched.objects.filter(version=shadow.version).exists()
    outcomes.send(owner, given.pk, truth="dog", replace=True)
    assert Outcome.objects.get(pk=shadow.pk).correct is True


def test_of_a_table_each_row_of_the_shadow_gets_the_truth_of_its_row(db, owner):
    version = regressor(owner)
    output = {"rows": [{"value": 1.0}, {"value": 2.0}]}
    given = logged(version, owner, output, [{"a": 1}, {"a": 2}])
    second = Prediction.objects.exclude(pk=given.pk).get()
    outcomes.send(owner, second.pk, truth=5.0)
    logged(
        regressor(owner), owner, {"rows": [{"value": 3.0}, {"value": 4.5}]}, [{"a": 1}, {"a": 2}], shadow_of=given.pk
    )
    told = Outcome.objects.exclude(pk=second.pk).get()
    assert told.error == -0.5 and told.prediction.shadow_of == second.pk


def test_a_batch_that_is_stored_again_tells_nothing_twice(db, owner, monkeypatch):
    version = classifier(owner)
    given = logged(version, owner)
    outcomes.send(owner, given.pk, truth="cat")
    monkeypatch.setattr(shadow_truths, "AT_ONCE", 1)
    ids = new_ids(3)
    policy = recent_policy(version.model_id)
    rows = rows_of(asked(owner, *"abc"), Choice(version), ids, [DOG] * 3, 1.0, policy, [given.pk] * 3)
    for _ in range(2):
        storing.store(rows)
    assert Outcome.objects.count() == 4 and Prediction.objects.count() == 4


def test_where_there_are_no_shadows_nothing_is_asked(db, owner):
    version = classifier(owner)
    logged(version, owner)
    with CaptureQueriesContext(connection) as seen:
        writing.write(asked(owner, "a text"), Choice(version), [CAT], 1.0)
    said = " ".join(query["sql"] for query in seen)
    assert "registry_touched" in said and "registry_outcome" not in said and "advisory" not in said


@contextmanager
def held(monkeypatch, module, name):
    """The verb waits after its work, in its transaction, until the block is left; the block begins when it waits."""
    verb, reached, leave = getattr(module, name), threading.Event(), threading.Event()

    def waits(*given):
        verb(*given)
        reached.set()
        assert leave.wait(10)

    monkeypatch.setattr(module, name, waits)
    try:
        yield reached
    finally:
        leave.set()


def begun(call):
    def carry_out():
        try:
            call()
        finally:
            connections.close_all()

    thread = threading.Thread(target=carry_out)
    thread.start()
    return thread


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["the truth", "the shadow"])
def test_of_a_truth_and_a_shadow_at_the_same_moment_neither_misses_the_other(owner, monkeypatch, first):
    given, other = logged(classifier(owner), owner), classifier(owner)
    calls = [
        (outcomes, "_tell_shadows", lambda: outcomes.send(owner, given.pk, truth="cat")),
        (shadow_truths, "tell", lambda: logged(other, owner, DOG, shadow_of=given.pk)),
    ]
    (module, name, call), (_, _, then) = calls if first == "the truth" else calls[::-1]
    with held(monkeypatch, module, name) as reached:
        threads = [begun(call)]
        assert reached.wait(10)
        threads.append(begun(then))
        threads[1].join(0.3)
        assert threads[1].is_alive(), "it waits for the other's end"
    for thread in threads:
        thread.join(10)
    shadow = Prediction.objects.get(shadow_of=given.pk)
    assert Outcome.objects.get(pk=shadow.pk).correct is False
