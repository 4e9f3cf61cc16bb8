"""Defaults on data of other shapes, whose right answer is known: they are near it, and never behind the trivial one."""

from __future__ import annotations

import numpy as np
import pytest

from tests.recipes.sheets import trained

TABLE = "table-baseline"
QUICK = {"rounds": 150}


def test_many_categories_are_each_learned(tmp_path):
    random = np.random.default_rng(0)
    place = random.integers(0, 300, 3000)
    effect = 2 * random.normal(size=300)
    table = {"place": [f"p{n}" for n in place], "y": effect[place] + random.normal(0, 0.5, 3000)}
    _, metrics, _ = trained(tmp_path, TABLE, QUICK, table)
    assert metrics["validation/mae"] < 0.6 * metrics["baseline/mae"]


def test_noise_is_known_as_noise(tmp_path):
    random = np.random.default_rng(1)
    table = {f"c{n}": random.normal(size=400) for n in range(5)} | {"y": random.normal(size=400)}
    _, metrics, _ = trained(tmp_path / "numbers", TABLE, QUICK, table)
    assert metrics["validation/mae"] < 1.05 * metrics["baseline/mae"]
    _, metrics, _ = trained(tmp_path / "classes", TABLE, QUICK, table | {"y": random.choice(["u", "v", "w"], 400)})
    assert metrics["validation/log_loss"] < 1.05 * metrics["baseline/log_loss"]


def test_one_rare_row_decides_no_threshold(tmp_path):
    values = np.random.default_rng(0).normal(size=20)
    _, metrics, _ = trained(tmp_path, TABLE, QUICK, {"a": values, "y": ["p"] * 19 + ["q"]})
    assert metrics["validation/accuracy"] >= metrics["baseline/accuracy"]


@pytest.mark.parametrize(("unit", "count"), [("Y", 40), ("M", 72), ("D", 90), ("m", 400)])
def test_other_frequencies_beat_the_season_repeated(tmp_path, unit, count):
    random = np.random.default_rng(2)
    times = (np.datetime64("1980-01-01").astype(f"datetime64[{unit}]") + np.arange(count)).astype("datetime64[us]")
    season = {"Y": 1, "M": 12, "D": 7, "m": 60}[unit]
    swing = 10 * np.sin(np.arange(count) * 2 * np.pi / season)
    table = {"t": times, "y": 100 + np.arange(count) + swing + random.normal(0, 1, count)}
    _, metrics, _ = trained(tmp_path, "forecast", {"candidates": ["naive", "ets", "linear"]}, table)
    assert metrics["test/mae"] < metrics["baseline/test_mae"]


def test_a_series_that_has_just_begun_hides_no_season(tmp_path):
    days = np.datetime64("2024-01-01", "us") + np.arange(90) * np.timedelta64(1, "D")
    week = 10 + 3 * np.sin(np.arange(90) * 2 * np.pi / 7) + np.random.default_rng(3).normal(0, 0.3, 90)
    table = {"t": [*days, *days[:4]], "shop": ["old"] * 90 + ["new"] * 4, "y": [*week, *week[:4]]}
    _, _, log = trained(tmp_path, "forecast", {"series": "shop", "candidates": ["naive"]}, table)
    assert "season 7" in log and "Series 'new' is left out" in log
