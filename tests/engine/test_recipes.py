"""Every recipe has settings that work, that people can read, and that survive being written down."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from engine.catalogue import RECIPES, check_config, config_class, load, recipe
from engine.protocol import EngineError, FailureCode

NAMES = list(RECIPES)


@pytest.mark.parametrize("name", NAMES)
def test_settings_survive_json(name: str) -> None:
    settings = config_class(name)()
    assert config_class(name).model_validate_json(settings.model_dump_json()) == settings
    assert config_class(name).model_validate(json.loads(json.dumps(settings.model_dump()))) == settings


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_title_description_group_and_default(name: str) -> None:
    schema = config_class(name).model_json_schema()
    assert schema["additionalProperties"] is False
    for field in schema["properties"].values():
        assert field["title"] and len(field["description"]) > 15 and field["group"] and "default" in field


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_limits(name: str) -> None:
    for field, facts in config_class(name).model_json_schema()["properties"].items():
        for branch in facts.get("anyOf", [facts]):
            if branch.get("type") in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & set(branch), field
                assert {"maximum", "exclusiveMaximum"} & set(branch), field


@pytest.mark.parametrize("name", NAMES)
def test_the_dotted_paths_lead_somewhere(name: str) -> None:
    about = recipe(name)
    assert callable(load(about.trainer))
    assert (about.predictor is None) == (about.output is None)
    if about.predictor:
        assert callable(load(about.predictor).load)


def test_unknown_recipes_and_settings_are_named() -> None:
    with pytest.raises(EngineError, match="no recipe called 'x'"):
        recipe("x")
    with pytest.raises(EngineError, match="temperature") as failure:
        check_config("text-generation", {"temperature": 1})
    assert failure.value.code is FailureCode.BAD_CONFIG


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("text-generation", {"width": 130, "heads": 4}, "can't be split into 4 attention heads"),
        ("text-generation", {"learning_rate": float("nan")}, "finite"),
        ("image-classification", {"image_size": 4}, "greater than or equal to 8"),
        ("simulate", {"failure": "crash"}, "Say at which step it fails"),
        ("simulate", {"failure": "crash", "fail_at_step": 101}, "would never fail"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_in_plain_words(name, values, message) -> None:
    with pytest.raises(ValidationError, match=message):
        config_class(name).model_validate(values)


def test_a_duration_sets_the_pace_of_the_simulator() -> None:
    assert check_config("simulate", {"steps": 50, "duration": 5}).seconds_per_step == 0.1
