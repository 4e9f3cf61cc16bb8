"""The figures of a version: few first, each beside its baseline; a baseline is never taken for the model's own."""

import pytest

from registry import figures
from registry.templatetags.registry_ui import in_words

TABLE = {
    "train/loss": 0.1, "validation/accuracy": 0.9, "test/accuracy": 0.8, "validation/macro_f1": 0.85,
    "validation/loss": 0.3, "baseline/accuracy": 0.6, "baseline/linear_accuracy": 0.7, "baseline/macro_f1": 0.4,
}  # fmt: skip


def test_the_headlines_are_those_of_the_recipe_beside_their_baselines():
    shown = figures.shown(TABLE, "table-baseline")
    told = [(row.name, row.value, row.baseline) for row in shown.headlines]
    assert told == [("validation/accuracy", 0.9, 0.6), ("validation/macro_f1", 0.85, 0.4)]
    assert shown.compared and shown.linear
    assert {row.name: row.linear for row in shown.rows}["validation/accuracy"] == 0.7
    assert [row.name for row in shown.rows][:2] == ["validation/accuracy", "test/accuracy"]
    assert len(shown.rows) == 5, "a baseline has no row of its own where the model's figure has one"


def test_a_baseline_of_the_test_part_stands_beside_the_test_part():
    metrics = {"validation/mae": 0.3, "test/mae": 0.2, "baseline/mae": 0.5, "baseline/test_mae": 0.4}
    shown = figures.shown(metrics, "forecast")
    assert [(row.name, row.baseline) for row in shown.headlines] == [("test/mae", 0.4)]
    assert {row.name: row.baseline for row in shown.rows} == {"validation/mae": 0.5, "test/mae": 0.4}
    metrics = {"validation/loss": 2.0, "train/loss": 1.0, "baseline/validation_loss": 3.0}
    assert [(row.name, row.baseline) for row in figures.shown(metrics, "text-generation").headlines] == [
        ("validation/loss", 3.0)
    ]


def test_a_baseline_that_stands_alone_is_told_but_is_no_headline():
    shown = figures.shown({"baseline/alarms_per_1000": 8.0, "train/trees": 100.0}, "anomaly")
    assert [row.name for row in shown.headlines] == ["train/trees"]
    assert [(row.title, row.value, row.baseline) for row in shown.rows][-1] == (
        "Baseline alarms of 1,000 rows", None, 8.0
    )  # fmt: skip


def test_a_generation_tells_the_quality_first():
    metrics = {"generate/failed": 0, "generate/kept": 12, "generate/quality": 71.5}
    assert figures.headlines(metrics, "generate", 2) == ["generate/quality", "generate/failed"]


def test_the_best_on_the_way_says_where_it_is_of_a_sample():
    metrics = {"validation/loss": 3.41, "best/validation/loss": 3.40, "best/step": 30}

    def told(recipe):
        return {row.name: row.title for row in figures.shown(metrics, recipe).rows}["best/validation/loss"]

    assert told("text-generation") == "Best validation loss on the way, from a sample"
    assert told("image-classification") == "Best validation loss on the way"


@pytest.mark.parametrize("metrics", [None, {}, {"baseline/x": None}, {"odd": None}, {"best/step": 1}])
def test_whatever_there_is_can_be_shown(metrics):
    assert not figures.shown(metrics).headlines or metrics == {"odd": None}
    assert figures.headlines(metrics or {}, "no-such-recipe") == (["odd"] if metrics == {"odd": None} else [])


@pytest.mark.parametrize(
    ("name", "words"),
    [("validation/macro_f1", "Validation macro F1"), ("test/auc", "Test area under the ROC curve"),
     ("best/validation/loss", "Best validation loss on the way"),
     ("baseline/linear_mae", "Baseline linear mean absolute error"),
     ("production/accuracy", "Production accuracy"), ("steps", "Steps")],
)  # fmt: skip
def test_names_are_words(name, words):
    assert figures.title(name) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [([], "none"), (None, "none"), ("", "none"), (True, "on"), (False, "off"), (["a", "b"], "a, b"),
     (0.1 + 0.2, "0.3"), (0.0003, "0.0003"), (128, "128"), ("auto", "auto"), ({"a": None}, "a: none")],
)  # fmt: skip
def test_settings_are_words_and_no_code(value, words):
    assert in_words(value) == words
