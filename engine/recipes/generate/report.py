"""What a run that generates shows of itself."""

from __future__ import annotations

from engine.recipes.generate.tally import Tally
from engine.report import AnyBlock, Bars, Figure, Figures, Passage, Table, Texts


def blocks(tally: Tally, titles: dict[str, str]) -> list[AnyBlock]:
    """Figures, who won, which genres, and the last winners."""
    asked = tally.kept + tally.failed
    quality = tally.total / tally.kept if tally.kept else None
    found: list[AnyBlock] = [
        Figures(
            title="Examples",
            note=f"{tally.kept:,} of {asked:,} examples were kept; qualities are from 0 to 10.",
            figures=[
                Figure(name="Kept", value=tally.kept),
                Figure(name="Not good enough, or not written", value=tally.failed),
                Figure(name="Mean quality", value=quality),
                Figure(name="Least quality", value=tally.least if tally.kept else None),
                Figure(name="Highest quality", value=tally.most if tally.kept else None),
            ],
        ),
        Table(
            title="Generators",
            note="The mean quality is that of all candidates, not only of those that won.",
            columns=["Generator", "Wins", "Candidates", "Mean quality", "Failures"],
            rows=[
                [titles[name][:300], one.wins, one.scored, None if one.mean is None else round(one.mean, 2), one.failed]
                for name, one in tally.generators.items()
            ],
        ),
    ]
    if tally.genres:
        names = sorted(tally.genres, key=lambda name: -tally.genres[name])
        found.append(Bars(title="Kept by genre", labels=names, values=[tally.genres[name] for name in names]))
    if tally.winners:
        entries = [
            Passage(heading=f"{one['genre']}, {titles[one['generator']]}, {one['score']:.1f}"[:2000], text=one["text"])
            for one in reversed(tally.winners)
        ]
        found.append(Texts(title="Last winners", entries=entries))
    return found
