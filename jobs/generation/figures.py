"""The figures that the examples of a run add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Figures:
    """What the examples of a run add up to. `generators`: {name: (wins, mean quality of all its candidates)}."""

    made: int
    kept: int
    quality: float | None
    least: float | None
    most: float | None
    genres: dict[str, int]
    generators: dict[str, tuple[int, float | None]]

    @property
    def failed(self) -> int:
        return self.made - self.kept


def figures_of(
    names: Iterable[str], *, made: int, kept: int, quality: Decimal | None, least: Decimal | None, most: Decimal | None,
    genres: Mapping[str, int], wins: Mapping[str, int], means: Mapping[str, float],
) -> Figures:  # fmt: skip
    """The figures for the generators of these names and whoever else has written; genres with most examples first."""
    return Figures(
        made=made, kept=kept, quality=_float(quality), least=_float(least), most=_float(most),
        genres=dict(sorted(genres.items(), key=lambda entry: (-entry[1], entry[0]))),
        generators={
            name: (wins.get(name, 0), means.get(name)) for name in dict.fromkeys([*names, *sorted({*wins, *means})])
        },
    )  # fmt: skip


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
