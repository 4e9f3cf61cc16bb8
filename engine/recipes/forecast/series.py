"""Series of even steps, made of a table's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from engine.data import bad_data
from engine.protocol import EngineError
from engine.recipes.forecast.config import ForecastConfig
from engine.tables import NUMERIC, Table, no_column
from engine.task import Context

MOST_SHARED = 0.1  # of rows that have the very time of another one
MOST_FILLED = 0.3  # of a series; with more it would be made up
NEARLY = 0.01  # of a step that it may be away from whole days, hours or minutes
DAY = 86_400_000_000
HOUR = DAY // 24
Log = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """The distance of two rows: microseconds, months, working days, or a row where there are no times."""

    unit: Literal["microseconds", "months", "workdays", "rows"]
    size: int

    def places(self, times: np.ndarray) -> np.ndarray:
        """Each time as a number of steps, with a fraction where it lies between two."""
        match self.unit:
            case "months":
                return times.astype("datetime64[M]").astype(np.int64) / self.size
            case "workdays":
                return np.busday_count("1970-01-01", times.astype("datetime64[D]")).astype(float)
            case _:
                return times.astype("datetime64[us]").astype(np.int64) / self.size

    def after(self, time: np.datetime64, count: int) -> np.ndarray:
        """The next times after this one."""
        steps = np.arange(1, count + 1)
        match self.unit:
            case "months":
                month = time.astype("datetime64[M]")
                later = (month + steps * self.size).astype("datetime64[us]")
                if time.astype("datetime64[D]") + 1 == (month + 1).astype("datetime64[D]"):  # always the last day
                    return ((month + steps * self.size + 1).astype("datetime64[D]") - 1).astype("datetime64[us]")
                return later + (time - month.astype("datetime64[us]"))
            case "workdays":
                rest = time - time.astype("datetime64[D]").astype("datetime64[us]")
                return np.busday_offset(time.astype("datetime64[D]"), steps).astype("datetime64[us]") + rest
            case _:
                return time + (steps * self.size).astype("timedelta64[us]")

    @property
    def words(self) -> str:
        if self.unit != "microseconds":
            noun = {"months": "month", "workdays": "working day", "rows": "row"}[self.unit]
            return f"one {noun}" if self.size == 1 else f"{self.size} {noun}s"
        for size, noun in ((DAY, "day"), (HOUR, "hour"), (HOUR // 60, "minute"), (1_000_000, "second")):
            if self.size % size == 0:
                return f"one {noun}" if self.size == size else f"{self.size // size} {noun}s"
        return f"{self.size / 1e6:g} seconds"

    @property
    def seasons(self) -> list[int]:
        """Numbers of steps after which things often repeat."""
        if self.unit == "months":
            return [12 // self.size] if 12 % self.size == 0 else []
        if self.unit == "workdays":
            return [5]
        if self.unit == "rows":
            return []
        # An hour only where days are out of sight: whatever is smooth is like itself some rows before.
        cycles = (HOUR, DAY) if self.size < HOUR // 60 else (DAY, 7 * DAY, 365.25 * DAY)
        found = [round(cycle / self.size) for cycle in cycles]
        return [season for season in found if season >= 2 and (season < 1000 or self.size >= DAY)]


@dataclass(frozen=True)
class Series:
    """Values (n,) without gaps; `last` is the time of the last one, None in order of rows."""

    name: str
    values: np.ndarray
    last: np.datetime64 | None

    @property
    def still(self) -> bool:
        """Whether it never changes; a deviation would be made of rounding alone."""
        return float(np.ptp(self.values)) == 0


@dataclass(frozen=True)
class Columns:
    """Which columns make the series."""

    targets: list[str]
    time: str
    series: str


def choose_columns(kinds: Mapping[str, str], config: ForecastConfig) -> Columns:
    """As configured, 'auto' by the columns' types. EngineError when a named column is not there, or none fits."""
    numbers = [name for name, kind in kinds.items() if kind in ("whole", "number") and name != config.series]
    time = next((name for name, kind in kinds.items() if kind == "date"), "") if config.time == "auto" else config.time
    if config.target == "auto":
        targets = numbers[-1:]
    elif config.target == "all" and "all" not in kinds:
        targets = [name for name in numbers if name != time]
    else:
        targets = [config.target] if config.target in kinds else [name.strip() for name in config.target.split(",")]
    for setting, names in (("target", targets), ("time", [time]), ("series", [config.series])):
        for name in names:
            if name and name not in kinds:
                raise no_column(name, kinds, setting)
    if not targets or any(kinds[name] not in NUMERIC for name in targets):
        name = next((name for name in targets if kinds[name] not in NUMERIC), "")
        raise bad_data(
            f"The target column '{name}' holds no numbers." if name else "The table has no column of numbers.",
            "Choose a column of numbers as the target, or import the table again with the right types.",
        )
    if config.series and config.series in (*targets, time):
        raise bad_data(
            f"The series column '{config.series}' is {'the time column' if config.series == time else 'a target'} too.",
            "Name another column there.",
        )
    if time and kinds[time] != "date":
        raise bad_data(
            f"The time column '{time}' holds no dates.",
            "Import the table again with this column as a date, or choose another.",
        )
    return Columns(targets, time, config.series)


