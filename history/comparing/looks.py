"""How many lines are told apart in one chart: by colour, and by dashes for those who don't see colours."""

from __future__ import annotations

from dataclasses import dataclass

TONES = 6
DASHES: tuple[tuple[int, ...], ...] = (
    (), (6, 4), (2, 3), (9, 3, 2, 3), (14, 4), (4, 2), (1, 4), (10, 2, 2, 2, 2, 2), (16, 3, 4, 3),
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """The number of a colour, from 1, and the lengths of dashes and gaps; no dashes for an unbroken line."""

    tone: int
    dash: tuple[int, ...]

    @property
    def dashes(self) -> str:
        """As SVG writes it."""
        return " ".join(map(str, self.dash)) or "none"


def looks(count: int) -> list[Look]:
    """A look for each of up to 54 lines: no two alike, and neighbours differ in both."""
    return [Look(n % TONES + 1, DASHES[(n + n // TONES) % len(DASHES)]) for n in range(count)]
