"""Forecast continues series in time, chooses by rolling forecasts, and is honest about what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine import report
from engine.protocol import EngineError, FailureCode
from engine.recipes.forecast import bands, classical, figures, rolling
from engine.recipes.forecast.model import Linear, Shape, Sums
from engine.recipes.forecast.series import Step, find_step
from engine.rowfiles import rows_of
from tests.recipes.sheets import failure, predictor, trained

NAME = "forecast"
LEARNED = {"candidates": ["naive", "linear"]}
DAY = np.timedelta64(1, "D")
START = np.datetime64("2024-01-01", "us")


def days(count: int) -> np.ndarray:
    return START + np.arange(count) * DAY


def weekly(count: int, noise: float = 0.2, seed: int = 1) -> np.ndarray:
    """A week's rhythm on a slope."""
    places = np.arange(count)
    swing = np.sin(places * 2 * np.pi / 7) + 0.02 * places
    return 50 + 5 * swing + np.random.default_rng(seed).normal(0, noise, count)


def test_a_week_is_found_learned_and_continued(tmp_path):
    given, metrics, log = trained(tmp_path, NAME, LEARNED, {"day": days(400), "sold": weekly(400)})
    assert "steps of one day; season 7, 7 steps ahead" in log
    assert "Linear model is used" in log and "the last 80 for the test" in log
    assert metrics["test/mae"] < 0.7 * metrics["baseline/test_mae"]
    assert metrics["test/coverage_80"] == pytest.approx(0.8, abs=0.12) and metrics["test/coverage_95"] > 0.85
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    assert [block.kind for block in blocks] == ["figures", "table", "lines", "lines"]
    assert [band.name for band in blocks[2].bands] == ["95 %", "80 %"]

    model = predictor(given)
    (own, shorter) = model.predict([None, []], {"horizon": 7})
    assert own == shorter and [entry["time"] for entry in own["forecast"]][:2] == ["2025-02-04", "2025-02-05"]
    assert model.predict([rows_of(b"[]"), rows_of(b"")]) == [own, own]  # as nothing comes through API and page
    truth = weekly(410, noise=0)[400:407]
    for entry, value in zip(own["forecast"], truth, strict=True):
        assert entry["low_95"] <= entry["low_80"] < entry["value"] < entry["high_80"] <= entry["high_95"]
        assert entry["value"] == pytest.approx(value, abs=1)

    rows = [{"day": str(day)[:10], "sold": float(v)} for day, v in zip(days(600)[500:], weekly(600)[500:], strict=True)]
    (later,) = model.predict([rows], {"horizon": 2})
    assert [entry["time"] for entry in later["forecast"]] == ["2025-08-23", "2025-08-24"]
    assert later["forecast"][0]["value"] == pytest.approx(weekly(601, noise=0)[600], abs=2)
    for bad, words in [
        (rows[:5], "has 5 rows of past, the model looks at"),
        ([{"day": "2024-01-01"}], "the column 'sold' is missing"),
        ([{"day": "soon", "sold": 1}], "is no date"),
        ([row | {"day": "2024-01-01"} for row in rows], "share their time"),
    ]:
        with pytest.raises(EngineError, match=words) as error:
            model.predict([bad])
        assert error.value.code is FailureCode.BAD_DATA
    with pytest.raises(EngineError, match="horizon must be"):
        model.predict([None], {"horizon": 8})


def test_series_below_each_other_are_told_apart(tmp_path):
    shops = {"day": np.tile(days(200), 2), "shop": ["north"] * 200 + ["south"] * 200}
    sold = np.concatenate([weekly(200), 1000 + 100 * weekly(200, seed=2)])
    given, _, _ = trained(tmp_path, NAME, LEARNED | {"series": "shop", "horizon": 3}, shops | {"sold": sold})
    (answer,) = predictor(given).predict([None])
    assert [entry["series"] for entry in answer["forecast"]] == ["north"] * 3 + ["south"] * 3
    assert answer["forecast"][0]["value"] < 100 < 5000 < answer["forecast"][3]["value"]
    code, message = failure(tmp_path / "mixed", NAME, LEARNED, shops | {"sold": sold})
    assert code == "BAD_DATA" and "share their time with another row" in message