def series_of(table: Table, columns: Columns, log: Log) -> tuple[list[Series], Step, int]:
    """The series of a version, and how many there are besides that can't be used. Files that overlap in time are series
    of their own."""
    groups = _groups(table, columns, log)
    step = find_step([table.columns[columns.time][rows] for _, rows in groups]) if columns.time else Step("rows", 1)
    made: list[Series] = []
    refused: list[EngineError] = []
    for name, rows in groups:
        times = table.columns[columns.time][rows] if columns.time else None
        values = np.column_stack([table.columns[target][rows] for target in columns.targets])
        try:
            made += regular(name, times, values, columns, step, log)
        except EngineError as error:
            if len(groups) == 1:
                raise
            log(f"Series '{name:.60}' is left out: {error.message}")
            refused.append(error)
    if not made:
        raise refused[0]
    return made, step, len(refused) * len(columns.targets)


def note_rows(table: Table, columns: Columns, context: Context) -> None:
    """The rows that belong to no series, or to no moment of one, for the report."""
    rows = len(table) + table.aside
    context.note_left_out("Rows that were set aside", table.aside, rows)
    named = np.ones(len(table), dtype=bool)
    if columns.series:
        named = names_of(table.columns[columns.series]) != ""
        context.note_left_out(f"Rows without a name in '{columns.series}'", int((~named).sum()), rows)
    if columns.time:
        timeless = np.isnat(table.columns[columns.time]) & named
        context.note_left_out(f"Rows without a time in '{columns.time}'", int(timeless.sum()), rows)


def names_of(values: np.ndarray) -> np.ndarray:
    """The name of the series of each row, '' where there is none; numbers as people write them."""

    def name(value: Any) -> str:
        if value is None or value != value or str(value) == "NaT":
            return ""
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return np.array([name(value) for value in values.tolist()], dtype=object)


def regular(
    name: str, times: np.ndarray | None, values: np.ndarray, columns: Columns, step: Step, log: Log
) -> list[Series]:
    """One series for each target: (rows, targets) values in even steps, gaps filled by straight lines.

    EngineError BAD_DATA when several rows share a time, or too much is missing."""
    last = None
    if times is not None:
        times, values, last = _in_order(name, times, values, step, log)
    made = []
    for target, column in zip(columns.targets, values.T, strict=True):
        title = " ".join(part for part in (name, target if len(columns.targets) > 1 or not name else "") if part)
        made.append(Series(title, _filled(title, column, log), last))
    return made


