"""Tries ways to continue series, chooses the best by rolling forecasts, and measures it on what came later."""

from __future__ import annotations

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from engine import state
from engine.artifact import make_artifact
from engine.data import Dataset, open_dataset
from engine.device import Device, choose
from engine.protocol import EngineError, FailureCode
from engine.randomness import Dice
from engine.recipes.forecast import bands, classical, drawing, figures, rolling
from engine.recipes.forecast.config import ForecastConfig
from engine.recipes.forecast.cutting import (
    Cut,
    choose_history,
    choose_horizon,
    cut,
    deviation_of,
    long_enough,
    mean_of,
    moving_and_still,
)
from engine.recipes.forecast.model import CENTRES, Linear, Network, Shape, Sums
from engine.recipes.forecast.series import (
    Columns,
    Series,
    Step,
    as_json,
    choose_columns,
    find_season,
    note_rows,
    series_of,
)
from engine.report import AnyBlock, left_out
from engine.schedule import warmup_then_cosine
from engine.tables import read_tables
from engine.task import Context, Plan
from engine.training import TorchTask

MOST_WINDOWS = 200_000  # that the linear model is fitted to
EVALUATION = 4096  # windows at once
CHECKS = 20  # evaluations of the network on the way
LEAST_WINDOWS = 50  # of training, below which nothing is learned


def build(context: Context) -> ForecastTask:
    """Make even series of the table, and divide each by time."""
    config = context.config
    assert isinstance(config, ForecastConfig)
    device = choose(context.spec.device, config.precision, config.deterministic)
    dataset = open_dataset(context.spec.data, "table")
    table = read_tables(dataset, context.log, context.breathe)
    columns = choose_columns(table.kinds, config)
    note_rows(table, columns, context)
    series, step, unusable = series_of(table, columns, context.log)
    found = len(series) + unusable
    if len({item.split for item in dataset.items}) > 1:
        context.log("Stretches of time are divided here; the version's split by files is not used.")
    series, still = moving_and_still(series, context)
    cuts = [cut(len(one.values), config) for one in series]
    season = config.season
    if season == "auto":
        season = find_season(series, step, [one.train for one in cuts])
    horizon = choose_horizon(config, season, cuts)
    series, cuts = long_enough(series, cuts, horizon, context)
    context.note_left_out("Series", found - len(series) - len(still), found)
    history = choose_history(config, season, horizon, step, cuts)
    context.log(
        f"{len(series)} series of up to {max(one.whole for one in cuts):,} values in steps of {step.words}; "
        f"season {season if season > 1 else 'none'}, {horizon} steps ahead, {history} steps back."
    )
    context.log(
        f"By time: the first {cuts[0].train:,} values of '{series[0].name}' to learn from, the next "
        f"{cuts[0].validation - cuts[0].train:,} for validation, the last {cuts[0].whole - cuts[0].validation:,} "
        "for the test."
    )
    shape = Shape(history, horizon, config.width, config.dropout)
    return ForecastTask(context, config, device, dataset, columns, series, cuts, still, step, season, shape)