def test_short_series_are_left_to_classical_methods(tmp_path):
    months = (np.datetime64("2015-01") + np.arange(60)).astype("datetime64[us]")
    swing = 1 + 0.3 * np.sin(np.arange(60) * 2 * np.pi / 12)
    sold = np.exp(3 + 0.02 * np.arange(60)) * swing + np.random.default_rng(0).normal(0, 0.2, 60)
    given, metrics, log = trained(
        tmp_path, NAME, {"horizon": 6, "candidates": ["ets", "linear"]}, {"m": months, "y": sold}
    )
    assert "steps of one month; season 12" in log and "classical methods only" in log
    assert metrics["test/mae"] < 0.5 * metrics["baseline/test_mae"]
    times = [entry["time"] for entry in predictor(given).predict([None])[0]["forecast"]]
    assert times == [f"2020-0{month}-01" for month in range(1, 7)]


def test_gaps_are_filled_and_disorder_is_put_right(tmp_path):
    keep = np.random.default_rng(3).permutation(300)[:270]
    values = weekly(300)[keep]
    values[5] = np.nan
    _, metrics, log = trained(tmp_path, NAME, LEARNED, {"day": days(300)[keep], "y": values})
    assert "rows are missing in steps of one day; straight lines fill them" in log
    assert "missing values of 'y' are filled" in log
    assert metrics["test/mae"] < metrics["baseline/test_mae"]


def test_rows_without_times_follow_each_other(tmp_path):
    given, _, log = trained(tmp_path, NAME, LEARNED, {"y": weekly(300)}, aside=[[200, 300]])
    assert "up to 200 values in steps of one row; season 7" in log
    assert [entry["time"] for entry in predictor(given).predict([None])[0]["forecast"]] == list(range(1, 8))


