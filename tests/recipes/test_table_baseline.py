"""Table-baseline learns numbers and classes from rows as they come, and says what it can't use."""

from __future__ import annotations

import datetime as dt

import lightgbm
import numpy as np
import pytest

from engine import report
from engine.protocol import EngineError, FailureCode
from engine.recipes.table_baseline import figures
from engine.recipes.table_baseline.boosting import join
from engine.tables import spread
from tests.recipes.sheets import failure, predictor, trained

NAME = "table-baseline"
QUICK = {"rounds": 100, "early_stopping_rounds": 20}
random = np.random.default_rng(5)


def machines(rows: int = 300) -> dict[str, list]:
    """Power by speed and load, of two kinds of machine; with a number, a name and a site of each."""
    dice = np.random.default_rng(1)
    speed, load = dice.uniform(1, 9, rows), dice.uniform(0, 5, rows)
    kind = dice.choice(["pump", "fan"], rows)
    power = speed * load + np.where(kind == "pump", 20, 0) + dice.normal(0, 0.3, rows)
    days = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=6 * n) for n in range(rows)]
    return {
        "id": list(range(rows)), "serial": [f"S-{n:05}" for n in range(rows)], "when": days,
        "speed": [None if n % 17 == 0 else float(v) for n, v in enumerate(speed)], "load": load.tolist(),
        "kind": kind.tolist(), "running": [True] * rows, "site": [f"site {n % 9}" for n in range(rows)],
        "power": power.tolist(),
    }  # fmt: skip


def test_a_number_is_learned_from_what_can_be_a_driver(tmp_path):
    given, metrics, log = trained(tmp_path, NAME, QUICK | {"rounds": 300}, machines())
    assert metrics["validation/mae"] < 0.8 * metrics["baseline/linear_mae"] < 0.8 * metrics["baseline/mae"]
    assert metrics["validation/r2"] > 0.9
    for left_out in (
        "'id' is left out: it numbers",
        "'serial' is left out: its texts",
        "'running' is left out: it says",
    ):
        assert left_out in log
    assert "at random by row" in log
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    assert [block.kind for block in blocks] == ["figures", "table", "bars", "lines"]
    assert {"speed", "load", "kind"} == set(blocks[2].labels[:3])

    model = predictor(given)
    row = {"speed": 4.0, "load": "3", "kind": "pump", "site": "site 1", "when": "2024-02-01 06:00:00"}
    (answer,) = model.predict([[row, row | {"speed": None, "kind": "never seen"}]])
    assert answer["rows"][0]["value"] == pytest.approx(32, abs=5) and len(answer["rows"]) == 2
    for bad, words in [
        ([{"speed": 1}], "the columns 'when', 'load', 'kind', 'site' are missing"),
        ([row | {"colour": 1}], "does not know the column 'colour'"),
        ([row | {"speed": "fast"}], "'fast' in column 'speed' of row 1 is no number"),
        ([row | {"when": 5}], "is no date"),
        ([], "it has no rows"),
        ("text", "it is no list of rows"),
    ]:
        with pytest.raises(EngineError, match=words) as error:
            model.predict([[row], bad])
        assert error.value.code is FailureCode.BAD_DATA and "Input 2" in error.value.message


def test_saved_trees_are_lightgbm_s_own_text_and_answer_as_in_training(tmp_path):
    given, metrics, _ = trained(tmp_path, NAME, QUICK | {"model": "boosted"}, machines())
    folder = given.work_dir / "artifact"
    assert {p.suffix for p in folder.iterdir()} == {".json", ".txt", ".safetensors"}
    booster = lightgbm.Booster(model_file=str(folder / "trees-0.txt"))
    assert 0 < booster.num_trees() <= 100
    table = machines()
    held = np.flatnonzero(spread(given.seed, np.arange(300)) <= 0.2)
    rows = [{name: table[name][n] for name in ("speed", "load", "kind", "site", "when")} for n in held]
    said = [row["value"] for row in predictor(given).predict([rows])[0]["rows"]]
    truth = np.array(table["power"])[held]
    assert np.abs(np.array(said) - truth).mean() == pytest.approx(metrics["validation/mae"], rel=1e-9)


def test_joined_slices_answer_as_their_sum():
    x = random.normal(size=(80, 3))
    y = x[:, 0] * x[:, 1]
    parameters = {"objective": "regression", "verbosity": -1, "min_data_in_leaf": 3, "num_threads": 1}
    texts = [
        lightgbm.train(parameters | {"seed": seed}, lightgbm.Dataset(x, y), 7).model_to_string() for seed in (1, 2)
    ]
    sums = sum(lightgbm.Booster(model_str=text).predict(x) for text in texts)
    whole = lightgbm.Booster(model_str=join(texts))
    assert whole.num_trees() == 14 and np.allclose(whole.predict(x), sums, rtol=1e-12)


