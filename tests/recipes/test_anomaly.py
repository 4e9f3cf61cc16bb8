"""Anomaly finds what is unlike the past, at a rate of false alarms that was set, without seeing what comes later."""

from __future__ import annotations

import numpy as np
import pytest

from bench_recipes import nab
from engine import report
from engine.protocol import EngineError, FailureCode
from engine.recipes.anomaly import forest, scoring
from tests.recipes.sheets import failure, predictor, trained

NAME = "anomaly"
QUICK = {"trees": 20}
HOUR = np.timedelta64(1, "h")


def hours(count: int) -> np.ndarray:
    return np.datetime64("2024-01-01", "us") + np.arange(count) * HOUR


def sensor(count: int = 2000) -> np.ndarray:
    """A day's rhythm with noise."""
    return 20 + 3 * np.sin(np.arange(count) * 2 * np.pi / 24) + np.random.default_rng(1).normal(0, 0.3, count)


def test_what_is_unusual_for_its_hour_is_found(tmp_path):
    values, bad = sensor(), np.zeros(2000, dtype=bool)
    for place in (1550, 1700, 1850):
        bad[place : place + 4] = True
    values[bad] += np.where(values[bad] > 20, -3, 3)  # unusual for the hour, but not for the day
    table = {"at": hours(2000), "heat": values, "broken": bad}
    given, metrics, log = trained(tmp_path, NAME, QUICK | {"label": "broken"}, table)
    assert "steps of one hour; season 24" in log and "share of put-in disturbances found" in log
    assert metrics["validation/detected"] >= metrics["baseline/detected"] > 0.5
    assert metrics["test/recall"] > 0.7 and metrics["test/precision"] > 0.7
    assert metrics["test/f1"] > metrics["baseline/test_f1"] and metrics["test/alarms_per_1000"] < 15
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    assert [block.kind for block in blocks] == ["figures", "table", "lines"]
    assert {stretch.name for stretch in blocks[2].stretches} == {"Anomaly", "Labelled"}

    model = predictor(given)
    rows = [{"at": str(time), "heat": float(v)} for time, v in zip(hours(2000), values, strict=True)]
    (answer,) = model.predict([rows])
    found = np.array([row["is_anomaly"] for row in answer["rows"]])
    assert found[bad].mean() > 0.7 and found[~bad].mean() < 0.01
    assert sum(row["alarm"] for row in answer["rows"]) < found.sum()
    assert [row["time"] for row in answer["rows"][:3]] == ["2024-01-01", "2024-01-01 01:00:00", "2024-01-01 02:00:00"]
    (backwards,) = model.predict([rows[::-1]])
    assert backwards["rows"][::-1] == answer["rows"]
    later = [{"at": str(hours(2003)[2000 + n]), "heat": heat} for n, heat in enumerate((21.0, None, 60.0))]
    assert [row["is_anomaly"] for row in model.predict([later])[0]["rows"]] == [False, False, True]
    for given_rows, words in [
        ([{"at": "2024-01-01"}], "the column 'heat' is missing"),
        ([{"heat": 1.0, "at": None}], "row 1 has no time"),
        ([{"heat": "hot", "at": "2024-01-01"}], "is no number"),
        ([], "it has no rows"),
    ]:
        with pytest.raises(EngineError, match=words) as error:
            model.predict([given_rows])
        assert error.value.code is FailureCode.BAD_DATA


def test_a_score_knows_nothing_of_later_rows():
    values = np.column_stack([sensor(400), np.random.default_rng(2).normal(size=400)])
    whole = scoring.features(values, np.ones(2), 100, 24)
    changed = values.copy()
    changed[300:] = 1000
    assert np.allclose(scoring.features(changed, np.ones(2), 100, 24)[:300], whole[:300], atol=1e-6)
    assert np.allclose(scoring.features(values[:300], np.ones(2), 100, 24), whole[:300])
    assert np.array_equal(scoring.fresh(np.array([1.0, 3, 2, 3, 4, 1]), 2), [True, True, False, False, True, False])


def test_new_rows_follow_the_file_that_ends_last_in_time(tmp_path):
    values = sensor(1000)
    early = {"at": hours(1000)[:400], "heat": values[:400]}
    late = {"at": hours(1000)[400:], "heat": values[400:]}
    given, _, log = trained(tmp_path, NAME, QUICK | {"test_fraction": 0}, ("train", late), ("validation", early))
    assert "0 for the test, by the version's split of files, which has no test." in log
    model = predictor(given)
    assert model.last == hours(1000)[-1] and model.tail[-1, 0] == values[-1]


def halves() -> tuple[dict, dict]:
    values = sensor(1000)
    return (
        {"at": hours(1000)[:600], "heat": values[:600]},
        {"at": hours(1000)[600:], "heat": values[600:]},
    )