class ForecastTask(TorchTask):
    """See `engine.task.Task`. Step 0 solves the linear model, the next ones train the network, and each one after them
    makes the rolling forecasts of one series that one fit of a classical method serves."""

    ahead_of_steps = True
    model: Network

    def __init__(
        self,
        context: Context,
        config: ForecastConfig,
        device: Device,
        dataset: Dataset,
        columns: Columns,
        series: list[Series],
        cuts: list[Cut],
        still: list[Series],
        step: Step,
        season: int,
        shape: Shape,
    ) -> None:
        self.config, self.dataset, self.columns, self.series, self.cuts = config, dataset, columns, series, cuts
        self.still, self.season_step, self.season, self.shape = still, step, season, shape
        self.means = [mean_of(one, its) for one, its in zip(series, cuts, strict=True)]
        self.deviations = [deviation_of(one, its) for one, its in zip(series, cuts, strict=True)]
        scaled = zip(series, self.means, self.deviations, strict=True)
        self.even = [(one.values - mean) / deviation for one, mean, deviation in scaled]
        self.tensors = [torch.from_numpy(values).float().to(device.torch) for values in self.even]
        self.train_origins = [np.arange(shape.history, its.train - shape.horizon + 1) for its in cuts]
        self.starts = np.cumsum([0, *(len(origins) for origins in self.train_origins)])
        windows = int(self.starts[-1])
        learns = windows >= LEAST_WINDOWS
        if not learns and {"linear", "network"} & set(config.candidates):
            context.log(f"Nothing is learned from {windows} windows; classical methods only.")
        self.learned = [name for name in ("linear", "network") if learns and name in config.candidates]
        self.network_steps = config.network_steps if "network" in self.learned else 0
        origins = {part: self._origins(part) for part in ("validation", "test")}
        longest = max(one.whole for one in cuts)
        self.back_test = rolling.plan(config.candidates, origins, longest, shape.horizon, context)
        self.linear = Linear(shape).to(device.torch)
        self.best_loss = float("inf")
        plan = Plan(
            total_steps=1 + self.network_steps + len(self.back_test),
            steps_per_epoch=max(1.0, windows / config.batch_size),
            parameters=shape.history * shape.horizon,
            train_items=windows,
            validation_items=sum(len(origins) for origins in self._origins("validation")),
            evaluate_every=max(1, self.network_steps // 5),
        )
        model = Network(shape)
        super().__init__(context, device, model, plan, config.weight_decay, gradient_clip=1.0)
        self.best = copy.deepcopy(self.model)
        self.best.requires_grad_(False).eval()
        self.dice = Dice(context.spec.seed)
        self.chosen = ""
        self.table: list[list[float | str | None]] = []
        self.blocks: list[AnyBlock] = []
        self.bands = bands.Bands.unknown(len(series), shape.horizon)
        if not self.learned and not len(self.back_test) and "naive" not in config.candidates:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                "None of the chosen candidates can be used on these series; the log says why.",
                "Add 'naive' to the candidates.",
            )

    # Steps

    def step(self, index: int) -> tuple[dict[str, float], int]:
        if index == 0:
            self._solve()
            return {}, max(1, self.plan.train_items)
        if index <= self.network_steps:
            metrics, examples = super().step(index - 1)
            if index % max(1, self.network_steps // CHECKS) == 0:
                metrics["train/checked_mse"] = self._keep_best()
            return metrics, examples
        self._roll(index - 1 - self.network_steps)
        return {}, 1

    def learning_rate(self, index: int) -> float:
        return warmup_then_cosine(index, self.network_steps, self.config.learning_rate, self.network_steps // 20, 0.01)

    def examples(self, index: int) -> int:
        return self.config.batch_size

    def batch(self, index: int) -> torch.Tensor:
        """Windows (batch, history + horizon), drawn at random."""
        chosen = torch.randint(int(self.starts[-1]), (self.config.batch_size,), generator=self.dice.at(index)).numpy()
        return self._windows_at(chosen)

    def loss(self, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        past, future = batch[:, : self.shape.history], batch[:, self.shape.history :]
        said = self.linear(past) + self.model(past).float()
        return F.mse_loss(said, future), {"train/mae": (said.detach() - future).abs().mean()}

    def _solve(self) -> None:
        """Fit the linear model with each penalty and both centres; validation chooses."""
        if not self.learned:
            return
        total = int(self.starts[-1])
        every = max(1, -(-total // MOST_WINDOWS))
        best = float("inf")
        for centre in CENTRES:
            sums = Sums(self.shape, centre == "mean", self.device.torch)
            for first in range(0, total, EVALUATION * every):
                self.context.breathe()
                sums.add(self._windows_at(np.arange(first, min(first + EVALUATION * every, total), every)))
            for linear in sums.solved(self.shape):
                self.context.breathe()
                error = self._error(linear.to(self.device.torch))
                if error < best:
                    best, self.linear = error, linear
        self.best_loss = best

    @torch.no_grad()
    def _keep_best(self) -> float:
        """Look at the network on the validation stretch, and keep it where it is the best so far."""
        self.model.eval()
        error = self._error(lambda past: self.linear(past) + self.model(past))
        self.model.train()
        if error < self.best_loss:
            self.best_loss = error
            self.best.load_state_dict(self.model.state_dict())
        return error

    @torch.no_grad()
    def _error(self, model: Any) -> float:
        """Mean squared error on at most `EVALUATION` windows of each series' validation stretch."""
        sums, count = 0.0, 0
        for number, origins in enumerate(self._origins("validation")):
            origins = origins[origins >= self.shape.history]
            origins = origins[:: max(1, len(origins) * len(self.series) // EVALUATION)]
            if len(origins):
                windows = self._windows(number, origins)
                missed = model(windows[:, : self.shape.history]) - windows[:, self.shape.history :]
                sums += float((missed**2).sum())
                count += missed.numel()
        return sums / count if count else float("inf")

    def _roll(self, place: int) -> None:
        """The rolling forecasts of one fit; those on the test are only looked at if their method is chosen."""
        self.context.breathe()
        number = self.back_test.rolls[place].series
        values, mean, deviation = self.series[number].values, self.means[number], self.deviations[number]
        self.back_test.forecast(place, values, mean, deviation, self.season)

    # Evaluation

    def evaluate(self, final: bool) -> dict[str, float]:
        """The validation figures of the best candidate so far; at the end the choice, and the test."""
        name = self._choose(final)
        found = self._figures("validation", name, final)
        if final:
            self.chosen = name
            if self.config.test_fraction:
                found |= self._figures("test", name, final)
            self.blocks = drawing.blocks(self, found)
        return found

    def _choose(self, final: bool) -> str:
        """The candidate with the lowest mean absolute error on the rolling forecasts that all of them made."""
        shared = self._shared() if final else None
        names = [name for name in ("naive", *self.learned) if name in self.config.candidates or not self.learned]
        if final:
            names += [name for name in rolling.FITTED if self.back_test.tried(name)]
        names = names or ["naive"]
        scores = {}
        self.table = []
        for name in names:
            said, truth = self.said("validation", name, shared)
            found = figures.errors(said, truth)
            scores[name] = found["mae"]
            self.table.append([drawing.NAMES[name], found["mae"], found["mse"], len(said)])
        best = min(scores, key=lambda name: scores[name])
        if final:
            told = ", ".join(f"{drawing.NAMES[name]} {score:.4g}" for name, score in scores.items())
            self.context.log(
                f"{drawing.NAMES[best]} is used: the lowest mean absolute error on validation, of {told} (deviations)."
            )
        return best

    def _shared(self) -> list[np.ndarray] | None:
        """The origins that classical methods forecast from, by series; None when they were not tried."""
        if not len(self.back_test):
            return None
        return [self.back_test.origins("validation", number) for number in range(len(self.series))]

    def said(self, part: str, name: str, chosen: list[np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(windows, horizon) forecasts of a candidate and the truth, in deviations, series by series."""
        pairs = [self.said_of(part, name, number, chosen) for number in range(len(self.series))]
        return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])

    @torch.no_grad()
    def said_of(
        self, part: str, name: str, number: int, chosen: list[np.ndarray] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Forecasts of one series and the truth."""
        if name in rolling.FITTED:
            return self.back_test.of(part, name, number), self._truth(number, self.back_test.origins(part, number))
        origins = self._origins(part)[number] if chosen is None else chosen[number]
        truth = self._truth(number, origins)
        if name == "naive":
            return self._naive(number, origins), truth
        said = np.empty(truth.shape)
        for first in range(0, len(origins), EVALUATION):
            self.context.breathe()
            some = slice(first, first + EVALUATION)
            past = self._past(number, origins[some])
            made = self.linear(past)
            if name == "network":
                made = made + self.best(past)
            said[some] = made.double().cpu().numpy()
        return said, truth

    def origins_of(self, part: str, name: str, number: int) -> np.ndarray:
        """Where the forecasts of `said_of` begin."""
        if name in rolling.FITTED:
            return self.back_test.origins(part, number)
        return self._origins(part)[number]

    def _figures(self, part: str, name: str, final: bool) -> dict[str, float]:
        said, truth = self.said(part, name)
        found = figures.errors(said, truth)
        if final:
            found |= self._in_units(part, name)
            if part == "validation":
                self._settle_bands(name)
            else:
                found |= self._coverage(name)
        metrics = {f"{part}/loss": found["mse"], **{f"{part}/{key}": value for key, value in found.items()}}
        if final:
            origins = [self.origins_of(part, name, number) for number in range(len(self.series))]
            trivial = figures.errors(*self.said(part, "naive", origins))
            prefix = "baseline/" if part == "validation" else "baseline/test_"
            metrics |= {f"{prefix}{key}": value for key, value in trivial.items()}
        return metrics

    def _in_units(self, part: str, name: str) -> dict[str, float]:
        """Errors beside those of the season repeated inside of the training stretch, and relative ones."""
        scaled, relative = [], []
        for number, its in enumerate(self.cuts):
            said, truth = self.said_of(part, name, number)
            past = self.even[number][: its.train]
            lag = self.season if self.season < len(past) else 1
            usual = float(np.abs(past[lag:] - past[:-lag]).mean())
            if usual and len(said):
                scaled.append(float(np.abs(said - truth).mean()) / usual)
                relative.append(figures.smape(self.in_units(number, said), self.in_units(number, truth)))
        return {"mase": float(np.mean(scaled)), "smape": float(np.mean(relative))} if scaled else {}

    def in_units(self, number: int, values: np.ndarray) -> np.ndarray:
        """Deviations as the series' own values."""
        return values * self.deviations[number] + self.means[number]

    def _settle_bands(self, name: str) -> None:
        missed, origins = [], []
        for number in range(len(self.series)):
            said, truth = self.said_of("validation", name, number)
            missed.append(said - truth)
            origins.append(self.origins_of("validation", name, number))
        self.bands = bands.settle(missed, origins)

    def reach(self, part: str, name: str, number: int) -> np.ndarray:
        """How far the intervals of a series reach, (levels, windows, horizon), in deviations, at the forecasts of
        `said_of`."""
        origins = self.origins_of(part, name, number)
        if np.isnan(self.bands.usual[number]):
            return self.bands.reach(number, np.full(len(origins), np.nan))
        errors, begins = [], []
        for one in dict.fromkeys(("validation", part)):
            said, truth = self.said_of(one, name, number)
            errors.append(said - truth)
            begins.append(self.origins_of(one, name, number))
        latest = bands.latest_errors(_every_step(errors, begins), np.arange(begins[0][0], begins[-1][-1] + 1), origins)
        return self.bands.reach(number, latest)

    def _coverage(self, name: str) -> dict[str, float]:
        """The share of test values inside of each interval."""
        inside: list[np.ndarray] = []
        for number in range(len(self.series)):
            said, truth = self.said_of("test", name, number)
            inside.append(np.abs(said - truth)[None] <= self.reach("test", name, number))
        whole = np.concatenate(inside, axis=1).mean(axis=(1, 2))
        return {f"coverage_{level}": float(share) for level, share in zip(figures.LEVELS, whole, strict=True)}

    # Windows

    def _origins(self, part: str) -> list[np.ndarray]:
        """Where forecasts of a part begin, by series: all of whose horizon lies in it."""
        made = []
        for its in self.cuts:
            first, after = (its.train, its.validation) if part == "validation" else (its.validation, its.whole)
            made.append(np.arange(first, after - self.shape.horizon + 1))
        return made

    def _naive(self, number: int, origins: np.ndarray) -> np.ndarray:
        values, horizon = self.even[number], self.shape.horizon
        if not len(origins):
            return np.zeros((0, horizon))
        return np.stack([classical.naive(values[:origin], horizon, self.season) for origin in origins])

    def _truth(self, number: int, origins: np.ndarray) -> np.ndarray:
        return self.even[number][origins[:, None] + np.arange(self.shape.horizon)]

    def _past(self, number: int, origins: np.ndarray) -> torch.Tensor:
        """(origins, history); a series that is younger than the history begins with its first value."""
        places = np.maximum(origins[:, None] + np.arange(-self.shape.history, 0), 0)
        return self.tensors[number][torch.from_numpy(places).to(self.device.torch)]

    def _windows(self, number: int, origins: np.ndarray) -> torch.Tensor:
        places = torch.from_numpy(origins[:, None] + np.arange(-self.shape.history, self.shape.horizon))
        return self.tensors[number][places.to(self.device.torch)]

    def _windows_at(self, chosen: np.ndarray) -> torch.Tensor:
        """Training windows by their numbers, through all series."""
        numbers = np.searchsorted(self.starts, chosen, side="right") - 1
        made = torch.empty(len(chosen), self.shape.history + self.shape.horizon, device=self.device.torch)
        for number in np.unique(numbers):
            mine = np.flatnonzero(numbers == number)
            origins = self.train_origins[number][chosen[mine] - self.starts[number]]
            made[torch.from_numpy(mine).to(made.device)] = self._windows(int(number), origins)
        return made

    # What is kept

    def state(self) -> dict[str, bytes]:
        rolled = torch.from_numpy(self.back_test.said)
        return super().state() | {
            "linear.safetensors": state.weights(self.linear),
            "best.safetensors": state.weights(self.best),
            "fits.safetensors": state.save(
                {"rolled": rolled, "best_loss": torch.tensor(self.best_loss, dtype=torch.float64)}
            ),
        }

    def restore(self, files: dict[str, bytes]) -> None:
        super().restore(files)
        self.linear.load_state_dict(state.load(files["linear.safetensors"]))
        self.best.load_state_dict(state.load(files["best.safetensors"]))
        kept = state.load(files["fits.safetensors"])
        self.best_loss = kept["best_loss"].item()
        self.back_test.said = kept["rolled"].numpy()

    def report(self) -> list[AnyBlock]:
        return [*self.blocks, *left_out(self.context.left_out)]

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        about = {
            "columns": asdict(self.columns),
            "kinds": {name: self._kind(name) for name in asdict(self.columns).values() if isinstance(name, str)},
            "step": as_json(self.season_step),
            "season": self.season,
            "shape": asdict(self.shape),
            "chosen": self.chosen,
            "series": [self._about(number) for number in range(len(self.series))]
            + [_about_still(one) for one in self.still],
        }
        return make_artifact(self.context, self._result(), about, self.dataset, metrics)

    def _about(self, number: int) -> dict[str, Any]:
        one, usual = self.series[number], float(self.bands.usual[number])
        if one.still:
            return _about_still(one)
        return {
            "name": one.name,
            "mean": self.means[number],
            "deviation": self.deviations[number],
            "usual_error": None if np.isnan(usual) else usual,
            "last": None if one.last is None else str(one.last),
        }

    def _kind(self, name: str) -> str:
        return "date" if name == self.columns.time else "text"

    def _result(self) -> nn.Module:
        """All arrays of the artifact: models, intervals, and the end of each series."""
        result = nn.Module()
        result.linear, result.network = self.linear, self.best
        certain = np.zeros((len(self.still), *self.bands.widths.shape[1:]))
        result.register_buffer("bands", torch.from_numpy(np.concatenate([self.bands.widths, certain])))
        looked_at = self.shape.history + (bands.LATEST + 1) * self.shape.horizon
        keep = max(looked_at, classical.RECENT, 6 * self.season)
        for number, one in enumerate([*self.series, *self.still]):
            result.register_buffer(f"end_{number}", torch.from_numpy(one.values[-keep:].copy()))
        return result


def _about_still(one: Series) -> dict[str, Any]:
    """A deviation of 0 tells the predictor that there is nothing to calculate."""
    last = None if one.last is None else str(one.last)
    return {"name": one.name, "mean": float(one.values[-1]), "deviation": 0.0, "usual_error": None, "last": last}


def _every_step(errors: list[np.ndarray], begins: list[np.ndarray]) -> np.ndarray:
    """Errors (windows, horizon) of two stretches as one of every step. Between them lie forecasts that end in the
    second one, which neither has: they count as the one before."""
    places = np.concatenate(begins)
    whole = np.concatenate(errors)
    return whole[np.searchsorted(places, np.arange(places[0], places[-1] + 1), side="right") - 1]