def test_a_rare_class_is_found_with_probabilities_that_hold(tmp_path):
    dice = np.random.default_rng(4)
    heat, wear = dice.normal(size=(2, 1500))
    fails = heat + wear + dice.normal(0, 0.3, 1500) > 2.6
    given, metrics, log = trained(
        tmp_path, NAME, QUICK, {"heat": heat, "wear": wear, "alarm": fails & (heat > 1), "fails": fails}
    )
    assert metrics["validation/auc"] > 0.95 > metrics["baseline/auc"] == 0.5
    assert metrics["validation/calibration_error"] < 0.05 and metrics["validation/confidence"] > 0.8
    assert "'alarm' marks" in log and "all of them are of one class" in log
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    thresholds = next(b for b in blocks if b.title.startswith("Thresholds for 'yes'"))
    named = [row[1] for row in thresholds.rows]
    assert named == sorted(named, reverse=True)
    (answer,) = predictor(given).predict([[{"heat": 2.5, "wear": 2.5, "alarm": "yes"}]])
    assert answer["rows"][0]["label"] == "yes" and answer["rows"][0]["confidence"] > 0.5


def test_of_two_classes_the_rarer_one_is_measured_whatever_its_name(tmp_path):
    dice = np.random.default_rng(4)
    heat = dice.normal(size=1000)
    fails = heat + dice.normal(0, 1, 1000) > 2.2
    state = np.where(fails, "broken", "fine").tolist()  # the rarer one comes first in the alphabet
    _, metrics, _ = trained(tmp_path, NAME, QUICK, ("train", {"heat": heat[:700], "state": state[:700]}),
                              ("validation", {"heat": heat[700:], "state": state[700:]}))  # fmt: skip
    assert metrics["baseline/average_precision"] == pytest.approx(fails[700:].mean())
    assert metrics["baseline/average_precision"] < metrics["validation/average_precision"] < 0.9


def test_a_straight_relation_is_left_to_the_linear_model(tmp_path):
    x = random.normal(size=(120, 3))
    y = x @ [1, 2, 3] + random.normal(0, 0.1, 120)
    given, metrics, log = trained(tmp_path, NAME, QUICK, {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y})
    assert "The linear model is used" in log
    assert metrics["validation/mae"] == pytest.approx(metrics["baseline/linear_mae"])
    assert metrics["validation/mae"] < 0.2
    (answer,) = predictor(given).predict([[{"a": 1, "b": 1, "c": 1}]])
    assert answer["rows"][0]["value"] == pytest.approx(6, abs=0.3)


def test_parts_follow_tables_groups_or_time(tmp_path):
    table = machines(120)
    _, _, log = trained(tmp_path / "tables", NAME, QUICK, ("train", table), ("validation", table), ("test", table))
    assert "by the tables of the version" in log and "120 for the test" in log
    _, metrics, log = trained(tmp_path / "test", NAME, QUICK, ("train", table), ("test", table))
    assert "at random" in log and "120 for the test" in log and "test/mae" in metrics
    _, _, log = trained(tmp_path / "group", NAME, QUICK | {"group": "site"}, table)
    assert "by group ('site')" in log and "'site' is left out: it names the groups" in log
    _, _, log = trained(tmp_path / "time", NAME, QUICK | {"time": "when", "test_fraction": 0.2}, table)
    assert "by time ('when')" in log and "72 to learn from, 24 for validation, 24 for the test" in log


def test_what_gives_the_target_away_is_left_out(tmp_path):
    table = machines()
    table |= {"watts": [1000 * p for p in table["power"]]}
    config = {"target": "power"} | QUICK
    _, _, log = trained(tmp_path / "auto", NAME, config, table)
    assert "'watts' is left out: it alone gives the target away" in log
    _, metrics, log = trained(tmp_path / "named", NAME, config | {"features": ["watts"]}, table)
    assert "watts" in log and metrics["validation/r2"] > 0.99


def test_what_is_named_is_used_though_it_looks_like_an_identifier(tmp_path):
    config = QUICK | {"target": "power", "features": ["load", "serial", "id"]}
    given, _, log = trained(tmp_path, NAME, config, machines())
    assert "from 3 columns: load, serial, id." in log
    assert "'serial' is used as it is named, though its texts are nearly all different" in log
    row = {"load": 0.5, "serial": "never seen", "id": 10**6}
    assert np.isfinite(predictor(given).predict([[row]])[0]["rows"][0]["value"])
    words = "'power' from"
    assert words in failure(tmp_path / "same", NAME, config | {"features": ["running"]}, machines())[1]


