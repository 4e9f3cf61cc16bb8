"""Scores by measures that can be counted, for when no model judges.

Each measure gives a share from 0 to 1; the score is ten times their geometric mean, so one bad measure is not made up
for by the others. All are counted on lower-case words.

- length: 1 between the shortest and the longest that are wanted; outside, the ratio to the nearer one.
- repetition: 1 less the share of words that lie in a run of four words that came before (Holtzman et al. 2020 show how
  models without skill or courage fall into such loops).
- variety: distinct-2, different pairs of neighbours by all pairs (Li et al. 2016), of the first 200 words, since it
  falls with length; 0.4 counts as 0, 0.9 as 1.
- fluency, with a reference model: 1 at the loss that the reference has on its own validation texts or below, and 0
  where its perplexity is eight times that.
- genre, with a classifier: the probability of the wanted genre.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

WORD = re.compile(r"\w+(?:['’]\w+)*")
RUN = 4
LOOKED_AT = 200  # words
POOR, RICH = 0.4, 0.9  # distinct-2 that counts as 0 and as 1
TIMES = 8  # a perplexity so many times the reference's own counts as 0
LEAST = 0.01  # of a share in the mean, so that the order of bad texts can still be seen


@dataclass(frozen=True)
class Measure:
    """One measure of a text."""

    name: str
    share: float  # 0 to 1
    words: str


def words_of(text: str) -> list[str]:
    """Its words, in lower case."""
    return WORD.findall(text.lower())


def length(words: Sequence[str], shortest: int, longest: int) -> Measure:
    """Whether a text is as long as is wanted."""
    count = len(words)
    share = min(1.0, count / shortest, longest / max(1, count))
    return Measure("length", share, f"{count:,} words, {shortest:,} to {longest:,} are wanted")


def repetition(words: Sequence[str]) -> Measure:
    """How much of a text was said before in it."""
    seen: set[tuple[str, ...]] = set()
    again = [False] * len(words)
    for place in range(len(words) - RUN + 1):
        run = tuple(words[place : place + RUN])
        if run in seen:
            again[place : place + RUN] = [True] * RUN
        seen.add(run)
    share = sum(again) / len(words) if words else 0.0
    return Measure("repetition", 1 - share, f"{share:.0%} of the words repeat earlier runs of {RUN}")


def variety(words: Sequence[str]) -> Measure:
    """How many different things a text says."""
    some = words[:LOOKED_AT]
    pairs = list(pairwise(some))
    distinct = len(set(pairs)) / len(pairs) if pairs else 0.0
    share = min(1.0, max(0.0, (distinct - POOR) / (RICH - POOR)))
    return Measure("variety", share, f"{distinct:.0%} of the pairs of words are different")


def fluency(loss: float, usual: float) -> Measure:
    """How likely a text is under the reference, whose loss on its own validation texts is `usual`."""
    if not math.isfinite(loss):
        return Measure("fluency", 0.0, "the reference can't read it")
    share = min(1.0, max(0.0, 1 - (loss - usual) / math.log(TIMES)))
    return Measure("fluency", share, f"perplexity {math.exp(min(loss, 50)):.3g}, usual is {math.exp(usual):.3g}")


def genre(probabilities: dict[str, float], wanted: str) -> Measure:
    """Whether a text is of the wanted genre."""
    likeliest = max(probabilities, key=lambda name: probabilities[name])
    share = probabilities.get(wanted, 0.0)
    return Measure("genre", share, f"{wanted} at {share:.0%}, likeliest {likeliest}")


def score(found: Sequence[Measure]) -> float:
    """0.0 to 10.0, with one decimal."""
    logs = [math.log(max(LEAST, measure.share)) for measure in found]
    return round(10 * math.exp(sum(logs) / len(logs)), 1)
