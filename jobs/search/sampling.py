"""What to try next, which settings mattered, and which trials have fallen behind: asked of Optuna.

Our rows are the record; a study is built anew from them for each question (10 ms for 100 trials). Loaded in background
workers alone: Optuna brings a database library along that no other process needs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from jobs.models import Search, Trial

BINS = 10  # stretches of a run at whose ends trials are compared
COMPARED_FROM = 4  # trials that must have ended before any is called behind
CANCELLED = "It was cancelled."  # why such a trial has no value: its settings are not to blame
WARM_BINS = 2  # a run is left alone for its first fifth

Curve = Sequence[tuple[int, float]]  # (step, value), by step


def suggest(search: Search, trials: Sequence[Trial], number: int) -> dict[str, Any]:
    """Settings for trial `number`; those that still run count as poor ones, so that no two look in one place, and so do
    those that failed."""
    study = _study(search, trials, number)
    asked = study.ask(_distributions(search))
    return {name: asked.params[name] for name in search.space}


def importances(search: Search, trials: Sequence[Trial]) -> dict[str, float]:
    """The share of each setting in the differences between completed trials; {} for fewer than four of them."""
    import optuna

    done = [trial for trial in trials if trial.state == Trial.State.COMPLETED]
    if len(done) < 4 or len(search.space) < 2 or len({trial.value for trial in done}) < 2:
        return {}
    study = _study(search, done, 0)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(share), 4) for name, share in found.items()}


def behind(
    search: Search,
    curve: Curve,
    total: int,
    others: Sequence[tuple[Curve, int]],
) -> bool:
    """Whether a running trial is worse than the median of the others at the same share of their runs.

    `curve` is the metric so far, of a run of `total` steps; `others` the same of ended trials.
    """
    mine = _binned(curve, total)
    place = max((number for number, value in enumerate(mine) if value is not None), default=-1)
    if place < WARM_BINS or len(others) < COMPARED_FROM:
        return False
    best = max if search.higher_is_better else min
    reached = best(value for value in mine[: place + 1] if value is not None)
    theirs = []
    for points, length in others:
        known = [value for value in _binned(points, length)[: place + 1] if value is not None]
        if known:
            theirs.append(best(known))
    if len(theirs) < COMPARED_FROM:
        return False
    theirs.sort()
    middle = (theirs[(len(theirs) - 1) // 2] + theirs[len(theirs) // 2]) / 2
    return reached < middle if search.higher_is_better else reached > middle


def _binned(curve: Curve, total: int) -> list[float | None]:
    """The newest value at each tenth of a run; None where the run has not come, or nothing was measured."""
    steps = [step for step, _ in curve]
    found: list[float | None] = []
    for number in range(BINS):
        until = total * (number + 1) / BINS
        place = bisect_right(steps, until)
        reached = bool(steps) and steps[-1] >= total * number / BINS
        found.append(curve[place - 1][1] if place and reached else None)
    return found


def _study(search: Search, trials: Sequence[Trial], number: int) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = (search.seed * 1_000_003 + number) % 2**32
    if search.sampler == Search.Sampler.RANDOM:
        sampler: Any = optuna.samplers.RandomSampler(seed=seed)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(4, 2 * len(search.space)))
    direction = "maximize" if search.higher_is_better else "minimize"
    study = optuna.create_study(direction=direction, sampler=sampler)
    known = [trial.value for trial in trials if trial.value is not None]
    poor = (min if search.higher_is_better else max)(known, default=0.0)
    distributions = _distributions(search)
    for trial in trials:
        value = trial.value if trial.value is not None else poor
        ended = trial.state in (Trial.State.COMPLETED, Trial.State.PRUNED)
        if ended or (known and trial.reason != CANCELLED):  # nobody knows what a cancelled one would have come to
            study.add_trial(
                optuna.trial.create_trial(params=trial.params, distributions=distributions, value=float(value))
            )
    return study


def _distributions(search: Search) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, Any] = {}
    for name, where in search.space.items():
        if "values" in where:
            found[name] = CategoricalDistribution(where["values"])
        elif where["whole"]:
            found[name] = IntDistribution(where["low"], where["high"], log=where["log"])
        else:
            found[name] = FloatDistribution(where["low"], where["high"], log=where["log"])
    return found
