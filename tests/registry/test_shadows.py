"""Shadows answer after the answer was given, and harm nobody."""

import pytest
from django.utils import timezone

from common.errors import UnavailableError
from registry import answering, prediction, shadows
from registry.logged.writing import Asked
from registry.models import Alias, Prediction, Route, RouteArm
from registry.prediction import Prediction as Made
from registry.shadows import Pool
from tests.world import make_version


@pytest.fixture
def route(owner):
    """A champion that answers, and a shadow."""
    champion = make_version(owner)
    Alias.objects.create(model=champion.model, name="champion", version=champion, since=timezone.now())
    route = Route.objects.create(model=champion.model, salt="s", started_at=timezone.now())
    RouteArm.objects.create(route=route, version=champion, name="control", control=True, weight=1)
    RouteArm.objects.create(route=route, version=make_version(owner, model=champion.model), name="shadow", shadow=True)
    return route


@pytest.fixture
def pool(monkeypatch):
    """Takes copies and leaves them lying."""
    pool = Pool(threads=0, waiting=2)
    monkeypatch.setattr(shadows, "POOL", pool)
    return pool


@pytest.fixture
def asked(monkeypatch):
    """The versions that were asked, in order; each answers with its number."""
    seen = []

    def predict(version, inputs, parameters=None):
        seen.append(version.number)
        return Made([{"label": f"v{version.number}"} for _ in inputs], version, 5.0)

    monkeypatch.setattr(prediction, "predict", predict)
    return seen


def test_the_shadow_is_asked_after_the_answer_and_only_logged(route, owner, pool, asked):
    given = answering.ask_model(route.model, Asked(owner, ["one", "two"], key="k"))
    assert asked == [1] and given.outputs == [{"label": "v1"}] * 2
    shadows.answer(pool.copies.get_nowait())
    assert asked == [1, 2]
    copies = Prediction.objects.filter(arm__shadow=True)
    assert {copy.shadow_of for copy in copies} == set(given.predictions)
    originals = Prediction.objects.in_bulk(given.predictions)
    assert all(copy.key == originals[copy.shadow_of].key and copy.label == "v2" for copy in copies)
    assert all(original.shadow_of is None and original.arm.control for original in originals.values())


def test_what_does_not_fit_is_dropped_and_counted(route, owner, pool, asked):
    for _ in range(5):
        assert answering.ask_model(route.model, Asked(owner, ["one"])).outputs
    assert asked == [1] * 5 and pool.copies.qsize() == 2
    pool.tell()
    pool.tell()
    assert RouteArm.objects.get(shadow=True).dropped == 3


def test_a_shadow_that_fails_harms_nothing_and_is_counted(route, owner, pool, asked, monkeypatch):
    given = answering.ask_model(route.model, Asked(owner, ["one", "two"]))
    monkeypatch.setattr(prediction, "predict", lambda *_: (_ for _ in ()).throw(UnavailableError("Busy.")))
    shadows.answer(pool.copies.get_nowait())
    assert RouteArm.objects.get(shadow=True).failed == 2
    assert Prediction.objects.count() == len(given.predictions)


def test_copies_of_large_inputs_do_not_fill_the_memory(route, owner, pool, asked, monkeypatch):
    monkeypatch.setattr(shadows, "WAITING_BYTES", 10)
    for _ in range(2):
        answering.ask_model(route.model, Asked(owner, ["six by"]))
    assert pool.copies.qsize() == 1 and pool.dropped
    pool.take()
    answering.ask_model(route.model, Asked(owner, ["six by"]))
    assert pool.copies.qsize() == 1
