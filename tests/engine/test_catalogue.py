"""Recipes of other packages stand in the catalogue beside the hub's own; one that is broken harms no other."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from engine import catalogue
from engine.recipe import Recipe

OTHER = Recipe(
    name="other", title="Other", summary="Of another package.", modality="table", config="other.config.Config",
    trainer="other.trainer.build", predictor=None, output=None,
)  # fmt: skip
TAKEN = Recipe(
    name="simulate", title="Impostor", summary="Takes a name.", modality=None, config="a.b", trainer="a.b",
    predictor=None, output=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("tests.engine.test_catalogue:OTHER", None),
        ("tests.engine.test_catalogue:TAKEN", "there is a recipe called 'simulate' already"),
        ("tests.engine.test_catalogue:pytest", "is no engine.recipe.Recipe but module"),
        ("tests.engine.nowhere:RECIPE", "can't be imported: ModuleNotFoundError"),
        ("tests.engine.test_catalogue:nothing", "can't be imported: AttributeError"),
    ],
)
def test_recipes_of_other_packages(value: str, problem: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", value, catalogue.ENTRY_POINTS)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point] if group == catalogue.ENTRY_POINTS else [])
    monkeypatch.setattr(catalogue, "PROBLEMS", [])
    found = catalogue._collect()
    assert set(found) - set(catalogue.RECIPES) == (set() if problem else {"other"})
    assert found["simulate"].title == "Simulator"
    assert (problem in catalogue.PROBLEMS[0]) if problem else not catalogue.PROBLEMS
