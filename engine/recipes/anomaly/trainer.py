"""Learns what is usual, sets a threshold at a stated rate of false alarms, and chooses how unusual is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from engine import state
from engine.artifact import make_artifact
from engine.data import Dataset, bad_data, open_dataset
from engine.device import choose
from engine.randomness import mix
from engine.recipes.anomaly import drawing, forest, scoring
from engine.recipes.anomaly.config import AnomalyConfig
from engine.recipes.anomaly.model import Arrays, Scorer, trees_of
from engine.recipes.forecast.series import Series, find_season, find_step
from engine.recipes.table_baseline.figures import average_precision
from engine.report import AnyBlock, left_out
from engine.tables import NUMERIC, Table, no_column, read_tables, spread
from engine.task import Context, Plan

TREES = 10  # of a step
LEAST = 60  # rows
FOREST_ROWS = 50_000
DISTURBED = 48  # disturbances that are put in
LENGTH = 5  # rows of one
TAIL = 20_000  # rows that are kept, at most, for what comes next


def build(context: Context) -> AnomalyTask:
    """Read the columns in order of time, and divide the rows."""
    config = context.config
    assert isinstance(config, AnomalyConfig)
    choose(context.spec.device, "float32")  # a device that is not there is told, though all is calculated on the CPU
    dataset = open_dataset(context.spec.data, "table")
    table = read_tables(dataset, context.log, context.breathe)
    time, label, columns = choose_columns(table, config)
    data = arranged(table, time, label, columns, config, context)
    columns, data = _varied(columns, data, context)
    context.log(
        f"Watched: {', '.join(columns[:20])}{' …' if len(columns) > 20 else ''}; "
        + (f"in order of '{time}'." if time else "rows stand for themselves, in no order.")
    )
    sizes = [int((data.part == part).sum()) for part in ("train", "validation", "test")]
    context.log(
        f"{sizes[0]:,} rows to learn from, {sizes[1]:,} for threshold and choice, {sizes[2]:,} for the test"
        f", {data.how}."
    )
    return AnomalyTask(context, config, dataset, data, columns, time)


@dataclass(frozen=True)
class Data:
    """Rows in order, file by file: values (rows, columns), the part of each row, where each file's rows lie, times
    (None where there is no order), labels (None without a label column), and in words how the parts were divided."""

    values: np.ndarray
    part: np.ndarray
    files: list[slice]
    times: np.ndarray | None
    labels: np.ndarray | None
    how: str

    @property
    def latest(self) -> slice:
        """The file that ends last in time; without times the last one."""
        times = self.times
        return self.files[-1] if times is None else max(self.files, key=lambda file: times[file.stop - 1])

    def rows(self, part: str) -> np.ndarray:
        return np.flatnonzero(self.part == part)


def choose_columns(table: Table, config: AnomalyConfig) -> tuple[str, str, list[str]]:
    """Time column ('' for none), label column ('' for none), and the columns that are watched."""
    kinds = table.kinds
    time = next((name for name, kind in kinds.items() if kind == "date"), "") if config.time == "auto" else config.time
    asked = [] if config.columns == "auto" else list(config.columns)
    for setting, names in (("time", [time]), ("label", [config.label]), ("columns", asked)):
        for name in names:
            if name and name not in kinds:
                raise no_column(name, kinds, setting)
    if time and kinds[time] != "date":
        raise bad_data(
            f"The time column '{time}' holds no dates.", "Import the table again with this column as a date."
        )
    if config.label and kinds[config.label] not in NUMERIC:
        raise bad_data(
            f"The label column '{config.label}' holds texts.", "Mark anomalies by yes and no, or by 1 and 0."
        )
    numbers = [name for name, kind in kinds.items() if kind in ("whole", "number") and name != config.label]
    columns = list(dict.fromkeys(asked)) or numbers
    if bad := [name for name in columns if kinds[name] not in NUMERIC]:
        raise bad_data(f"Column '{bad[0]}' holds no numbers.", "Watch columns of numbers.")
    if not columns:
        raise bad_data("The table has no column of numbers to watch.", "Import it again with the right types.")
    return time, config.label, columns


def arranged(table: Table, time: str, label: str, columns: list[str], config: AnomalyConfig, context: Context) -> Data:
    """The rows in order, each in its part. EngineError BAD_DATA when there are too few."""
    rows = len(table) + table.aside
    context.note_left_out("Rows that were set aside", table.aside, rows)
    if time and np.isnat(table.columns[time]).any():
        timeless = int(np.isnat(table.columns[time]).sum())
        context.log(f"{timeless:,} rows without a time are left out.")
        context.note_left_out(f"Rows without a time in '{time}'", timeless, rows)
        table = table.taken(~np.isnat(table.columns[time]))
    if len(table) < LEAST:
        raise bad_data(f"{len(table):,} rows are too few to learn what is usual.", f"Add rows: at least {LEAST}.")
    times = table.columns[time] if time else None
    order = np.lexsort((times, table.source)) if times is not None else np.arange(len(table))
    table = table.taken(order)
    bounds = np.flatnonzero(np.diff(table.source, prepend=-1, append=-2))
    files = [slice(first, after) for first, after in pairwise(bounds)]
    part, how = _divided(table, files, bool(time), config, context.spec.seed)
    values = np.column_stack([table.columns[name] for name in columns])
    labels = table.columns[label] > 0 if label else None
    if labels is not None and (labels.all() or not labels.any()):
        context.log(
            f"The label column '{label}' marks {'every row' if labels.all() else 'no row'}, so nothing can be said of "
            "precision and recall.",
            "warning",
        )
    return Data(values, part, files, table.columns[time] if time else None, labels, how)


def _divided(
    table: Table, files: list[slice], by_time: bool, config: AnomalyConfig, seed: int
) -> tuple[np.ndarray, str]:
    """The part of each row, and in words how it was found: by the version's split of its files where it has one. What
    that leaves open is divided by the shares in the settings, each file by itself where rows have times."""
    part = np.array([item.split for item in table.items], dtype=object)[table.source]
    given = set(part)
    place = np.empty(len(table))
    for rows in files if by_time else [slice(0, len(table))]:
        count = rows.stop - rows.start
        place[rows] = (np.arange(count) + 0.5) / count if by_time else 1 - spread(seed, np.arange(count))
    by = "by time" if by_time else "at random"
    if {"train", "validation", "test"} <= given:
        return part, "by the version's split of files, whatever the shares in the settings"
    test = config.test_fraction
    if {"train", "validation"} <= given:
        if not test:
            return part, "by the version's split of files, which has no test"
        rows = "the latest rows of each" if by_time else "rows of them"
        part[place >= 1 - test] = "test"
        return part, f"by the version's split of files, which has no test: {rows} are it ({test:g} of all)"
    kept = part == "test" if given > {"test"} else np.zeros(len(table), dtype=bool)
    test = 0.0 if kept.any() else test
    validation = min(config.validation_fraction, 0.9 - test)
    part = np.where(place >= 1 - test - validation, "validation", "train").astype(object)
    part[(place >= 1 - test) | kept] = "test"
    return part, f"{by}, but for the files that the version keeps for the test" if kept.any() else by


def _varied(columns: list[str], data: Data, context: Context) -> tuple[list[str], Data]:
    """Without columns that are empty or never change where it is learned from."""
    train = data.values[data.part == "train"]
    if len(train) < LEAST // 3 or not (data.part == "validation").any():
        raise bad_data(
            f"Only {len(train):,} rows are left to learn from, and {int((data.part == 'validation').sum()):,} for the "
            "threshold.",
            "Add rows, or lower the shares for validation and test.",
        )
    kept = []
    for place, name in enumerate(columns):
        known = train[~np.isnan(train[:, place]), place]
        if len(known) and np.ptp(known) > 0:
            kept.append(place)
        else:
            context.log(f"Column '{name}' is left out: it is empty or never changes in the rows that are learned from.")
    if not kept:
        raise bad_data(
            "No watched column changes in the rows that are learned from.", "Watch other columns, or add rows."
        )
    return [columns[place] for place in kept], replace(data, values=data.values[:, kept])


class AnomalyTask:
    """See `engine.task.Task`. Each step grows some trees of the forest; all else is calculated at the end."""

    def __init__(
        self, context: Context, config: AnomalyConfig, dataset: Dataset, data: Data, columns: list[str], time: str
    ) -> None:
        self.context, self.config, self.dataset, self.data = context, config, dataset, data
        self.columns, self.time = columns, time
        self.waited = 0.0
        train = data.values[data.part == "train"]
        medians = np.nanmedian(train, axis=0)
        # Robust to a few anomalies; where most values are the same, the plain deviation.
        robust = 1.4826 * np.nanmedian(np.abs(train - medians), axis=0)
        plain = np.nanstd(train, axis=0)
        deviations = np.where(robust > 0.01 * plain, robust, plain)
        self.scorer = Scorer(bool(time), config.window, self._season(), medians, deviations)
        self.distances = self._distances(data.values)
        rows = data.rows("train")
        self.learned = self.distances[rows[:: max(1, len(rows) // FOREST_ROWS)]]
        self.scorer.sample = min(forest.SAMPLE, len(self.learned))
        self.plan = Plan(
            total_steps=-(-config.trees // TREES),
            steps_per_epoch=1,
            parameters=0,
            train_items=len(rows),
            validation_items=len(data.rows("validation")),
            evaluate_every=0,
        )
        self.chosen, self.threshold = "", 0.0
        self.blocks: list[AnyBlock] = []

    def step(self, index: int) -> tuple[dict[str, float], int]:
        count = min(TREES, self.config.trees - index * TREES)
        self.scorer.trees += forest.grow(self.learned, count, mix(self.context.spec.seed, index))
        return {"train/trees": float(len(self.scorer.trees))}, len(self.learned)

    def evaluate(self, final: bool) -> dict[str, float]:
        """Thresholds, the choice, and what is called an anomaly on each part."""
        names = self._candidates()
        disturbed = self._disturbed()
        found = {name: self._judge(name, disturbed) for name in names}
        self.chosen = self._choose(found)
        self.threshold = found[self.chosen]["threshold"]
        metrics = {"validation/threshold": self.threshold}
        baseline = "level" if "level" in names else "together"
        for part in ("validation", "test"):
            if len(self.data.rows(part)):
                metrics |= {f"{part}/{key}": value for key, value in self._figures(part, self.chosen, found).items()}
        last = "test" if len(self.data.rows("test")) else "validation"
        prefix = "baseline/test_" if last == "test" else "baseline/"
        metrics |= {f"{prefix}{key}": value for key, value in self._figures(last, baseline, found).items()}
        metrics["baseline/detected"] = found[baseline]["detected"]
        metrics["validation/detected"] = found[self.chosen]["detected"]
        self.blocks = drawing.blocks(self, last, metrics, found)
        return metrics

    def sample(self, index: int) -> tuple[str, str] | None:
        return None

    def state(self) -> dict[str, bytes]:
        return {"forest.safetensors": state.weights(Arrays(self.scorer.trees, {}))}

    def restore(self, files: dict[str, bytes]) -> None:
        self.scorer.trees = trees_of(state.load(files["forest.safetensors"]))

    def report(self) -> list[AnyBlock]:
        return [*self.blocks, *left_out(self.context.left_out)]

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        last = self.data.latest
        tail = slice(max(last.start, last.stop - self._kept()), last.stop)
        about = {
            "columns": self.columns, "time": self.time, "window": self.config.window, "season": self.scorer.season,
            "quiet_rows": self.config.quiet_rows, "chosen": self.chosen, "threshold": self.threshold,
            "sample": self.scorer.sample, "false_alarm_rate": self.config.false_alarm_rate,
            "last": None if self.data.times is None else str(self.data.times[last.stop - 1]),
        }  # fmt: skip
        more = {"medians": self.scorer.medians, "deviations": self.scorer.deviations, "tail": self.data.values[tail]}
        return make_artifact(self.context, Arrays(self.scorer.trees, more), about, self.dataset, metrics)

    def scores(self, name: str) -> np.ndarray:
        """Of all rows."""
        return self.scorer.scores(name, self.distances)

    def alarms(self, name: str, threshold: float) -> np.ndarray:
        """Rows at which an event is told."""
        whole = self.scores(name)
        told = whole >= threshold
        for file in self.data.files if self.time else []:
            told[file] &= scoring.fresh(whole[file], self.config.quiet_rows)
        return told

    def _kept(self) -> int:
        return min(TAIL, self.config.window + scoring.SEASONS * self.scorer.season + scoring.SHORT) if self.time else 0

    def _season(self) -> int:
        if not self.time:
            return 1
        if self.config.season != "auto":
            return self.config.season
        assert self.data.times is not None
        file = max(self.data.files, key=lambda one: int((self.data.part[one] == "train").sum()))
        own = self.data.part[file] == "train"
        step = find_step([self.data.times[one] for one in self.data.files])
        series = []
        for column in self.data.values[file][own].T:
            known = ~np.isnan(column)
            filled = np.interp(np.arange(len(column)), np.flatnonzero(known), column[known]) if known.any() else column
            series.append(Series("", filled, None))
        season = find_season(series, step, [len(one.values) for one in series])
        self.context.log(f"Rows in steps of {step.words}; season {season if season > 1 else 'none'}.")
        return season

    def _candidates(self) -> list[str]:
        """Those whose threshold can be set: a forest's can't borrow from the rows that it was made of."""
        names = self.scorer.candidates
        if len(self.data.rows("validation")) * self.config.false_alarm_rate < 0.5 and self.config.candidate != "forest":
            names.remove("forest")
        return names

    def _distances(self, values: np.ndarray) -> np.ndarray:
        made = []
        for file in self.data.files:
            self.context.breathe()
            made.append(self.scorer.distances(values[file]))
        return np.concatenate(made)

    def _disturbed(self) -> np.ndarray:
        """(disturbances, rows, distances) of what is put into copies of the validation part, each into one of its own,
        so that none makes another look usual. Without any where there are too few rows."""
        rows = self.data.rows("validation")
        length = LENGTH if self.time else 1
        count = min(DISTURBED, len(rows) // (4 * length))
        if count < 4:
            return np.zeros((0, length, self.distances.shape[1]))
        made = []
        for number, place in enumerate(rows[np.linspace(0, len(rows) - 2 * length, count).astype(int)]):
            self.context.breathe()
            first = max(place - self._kept(), next(file.start for file in self.data.files if place < file.stop))
            values = self.data.values[first : place + length].copy()
            scoring.disturb(values[place - first :], self.scorer.deviations, number)
            made.append(self.scorer.distances(values)[place - first :])
        return np.stack([one for one in made if len(one) == length])

    def _judge(self, name: str, disturbed: np.ndarray) -> dict[str, float]:
        """A candidate's threshold on normal validation rows, the share of disturbances above it, and with labels its
        average precision."""
        self.context.breathe()
        rows = self.data.rows("validation")
        scores = self.scores(name)[rows]
        labels = self.data.labels[rows] if self.data.labels is not None else np.zeros(len(rows), dtype=bool)
        normal = scores[~labels] if (~labels).sum() >= 20 else scores
        limit = scoring.threshold(self._enough(name, normal), self.config.false_alarm_rate)
        there = self.scorer.scores(name, disturbed.reshape(-1, self.distances.shape[1])).reshape(disturbed.shape[:2])
        hits = (there >= limit).any(1)
        found = {"threshold": limit, "detected": float(hits.mean()) if len(hits) else 0.0}
        if labels.any() and not labels.all():
            found["average_precision"] = average_precision(scores, labels)
        return found

    def _enough(self, name: str, normal: np.ndarray) -> np.ndarray:
        """Scores to count false alarms in: where validation has too few, those of the training part with them, whose
        distances are from the past alone too."""
        if len(normal) * self.config.false_alarm_rate >= 3 or name == "forest":
            return normal
        rows = self.data.rows("train")
        if self.data.labels is not None:
            rows = rows[~self.data.labels[rows]]
        begun = rows[len(rows) // 5 :] if self.time else rows  # the first ones have hardly a past
        return np.concatenate([normal, self.scores(name)[begun]])

    def _choose(self, found: dict[str, dict[str, float]]) -> str:
        if self.config.candidate in found:
            return self.config.candidate
        if self.config.candidate != "auto":
            self.context.log(f"The candidate '{self.config.candidate}' does not suit this data; another is chosen.")
        key = "average_precision" if all("average_precision" in one for one in found.values()) else "detected"
        best = max(found, key=lambda name: found[name][key])  # of equals the first, which is the simplest
        if not found[best][key]:
            self.context.log("There are too few rows to choose by; all distances are used together.")
            return "together"
        told = ", ".join(f"{drawing.NAMES[name]} {one[key]:.3g}" for name, one in found.items())
        how = (
            "average precision on labelled rows" if key == "average_precision" else "share of put-in disturbances found"
        )
        self.context.log(f"{drawing.NAMES[best]} is used: {how}: {told}.")
        return best

    def _figures(self, part: str, name: str, found: dict[str, dict[str, float]]) -> dict[str, float]:
        rows = self.data.rows(part)
        limit = found[name]["threshold"]
        above = self.scores(name)[rows] >= limit
        made = {
            "anomalies_per_1000": float(1000 * above.mean()),
            "alarms_per_1000": float(1000 * self.alarms(name, limit)[rows].mean()),
        }
        if self.data.labels is not None and self.data.labels[rows].any():
            labels = self.data.labels[rows]
            hits = float((above & labels).sum())
            precision, recall = hits / max(1, above.sum()), hits / labels.sum()
            made |= {"precision": precision, "recall": recall}
            made["f1"] = 2 * precision * recall / (precision + recall) if hits else 0.0
            made["average_precision"] = average_precision(self.scores(name)[rows], labels)
        return made
