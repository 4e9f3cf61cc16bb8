"""What a run has made so far: counts that a checkpoint keeps, and who is set aside for failing."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

IN_A_ROW = 3  # failures of a generator after which it is set aside
FIRST_SPELL, LONGEST_SPELL = 10, 640  # examples that it is left out of; twice as many each time
SHOWN = 5  # winners


@dataclass
class Candidate:
    """One generator's try at an example."""

    generator: str
    text: str = ""
    score: float | None = None
    reasons: list[str] = field(default_factory=list)
    error: str = ""  # why there is no text, or no score
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it wrote nothing."""
        return not self.text


@dataclass
class Example:
    """What one step made."""

    genre: str
    prompt: str
    candidates: list[Candidate]
    winner: Candidate | None = None  # the best, whether it is kept or not
    kept: bool = False
    reason: str = ""  # why it is not kept

    def facts(self) -> dict[str, Any]:
        """As the event tells it."""
        return {
            "genre": self.genre, "prompt": self.prompt, "kept": self.kept, "reason": self.reason,
            "winner": self.winner.generator if self.winner else None,
            "candidates": [asdict(one) for one in self.candidates],
        }  # fmt: skip


@dataclass
class Written:
    """What one generator has done."""

    wins: int = 0
    scored: int = 0
    score: float = 0.0  # of all that were scored, together
    failed: int = 0
    in_a_row: int = 0
    away_until: int = 0  # the number of the first example that it is asked for again
    spell: int = FIRST_SPELL
    last_error: str = ""

    @property
    def mean(self) -> float | None:
        return self.score / self.scored if self.scored else None


class Tally:
    """Counts over the examples so far. Genres and generators are told apart by name."""

    def __init__(self, generators: list[str]) -> None:
        self.generators = {name: Written() for name in generators}
        self.genres: dict[str, int] = {}  # kept
        self.kept = self.failed = 0
        self.total, self.least, self.most = 0.0, 10.0, 0.0  # qualities of what is kept
        self.unjudged = 0  # examples in a row that got no score
        self.winners: deque[dict[str, Any]] = deque(maxlen=SHOWN)

    @property
    def scored(self) -> int:
        """Candidates that got a score."""
        return sum(written.scored for written in self.generators.values())

    def asked(self, number: int) -> list[str]:
        """Who is asked for this example: all who are not set aside."""
        return [name for name, written in self.generators.items() if written.away_until <= number]

    def take(self, number: int, made: Example) -> list[str]:
        """Count an example; who is set aside by it."""
        aside = [name for one in made.candidates if (name := self._try(number, one))]
        texts = [one for one in made.candidates if not one.failed]
        if texts:
            self.unjudged = 0 if any(one.score is not None for one in texts) else self.unjudged + 1
        if not made.kept:
            self.failed += 1
            return aside
        best = made.winner
        assert best is not None and best.score is not None
        self.kept += 1
        self.generators[best.generator].wins += 1
        self.genres[made.genre] = self.genres.get(made.genre, 0) + 1
        self.total += best.score
        self.least, self.most = min(self.least, best.score), max(self.most, best.score)
        self.winners.append(
            {"genre": made.genre, "generator": best.generator, "score": best.score, "text": best.text[:1000]}
        )
        return aside

    def _try(self, number: int, one: Candidate) -> str:
        """Count a candidate; the generator's name when it is set aside now."""
        written = self.generators[one.generator]
        if one.score is not None:
            written.scored += 1
            written.score += one.score
        if not one.failed:
            written.in_a_row, written.spell = 0, FIRST_SPELL
            return ""
        written.failed += 1
        written.in_a_row += 1
        written.last_error = one.error
        if written.in_a_row < IN_A_ROW or written.away_until > number:
            return ""
        written.away_until = number + 1 + written.spell
        written.spell = min(2 * written.spell, LONGEST_SPELL)
        return one.generator

    def metrics(self) -> dict[str, float]:
        """The figures of the run so far, by the names that curves and versions have for them."""
        found: dict[str, float] = {"generate/kept": self.kept, "generate/failed": self.failed}
        if self.kept:
            found |= {
                "generate/quality": self.total / self.kept,
                "generate/quality_min": self.least,
                "generate/quality_max": self.most,
            }
        for name, written in self.generators.items():
            found[f"wins/{name}"] = written.wins
            if written.mean is not None:
                found[f"quality/{name}"] = written.mean
        return found

    def state(self) -> dict[str, Any]:
        """All of it, as JSON keeps it."""
        return {
            "generators": {name: asdict(written) for name, written in self.generators.items()},
            "genres": self.genres, "kept": self.kept, "failed": self.failed,
            "total": self.total, "least": self.least, "most": self.most, "winners": list(self.winners),
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from it. Whoever was set aside is asked again: what kept them may be gone."""
        afresh = {"in_a_row": 0, "away_until": 0, "spell": FIRST_SPELL}
        self.generators = {name: Written(**values | afresh) for name, values in state["generators"].items()}
        self.genres, self.kept, self.failed = state["genres"], state["kept"], state["failed"]
        self.total, self.least, self.most = state["total"], state["least"], state["most"]
        self.winners = deque(state["winners"], maxlen=SHOWN)
