"""A wrong setting is refused before there is a job: the API names its field, the form says what may be written."""

import pytest

from common.errors import InvalidInputError
from engine.catalogue import RECIPES, config_class
from jobs import creation, forms

CONTRADICTIONS = [
    ("text-generation", {"width": 100, "heads": 7}, "'heads'|heads"),
    ("image-generation", {"class_pictures": 3}, "class prompt"),
    ("table-baseline", {"validation_fraction": 0.6, "test_fraction": 0.4}, "'Validation share' and 'Test share'"),
    ("table-baseline", {"features": ["a"], "exclude": ["a"]}, "keep it in one of the two"),
    ("forecast", {"validation_fraction": 0.5, "test_fraction": 0.5}, "'Validation share' and 'Test share'"),
    ("forecast", {"series": "shop", "target": "shop"}, "name another column there"),
    ("anomaly", {"label": "bad", "columns": ["bad"]}, "take it out"),
    ("simulate", {"failure": "error"}, "'Fail at step'"),
]


def refused(recipe, config):
    with pytest.raises(InvalidInputError) as failure:
        creation.check_config(recipe, config)
    assert failure.value.message and failure.value.hint
    return failure.value.fields


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_setting_is_refused_at_its_own_field(recipe):
    for name, facts in config_class(recipe).model_json_schema()["properties"].items():
        branches = facts.get("anyOf", [facts])
        wrong = [{"nonsense": [1]}]
        wrong += [branch["minimum"] - 1 for branch in branches if "minimum" in branch]
        wrong += [branch["maximum"] + 1 for branch in branches if "maximum" in branch]
        for value in wrong:
            fields = refused(recipe, {name: value})
            assert list(fields) == [f"config.{name}"] and len(fields[f"config.{name}"]) == 1, fields
            (told,) = forms.explained(recipe, fields)[f"config.{name}"]
            assert told.endswith(".") or name == "base_model", told
    assert refused(recipe, {"no_such_setting": 1}).keys() == {"config.no_such_setting"}


@pytest.mark.parametrize(("recipe", "config", "words"), CONTRADICTIONS)
def test_settings_that_contradict_each_other_are_told_in_the_words_of_the_form(recipe, config, words):
    fields = refused(recipe, config)
    (told,) = forms.explained(recipe, fields)["config"]
    assert any(word in told for word in words.split("|")), told
