"""Champion and challenger on the very same rows: how much better one is, how sure that is, and the verdict in words.

Both answer each row, so differences are taken row by row: what is hard for both cancels out. Of classes the difference
is whether each was right, and besides its interval the exact test of McNemar must be sure; of numbers it is that of the
absolute errors.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from common.wording import number, percent

ALPHA = 0.05  # of one comparison; divided among groups
LEAST = 30  # rows before anything is said
BETTER, WORSE, UNCLEAR = "better", "worse", "unclear"
MOST_GROUPS = 20
CLASSES, NUMBERS = "accuracy", "mean absolute error"  # the figures
YES = {"true": "yes", "false": "no"}


@dataclass
class Compared:
    """`value`: how much better the challenger is, positive in its favour, in the unit of the figure. None where there
    are too few rows for an interval, or where the figures themselves are not known."""

    title: str
    figure: str  # accuracy, or the mean absolute error
    n: int
    champion: float | None = None
    challenger: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = UNCLEAR
    words: str = ""
    notes: list[str] = field(default_factory=list)
    group: str | None = None
    # As versions record them: what the champion and the challenger have of each on these very rows.
    figures: dict[str, list[float]] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    title: str, truths: Sequence[Any], champion: Sequence[Any], challenger: Sequence[Any], *,
    alpha: float = ALPHA, group: str | None = None, notes: Sequence[str] = (),
) -> Compared:  # fmt: skip
    """What the answers of both on the same rows say. An answer is {"label"} or {"value"}."""
    numeric = any("value" in answer for answer in challenger)
    found = Compared(title, NUMBERS if numeric else CLASSES, len(truths), group=group)
    found.notes = list(notes)
    if not truths:
        found.words = "There are no rows to compare them on."
        return found
    if numeric:
        theirs = [-_error(answer, truth) for answer, truth in zip(champion, truths, strict=True)]
        ours = [-_error(answer, truth) for answer, truth in zip(challenger, truths, strict=True)]
    else:
        theirs = [_right(answer, truth) for answer, truth in zip(champion, truths, strict=True)]
        ours = [_right(answer, truth) for answer, truth in zip(challenger, truths, strict=True)]
    sign = -1 if numeric else 1
    found.champion, found.challenger = sign * math.fsum(theirs) / len(theirs), sign * math.fsum(ours) / len(ours)
    differences = [b - a for a, b in zip(theirs, ours, strict=True)]
    found.value = math.fsum(differences) / len(differences)
    if found.n >= LEAST:
        _judge(found, differences, numeric, alpha)
    if group is None:
        mine, other = _figures(challenger, truths, numeric), _figures(champion, truths, numeric)
        found.figures = {name: [other[name], value] for name, value in mine.items() if name in other}
    found.words = _in_words(found)
    return found


def by_group(
    title: str, truths: Sequence[Any], champion: Sequence[Any], challenger: Sequence[Any], groups: Sequence[str]
) -> list[Compared]:
    """The same for each group, the largest first; what all of them say together holds at `ALPHA`."""
    places: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        if group:
            places.setdefault(group, []).append(place)
    chosen = sorted(places.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:MOST_GROUPS]
    judged = max(1, sum(len(rows) >= LEAST for _, rows in chosen))
    return [
        compare(
            title, [truths[n] for n in rows], [champion[n] for n in rows], [challenger[n] for n in rows],
            alpha=ALPHA / judged, group=group,
        )
        for group, rows in chosen
    ]  # fmt: skip


def together(found: Sequence[dict[str, Any]]) -> tuple[str, str]:
    """The verdict on all comparisons, and why: better where one says so and none says worse, not even of a group."""
    worse = [one for one in found if one["verdict"] == WORSE]
    better = [one for one in found if one["verdict"] == BETTER and one["group"] is None]
    if worse:
        names = ", ".join(_name(one) for one in worse[:3])
        return WORSE if not better else UNCLEAR, f"The challenger is worse on {names}" + (
            f", though better on {_name(better[0])}." if better else "."
        )
    if better:
        return BETTER, f"The challenger is better on {', '.join(_name(one) for one in better)}, and worse on nothing."
    if any(one["n"] for one in found):
        return UNCLEAR, "No difference between them is sure: what was seen can be chance."
    return UNCLEAR, "There is nothing on which they could be compared."


def recorded(
    champion: dict[str, Any], challenger: dict[str, Any], goal: str, higher: bool, same_data: bool
) -> Compared:
    """What the evaluations at the end of both trainings say, where the versions can't be asked. Without an interval, so
    the verdict is always unclear."""
    found = Compared("Figures of the end of each training", goal, 0)
    a, b = champion.get(goal), challenger.get(goal)
    if isinstance(a, int | float) and isinstance(b, int | float):
        found.champion, found.challenger = float(a), float(b)
        found.value = float(b - a) * (1 if higher else -1)
        side = "better" if found.value > 0 else "worse" if found.value < 0 else "the same"
        data = "on the same data" if same_data else "on different data"
        found.words = f"{goal}: {number(float(b))} after {number(float(a))}, {side}; {data}, and no interval is known."
    else:
        found.words = f"One of them has no figure '{goal}', so nothing can be said."
    found.notes = ["The recipe's answers can't be told right from wrong here, so recorded figures are compared."]
    return found


def _figures(answers: Sequence[Any], truths: Sequence[Any], numeric: bool) -> dict[str, float]:
    """The figures that recipes record of their held-out parts, by the same formulas."""
    if numeric:
        said, true = [float(answer["value"]) for answer in answers], [float(truth) for truth in truths]
        squares, middle = math.fsum((a - b) ** 2 for a, b in zip(said, true, strict=True)), math.fsum(true) / len(true)
        errors = [abs(a - b) for a, b in zip(said, true, strict=True)]
        spread = math.fsum((value - middle) ** 2 for value in true)
        found = {"mae": math.fsum(errors) / len(true), "rmse": math.sqrt(squares / len(true))}
        return found | ({"r2": 1 - squares / spread} if spread else {})
    pairs = [(_word(answer.get("label")), _word(truth)) for answer, truth in zip(answers, truths, strict=True)]
    said_of, true_of = Counter(said for said, _ in pairs), Counter(true for _, true in pairs)
    right = Counter(true for said, true in pairs if said == true)
    by_class = [2 * right[name] / (said_of[name] + count) for name, count in true_of.items()]
    return {"accuracy": right.total() / len(pairs), "macro_f1": math.fsum(by_class) / len(by_class)}


def _judge(found: Compared, differences: list[float], numeric: bool, alpha: float) -> None:
    from scipy import stats

    n = len(differences)
    assert found.value is not None
    spread = math.sqrt(math.fsum((d - found.value) ** 2 for d in differences) / (n - 1))
    margin = float(stats.t.ppf(1 - alpha / 2, n - 1)) * spread / math.sqrt(n)
    found.low, found.high = found.value - margin, found.value + margin
    sure = found.low > 0 or found.high < 0
    if sure and not numeric:
        ours, theirs = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        sure = float(stats.binomtest(ours, ours + theirs).pvalue) < alpha
    found.verdict = (BETTER if found.value > 0 else WORSE) if sure else UNCLEAR


def _in_words(found: Compared) -> str:
    show = percent if found.figure == CLASSES else number
    text = f"{found.figure} {show(found.challenger)} after {show(found.champion)} on {number(found.n)} rows"
    if found.low is None or found.high is None:
        return f"{text}: too few to say anything, {LEAST} are needed."
    sure = {BETTER: "sure", WORSE: "sure", UNCLEAR: "not sure"}[found.verdict]
    return f"{text}: {found.verdict}, by {_signed(found.low, show)} to {_signed(found.high, show)} ({sure})."


def _signed(value: float, show: Any) -> str:
    return f"{'+' if value > 0 else ''}{show(value)}"


def _name(one: dict[str, Any]) -> str:
    title = one["title"][:1].lower() + one["title"][1:]
    return f"the group '{one['group']}' of {title}" if one["group"] is not None else title


def _right(answer: dict[str, Any], truth: Any) -> float:
    return float(_word(answer.get("label")) == _word(truth))


def _error(answer: dict[str, Any], truth: Any) -> float:
    return abs(float(answer["value"]) - float(truth))


def _word(value: Any) -> str:
    """A class as a text: 1.0 and 1 are one, and so are true and yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return YES.get(text.lower(), text)