def test_a_version_whose_files_leave_no_test_gives_the_latest_share_of_each(tmp_path):
    early, late = halves()
    _, metrics, log = trained(tmp_path, NAME, QUICK | {"test_fraction": 0.1}, ("train", early), ("validation", late))
    assert "540 rows to learn from, 360 for threshold and choice, 100 for the test" in log
    assert "which has no test: the latest rows of each are it (0.1 of all)" in log
    assert "test/alarms_per_1000" in metrics


def test_files_that_the_version_keeps_for_the_test_are_never_learned_from(tmp_path):
    early, late = halves()
    config = QUICK | {"validation_fraction": 0.2, "test_fraction": 0.1}
    _, _, log = trained(tmp_path / "two", NAME, config, ("train", early), ("test", late))
    assert "480 rows to learn from, 120 for threshold and choice, 400 for the test" in log
    assert "but for the files that the version keeps for the test" in log
    parts = [(name, {key: values[some] for key, values in late.items()}) for name, some in
             (("validation", slice(0, 100)), ("test", slice(100, 400)))]  # fmt: skip
    _, _, log = trained(tmp_path / "three", NAME, config, ("train", early), *parts)
    assert "600 rows to learn from, 100 for threshold and choice, 300 for the test" in log


def test_rows_without_times_stand_for_themselves(tmp_path):
    random = np.random.default_rng(3)
    x = random.normal(size=(800, 2))
    table = {"a": x[:, 0], "b": x[:, 1] + 100, "same": [1.0] * 800}
    given, _, log = trained(tmp_path, NAME, QUICK, table)
    assert "rows stand for themselves" in log and "'same' is left out" in log
    rows = [{"a": 0, "b": 100}, {"a": 9, "b": 100}, {"a": 0, "b": 80}]
    (answer,) = predictor(given).predict([rows])
    assert [row["is_anomaly"] for row in answer["rows"]] == [False, True, True]
    assert "time" not in answer["rows"][0]


def test_the_kept_forest_scores_as_scikit_learn():
    from sklearn.ensemble import IsolationForest

    x = np.random.default_rng(0).normal(size=(500, 3)).astype("float32")
    ours = forest.scores(forest.grow(x, 30, seed=5), x, 256)
    theirs = -IsolationForest(n_estimators=30, max_samples=256, random_state=5).fit(x).score_samples(x)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_threshold_keeps_its_rate_even_from_few_rows():
    random = np.random.default_rng(0)
    for rows, least in ((20_000, 0.0005), (400, 0.00002)):  # of few rows it is rather too careful
        limit = scoring.threshold(np.abs(random.normal(size=rows)), 0.001)
        assert least < (np.abs(random.normal(size=400_000)) > limit).mean() < 0.004


@pytest.mark.parametrize(
    ("config", "table", "words"),
    [
        ({}, {"a": [1.0, 2.0]}, "too few to learn"),
        ({}, {"a": [1.0] * 100}, "No watched column changes"),
        ({}, {"a": [None] * 100}, "No watched column changes"),
        ({}, {"a": ["x"] * 100}, "no column of numbers"),
        ({"columns": ["z"]}, {"a": sensor(100)}, "no column 'z'"),
        ({"time": "a"}, {"a": sensor(100)}, "holds no dates"),
        ({"label": "b"}, {"a": sensor(100), "b": ["x"] * 100}, "holds texts"),
    ],
)  # fmt: skip
def test_what_cannot_be_watched_is_said(tmp_path, config, table, words):
    assert words in failure(tmp_path, NAME, QUICK | config, table)[1]


def test_nab_s_score_is_0_for_silence_and_near_100_for_the_first_row_of_each_window():
    times = [str(n) for n in range(1000)]
    weights = nab.Weights(1.0, 1.0, 0.11)
    windows = [("300", "399"), ("700", "749")]
    perfect, late, silent = np.zeros(1000), np.zeros(1000), np.zeros(1000)
    perfect[[300, 700]] = 1
    late[[399, 749, 990]] = 1
    first = [nab.scored(times, perfect, windows, weights)]
    assert nab.at(first, 0.5, weights) == (pytest.approx(100), 2, 0)
    assert nab.best(first, weights)[0] == pytest.approx(100)
    assert nab.at([nab.scored(times, silent, windows, weights)], 0.5, weights)[0] == 0
    score, hits, alarms = nab.at([nab.scored(times, late, windows, weights)], 0.5, weights)
    # Right edges are worth little; an alarm far after a window costs 0.11.
    edges = sum(nab.sigmoid(-1 / width) for width in (100, 50)) / nab.sigmoid(-1)
    assert (hits, alarms) == (2, 1) and score == pytest.approx(100 * (edges - 0.11 + 2) / 4, abs=0.1)


def test_rows_without_a_time_are_told_with_the_result(tmp_path):
    times = hours(500)
    times[[7, 9]] = np.datetime64("NaT")
    given, _, _ = trained(tmp_path, NAME, QUICK, {"at": times, "heat": sensor(500)}, aside=[[0, 5]])
    told = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())[-1]
    assert told.title == "Left out of the data"
    assert told.rows == [["Rows that were set aside", 5, 500], ["Rows without a time in 'at'", 2, 500]]