@pytest.mark.parametrize(
    ("config", "table", "words"),
    [
        ({}, {"y": [1.0, 2.0, 3.0]}, "too short"),
        ({}, {"day": days(50), "name": ["a"] * 50}, "no column of numbers"),
        ({}, {"day": days(90), "y": [0.1] * 80 + list(range(10))}, "never changes in the stretch"),
        ({}, {"day": days(90), "y": [None] * 80 + [1.0] * 10}, "More than half of 'y' is missing"),
        ({"target": "z"}, {"day": days(50), "y": weekly(50)}, "no column 'z'"),
        ({"time": "y"}, {"day": days(50), "y": weekly(50)}, "holds no dates"),
        ({"history": 90}, {"day": days(100), "y": weekly(100)}, "do not fit"),
        ({"horizon": 50}, {"day": days(100), "y": weekly(100)}, "too short"),
        ({}, {"day": np.repeat(days(1), 50), "y": weekly(50)}, "no two rows have different times"),
        ({}, {"day": np.concatenate([days(60), days(60) + 900 * DAY]), "y": weekly(120)}, "too uneven"),
        ({"candidates": ["linear"]}, {"day": days(40), "y": weekly(40)}, "None of the chosen candidates"),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_said(tmp_path, config, table, words):
    assert words in failure(tmp_path, NAME, LEARNED | config, table)[1]


def test_steps_of_time_are_recognised():
    hours = START + np.arange(50) * np.timedelta64(15, "m")
    assert find_step([hours]).words == "15 minutes" and 96 in find_step([hours]).seasons
    working = days(60)[np.is_busday(days(60).astype("datetime64[D]"))]
    step = find_step([working])
    assert step.unit == "workdays" and str(step.after(np.datetime64("2024-03-01", "us"), 1)[0])[:10] == "2024-03-04"
    ends = ((np.datetime64("2023-01") + np.arange(12) + 1).astype("datetime64[D]") - 1).astype("datetime64[us]")
    step = find_step([ends])
    assert step == Step("months", 1)
    assert [str(time)[:10] for time in step.after(ends[-1], 3)] == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_the_linear_model_is_least_squares():
    shape = Shape(history=3, horizon=2, width=4)
    past = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    weight = torch.tensor([[0.5, 0.1], [-0.2, 0.3], [0.0, 0.0]])
    future = (past - past[:, -1:]) @ weight + 0.7 + past[:, -1:]
    sums = Sums(shape, by_mean=False, device=torch.device("cpu"))
    for part in torch.cat([past, future], 1).split(100):
        sums.add(part)
    first: Linear = next(sums.solved(shape))
    assert torch.allclose(first(past), future, atol=0.02)


def test_classical_methods_continue_a_season_and_survive_nonsense():
    values = np.tile([1.0, 5.0, 3.0, 2.0], 20) + np.random.default_rng(0).normal(0, 0.05, 80)
    for method in (classical.naive, classical.ets, classical.arima):
        assert np.allclose(method(values, 6, 4), [1, 5, 3, 2, 1, 5], atol=0.5), method
        assert np.isfinite(method(np.ones(30), 4, 7)).all()
        assert len(method(np.array([1.0, 2.0]), 4, 7)) == 4


def test_intervals_hold_their_promise():
    random = np.random.default_rng(0)
    for windows in (12, 400):
        reach = figures.widths(random.normal(size=(windows, 10)) * np.arange(1, 11))
        inside = (np.abs(random.normal(size=(4000, 10)) * np.arange(1, 11))[None] <= reach[:, None]).mean(axis=(1, 2))
        assert inside == pytest.approx([0.8, 0.95], abs=0.06)


def test_intervals_follow_the_latest_errors(tmp_path):
    """Nights of a year that are restless where it is learned how wide intervals are, and calm afterwards."""
    random = np.random.default_rng(4)
    places = np.arange(2000)
    noise = np.where((places > 1200) & (places < 1650), 1.0, 0.3) * random.normal(size=2000)
    hours = START + places * np.timedelta64(1, "h")
    given, metrics, _ = trained(
        tmp_path, NAME, LEARNED, {"at": hours, "y": 3 * np.sin(places * 2 * np.pi / 24) + noise}
    )
    assert metrics["test/coverage_80"] == pytest.approx(0.8, abs=0.12), "equal widths cover more than 0.95"
    model = predictor(given)

    def width(noise: float) -> float:
        values = 3 * np.sin(np.arange(600) * 2 * np.pi / 24) + noise * random.normal(size=600)
        times = START + np.arange(600) * np.timedelta64(1, "h")
        rows = [{"at": str(time), "y": float(value)} for time, value in zip(times, values, strict=True)]
        return np.mean([one["high_80"] - one["low_80"] for one in model.predict([rows])[0]["forecast"]])

    assert width(1.0) > 2 * width(0.3)


def test_widths_are_equal_where_little_is_known():
    missed = [np.random.default_rng(0).normal(size=(20, 4))]
    made = bands.settle(missed, [np.arange(20)])
    assert np.isnan(made.usual).all()
    reach = made.reach(0, np.array([np.nan, 0.001, 50.0]))
    assert np.allclose(reach, reach[:, :1])


def test_latest_errors_are_of_forecasts_whose_truth_is_known():
    errors = np.arange(100.0)[:, None].repeat(5, 1)
    found = bands.latest_errors(errors, np.arange(200, 300), np.array([205, 209, 260]))
    assert np.isnan(found[0]), "one forecast alone says little"
    assert found[1] == np.mean(range(5)) and found[2] == np.mean(range(41, 56))


@pytest.mark.parametrize(("name", "season"), [("ets", 7), ("ets", 1), ("arima", 7), ("arima", 30)])
def test_a_fit_that_takes_in_further_values_forecasts_nearly_as_a_new_one_does(name, season):
    noise = np.random.default_rng(2).normal(0, 0.2, 400)
    values = weekly(400) if season < 30 else noise + np.sin(np.arange(400) * 2 * np.pi / 30) * 5
    origins = np.array([300, 311, 350])
    made = classical.rolled(name, values, origins, 7, season)
    anew = [classical.METHODS[name](values[:origin], 7, season) for origin in origins]
    assert np.array_equal(made[0], anew[0])
    assert np.allclose(made, anew, atol=1.5 if season == 1 else 0.6)
    stale = classical.METHODS[name](values[:300], 57, season)[50:]
    assert season == 1 or not np.allclose(made[2], stale, atol=1e-6), "the later values are taken in"


def test_candidates_are_compared_on_the_same_many_forecasts_by_few_fits(tmp_path, monkeypatch):
    fits: list[str] = []
    kept = {name: fit for name, (fit, _) in classical._FITS.items()}

    def counted(name):
        def fit(*given):
            fits.append(name)
            return kept[name](*given)

        return fit

    monkeypatch.setattr(classical, "_FITS", {name: (counted(name), 12) for name in kept})
    config = {"candidates": ["naive", "ets", "arima", "linear"], "horizon": 7}
    given, _, _ = trained(tmp_path, NAME, config, {"day": days(400), "sold": weekly(400)})
    blocks = report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
    table = next(block for block in blocks if block.kind == "table")
    assert [row[3] for row in table.rows] == [24] * 4, "on the same forecasts"
    assert "The same 24 rolling forecasts by each" in table.note
    assert fits.count("ets") == fits.count("arima") == 2 * rolling.FITS, "on validation and on the test"


def test_a_short_stretch_gives_as_many_forecasts_as_there_are():
    assert [list(some) for some in rolling.chunks(np.arange(50, 53))] == [[50], [51], [52]]
    assert rolling.chunks(np.arange(0)) == []
    many = rolling.chunks(np.arange(1000))
    assert len(many) == rolling.FITS and sum(map(len, many)) == rolling.WINDOWS and many[-1][-1] == 999


@pytest.mark.parametrize("candidates", [["naive", "ets", "arima", "linear", "network"], ["linear"], ["ets"]])
def test_a_series_that_never_changes_is_continued_exactly(tmp_path, candidates):
    config = {"candidates": candidates, "network_steps": 20}
    given, metrics, log = trained(tmp_path, NAME, config, {"day": days(200), "y": [0.1] * 200})
    assert "One series never changes, and is continued with its value: 'y'." in log and "season none" in log
    assert metrics["test/mae"] == metrics["validation/mae"] == metrics["baseline/test_mae"] == 0
    assert metrics["test/coverage_80"] == metrics["test/coverage_95"] == 1
    assert "test/mase" not in metrics, "there is no change to compare an error with"
    assert "Season repeated is used" in log or "naive" not in candidates
    model = predictor(given)
    (answer,) = model.predict([None])
    assert {entry[key] for entry in answer["forecast"] for key in entry if key != "time"} == {0.1}
    row = {"day": "2025-01-01", "y": 0.1}
    assert model.predict([[row]])[0]["forecast"][0]["time"] == "2025-01-02"
    with pytest.raises(EngineError, match=r"was always 0\.1 while the model learned") as error:
        model.predict([[row | {"y": 0.2}]])
    assert error.value.code is FailureCode.BAD_DATA


def test_a_series_that_never_changes_leaves_the_others_as_they_are_without_it(tmp_path):
    others = {"day": np.tile(days(200), 2), "shop": ["north"] * 200 + ["south"] * 200}
    others["sold"] = np.concatenate([weekly(200), 1000 + 100 * weekly(200, seed=2)])
    closed = {"day": np.tile(days(200), 3), "shop": ["closed"] * 200 + others["shop"]}
    closed["sold"] = np.concatenate([np.full(200, 0.1), others["sold"]])
    config = LEARNED | {"series": "shop", "horizon": 3}
    without, figures_without, _ = trained(tmp_path / "without", NAME, config, others)
    given, found, log = trained(tmp_path / "with", NAME, config, closed)
    assert "One series never changes, and is continued with its value: 'closed'." in log
    assert found == figures_without
    (answer,) = predictor(given).predict([None])
    (expected,) = predictor(without).predict([None])
    assert answer["forecast"][:6] == expected["forecast"]
    assert [entry["series"] for entry in answer["forecast"][6:]] == ["closed"] * 3
    assert {entry[key] for entry in answer["forecast"][6:] for key in ("value", "low_95", "high_95")} == {0.1}


def test_a_series_that_changes_late_is_left_out_beside_others(tmp_path):
    table = {"day": np.tile(days(200), 2), "shop": ["late"] * 200 + ["north"] * 200}
    late = np.concatenate([np.full(180, 0.1), np.arange(20.0)])
    config = LEARNED | {"series": "shop", "horizon": 3}
    given, _, log = trained(tmp_path, NAME, config, table | {"sold": np.concatenate([late, weekly(200)])})
    assert "Series 'late' is left out: it never changes in the stretch that is learned from." in log
    assert {entry.get("series", "north") for entry in predictor(given).predict([None])[0]["forecast"]} == {"north"}


def test_what_is_left_out_is_told_with_the_result(tmp_path):
    table = {"day": np.tile(days(200), 3), "shop": ["north"] * 200 + ["young"] * 200 + ["south"] * 200}
    table["sold"] = np.concatenate([weekly(200), np.full(200, np.nan), weekly(200, seed=3)])
    table["day"][[3, 410]], table["shop"][5] = np.datetime64("NaT"), None
    given, _, _ = trained(tmp_path, NAME, LEARNED | {"series": "shop", "horizon": 3}, table, aside=[[0, 2]])
    (told,) = [block for block in report_of(given) if block.title == "Left out of the data"]
    assert told.rows == [
        ["Rows that were set aside", 2, 600],
        ["Rows without a name in 'shop'", 1, 600],
        ["Rows without a time in 'day'", 2, 600],
        ["Series", 1, 3],
    ]


def report_of(given):
    return report.read((given.work_dir / "artifact" / report.REPORT).read_bytes())