def find_step(groups: Sequence[np.ndarray]) -> Step:
    """The distance of most rows from the one before. EngineError BAD_DATA when no row has a time."""
    times = [np.unique(group[~np.isnat(group)]) for group in groups]
    gaps = np.concatenate([np.diff(group).astype(np.int64) for group in times])
    if not len(gaps):
        raise bad_data("There is no series: no two rows have different times.", "Choose another time column.")
    whole = np.concatenate(times)
    days = gaps / DAY
    if days.min() >= 27.9 and _same_place_of_month(whole):
        months = np.concatenate([np.diff(group.astype("datetime64[M]").astype(np.int64)) for group in times])
        return Step("months", _commonest(months))
    common = _commonest(gaps)
    if common == DAY and np.is_busday(whole.astype("datetime64[D]")).all() and (days == 3).any():
        return Step("workdays", 1)
    if (gaps == common).mean() < 0.3:  # uneven: about as many steps as there are rows
        common = int(np.median(gaps))
        common = max(1_000_000, round(common / 1e6) * 1_000_000)
        # Nearly a day, hour, minute or some of them: the clock of what measured was not exact.
        for unit in (DAY, HOUR, HOUR // 60):
            whole_units = round(common / unit) * unit
            if whole_units and abs(common - whole_units) < NEARLY * common:
                return Step("microseconds", whole_units)
    return Step("microseconds", common)


def _groups(table: Table, columns: Columns, log: Log) -> list[tuple[str, np.ndarray]]:
    """Rows of each series, by its name; '' for the only one."""
    every = np.arange(len(table))
    if columns.series:
        names = names_of(table.columns[columns.series])
        if (nameless := names == "").all():
            raise bad_data(f"The series column '{columns.series}' is empty.", "Name another one, or none.")
        if nameless.any():
            log(f"{int(nameless.sum()):,} rows without a name in '{columns.series}' are left out.")
        return [(name, every[names == name]) for name in sorted(set(names) - {""})]
    if len(table.items) > 1 and columns.time:
        times = table.columns[columns.time]
        spans = []
        for number in range(len(table.items)):
            own = times[(table.source == number) & ~np.isnat(times)]
            if len(own):
                spans.append((own.min(), own.max(), number))
        spans.sort()
        if any(first <= before for (_, before, _), (first, _, _) in pairwise(spans)):
            log("The files overlap in time, so each is a series of its own.")
            return [(table.items[number].name, every[table.source == number]) for _, _, number in spans]
    return [("", every)]


def _in_order(
    name: str, times: np.ndarray, values: np.ndarray, step: Step, log: Log
) -> tuple[np.ndarray, np.ndarray, np.datetime64]:
    """Times and values in even steps, NaN where a row is missing."""
    of = f" of '{name}'" if name else ""
    there = ~np.isnat(times)
    if not there.all():
        log(f"{int((~there).sum()):,} rows{of} without a time are left out.")
        times, values = times[there], values[there]
    if not len(times):
        raise bad_data(f"No row{of} has a time.", "Choose another time column.")
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    exact = step.places(times)
    phase = 0.0 if step.unit in ("months", "workdays") else float(exact[0] % 1)
    places = np.rint(exact - phase).astype(np.int64)
    if (np.diff(times) == np.timedelta64(0)).sum() > MOST_SHARED * len(times):
        raise bad_data(
            f"Many rows{of} share their time with another row.",
            "Name the column that tells the series apart (setting 'series'), or add the rows of one time together.",
        )
    same = int((np.diff(places) == 0).sum())
    if same:
        log(f"{same:,} rows{of} share their step of time with another one; their mean is used.")
    count = int(places[-1] - places[0]) + 1
    taken = len(np.unique(places))
    if count - taken > MOST_FILLED * count:
        raise bad_data(
            f"The times{of} are too uneven: in steps of {step.words} {count - taken:,} of {count:,} rows would be "
            "missing.",
            "Use a part without large gaps (set rows aside), or bring the rows to even steps first (means by day).",
        )
    if count > taken:
        log(f"{count - taken:,} rows{of} are missing in steps of {step.words}; straight lines fill them.")
    whole = np.full((count, values.shape[1]), np.nan)
    at = places - places[0]
    for column in range(values.shape[1]):
        known = ~np.isnan(values[:, column])
        number = np.bincount(at[known], minlength=count)
        sums = np.bincount(at[known], weights=values[known, column], minlength=count)
        whole[:, column] = np.divide(sums, number, out=np.full(count, np.nan), where=number > 0)
    return times, whole, times[-1]


def _filled(title: str, values: np.ndarray, log: Log) -> np.ndarray:
    missing = np.isnan(values)
    if missing.mean() > 0.5:
        raise bad_data(
            f"More than half of '{title}' is missing.", "Choose another target, or a part that was measured."
        )
    if missing.any():
        log(f"{int(missing.sum()):,} missing values of '{title}' are filled by straight lines.")
        places = np.arange(len(values))
        values = np.interp(places, places[~missing], values[~missing])
    return values


def _same_place_of_month(times: np.ndarray) -> bool:
    day = times.astype("datetime64[D]")
    number = (day - times.astype("datetime64[M]").astype("datetime64[D]")).astype(int)
    ends = ((day + 1).astype("datetime64[M]") > day.astype("datetime64[M]")).all()
    return len(np.unique(number)) == 1 or bool(ends)


def _commonest(values: np.ndarray) -> int:
    found, counts = np.unique(values, return_counts=True)
    return int(found[counts.argmax()])


def find_season(series: Sequence[Series], step: Step, ends: Sequence[int]) -> int:
    """The number of steps after which the series are most like themselves; 1 when they are not. `ends` bounds what may
    be looked at of each."""
    # Series that are much shorter than the others would hide a season that these show.
    least = max(2, max(ends, default=0) // 4)
    pairs = [(one, end) for one, end in zip(series, ends, strict=True) if end >= least and not one.still]
    parts = [one.values[:end] for one, end in pairs][:20]
    shortest = min((len(part) for part in parts), default=0)
    if not shortest:
        return 1
    likeness = np.mean([_likeness(part, min(shortest // 2, 2000)) for part in parts], axis=0)
    choices = [season for season in step.seasons if season < len(likeness)]
    if not step.seasons and len(likeness) > 4:
        peaks = (likeness[2:-1] > likeness[1:-2]) & (likeness[2:-1] >= likeness[3:])
        choices = (np.flatnonzero(peaks) + 2).tolist()
    least = 0.15 if step.seasons else 0.3
    best = max((likeness[season] for season in choices), default=0.0)
    if best < least:
        return 1
    return next(season for season in choices if likeness[season] >= best - 0.1)


def _likeness(values: np.ndarray, most: int) -> np.ndarray:
    """The autocorrelation at distances 0 to `most`, of the values without their straight trend."""
    places = np.arange(len(values))
    slope, start = np.polyfit(places, values, 1) if len(values) > 2 else (0.0, values.mean())
    rest = values - slope * places - start
    power = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2
    found = np.fft.irfft(power)[: most + 1]
    return found / found[0] if found[0] > 0 else np.zeros(most + 1)


def as_json(step: Step) -> dict[str, Any]:
    return {"unit": step.unit, "size": step.size}