def test_odd_columns_do_no_harm(tmp_path):
    rows = 90
    wide = {f"c{n}": random.normal(size=rows) for n in range(200)}
    y = wide["c3"] * 2
    wide["c3"] = np.where(np.arange(rows) == 4, np.inf, wide["c3"])
    wide |= {"empty": [None] * rows, "mixed": [None, "a", "b"] * 30}
    target = [None if n == 7 else float(v) for n, v in enumerate(y)]
    _, metrics, log = trained(tmp_path, NAME, QUICK, wide | {"y": target})
    assert "'c3' holds 1 infinities" in log and "'empty' is left out: it is empty" in log
    assert "1 rows without a value in 'y'" in log and np.isfinite(metrics["validation/mae"])
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=n) for n in range(rows)]
    _, metrics, _ = trained(tmp_path / "dates", NAME, QUICK, {"day": days, "y": [d.weekday() * 1.5 for d in days]})
    assert metrics["validation/mae"] < metrics["baseline/mae"]


@pytest.mark.parametrize(
    ("config", "table", "words"),
    [
        ({}, {"a": [1.0], "y": [2.0]}, "too few to learn from"),
        ({}, {"a": random.normal(size=50), "y": [3.5] * 50}, "says the same in every training row"),
        ({}, {"a": random.normal(size=50), "y": ["one"] * 50}, "there is nothing to learn"),
        ({}, {"a": random.normal(size=50), "y": [f"id {n}" for n in range(50)]}, "too many to be classes"),
        ({}, {"a": random.normal(size=50), "y": [None] * 50}, "is empty"),
        ({}, {"a": [None] * 50, "y": random.normal(size=50)}, "No column is left"),
        ({}, {"a": [f"id {n}" for n in range(50)], "y": random.normal(size=50)}, "No column is left"),
        ({}, {"a": random.normal(size=20), "y": [dt.date(2024, 1, 1)] * 20}, "holds dates"),
        ({"target": "z"}, {"a": [1.0, 2.0], "y": [2.0, 3.0]}, "no column 'z', which the setting 'target' names"),
        ({"task": "regression"}, {"a": [1.0] * 20, "y": ["x", "z"] * 10}, "can't be a number"),
        ({"features": ["y"]}, {"a": [1.0] * 20, "y": [2.0] * 20}, "can't be a feature too"),
        ({"time": "a"}, {"a": ["x", "z"] * 10, "y": random.normal(size=20)}, "neither dates nor numbers"),
        ({"group": "a"}, {"a": ["x", "z"] * 10, "y": random.normal(size=20)}, "too few to keep groups apart"),
        ({"group": "a", "time": "b"}, {"a": [1.0] * 20, "b": [2.0] * 20, "y": [2.0] * 20}, "not by both"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_said(tmp_path, config, table, words):
    assert words in failure(tmp_path, NAME, config, table)[1]


def test_tables_of_a_version_have_the_same_columns_and_rows_set_aside_stay_out(tmp_path):
    first, second = machines(40), machines(40)
    del second["load"]
    assert "only '0.csv' has 'load'" in failure(tmp_path / "a", NAME, QUICK, first, second)[1]
    _, _, log = trained(tmp_path / "b", NAME, QUICK | {"time": "when"}, machines(100), aside=[[0, 10], [90, 100]])
    assert "64 to learn from, 16 for validation" in log


def test_figures_agree_with_sklearn():
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = random.random(300) < 0.2
    said = np.round(random.random(300) * 0.5 + truth * 0.2, 2)
    assert figures.auc(said, truth) == pytest.approx(roc_auc_score(truth, said))
    assert figures.average_precision(said, truth) == pytest.approx(average_precision_score(truth, said))
    threshold = figures.best_threshold(said, truth)
    f1 = [2 * (truth & (said >= t)).sum() / (truth.sum() + (said >= t).sum()) for t in np.unique(said)]
    named = said >= threshold
    assert 2 * (truth & named).sum() / (truth.sum() + named.sum()) == pytest.approx(max(f1))


def test_rows_that_can_not_be_learned_from_are_told_with_the_result(tmp_path):
    table = machines()
    table["power"] = [None if n % 100 == 7 else value for n, value in enumerate(table["power"])]
    given, _, _ = trained(tmp_path, NAME, QUICK, table, aside=[[20, 30]])
    told = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())[-1]
    assert told.title == "Left out of the data"
    assert told.rows == [["Rows that were set aside", 10, 300], ["Rows without a value in 'power'", 3, 300]]
    given, _, _ = trained(tmp_path / "all", NAME, QUICK, machines())
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    assert "Left out of the data" not in [block.title for block in blocks]


def test_rows_of_a_class_that_is_never_learned_are_told_with_the_result(tmp_path):
    x = np.arange(60.0)
    parts = ("train", {"x": x, "y": ["a", "b"] * 30}), ("validation", {"x": x[:6], "y": ["a", "b", "c"] * 2})
    given, _, _ = trained(tmp_path, NAME, QUICK, *parts)
    told = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())[-1]
    assert told.rows == [["Rows of classes that no training row has", 2, 66]]
