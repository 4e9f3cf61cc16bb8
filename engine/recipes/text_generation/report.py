"""What a language model shows of itself: its loss beside the baseline, and what it writes beside what was there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from engine.pairs import END
from engine.report import AnyBlock, Figure, Figures, Passage, Texts

PASSAGES = 3
BEGINNING = 80  # characters of running text that the model is given
SHORTEST = 60  # tokens that it writes then
LONGEST = 200  # tokens of an answer
SHOWN = 1500  # characters of a prompt


def answer(written: str, layout: str | None) -> str:
    """What was said, without the mark that ends it in the layout of chats."""
    return written.split(END)[0] if layout == "chat" else written


def blocks(
    losses: Mapping[str, float],
    untuned: Mapping[str, float],
    method: str,
    written: Sequence[tuple[str, str, str]],
) -> list[AnyBlock]:
    """`losses` by part; `written` is (beginning, what the model made of it, what was there)."""
    baseline = untuned.get("baseline/validation_loss")
    what = "knows only how frequent each token is" if method == "scratch" else "is the base model before this training"
    figures = []
    for part, loss in losses.items():
        beside = baseline if part == "validation" else None
        figures += [
            Figure(name=f"Loss of a token, {part}", value=loss, baseline=beside, better="lower"),
            Figure(
                name=f"Perplexity, {part}",
                value=math.exp(min(loss, 700.0)),
                baseline=None if beside is None else math.exp(min(beside, 700.0)),
                better="lower",
            ),
        ]
    found: list[AnyBlock] = [Figures(title="On held-out text", note=f"The baseline {what}.", figures=figures)]
    if written:
        found.append(
            Texts(
                title="What it writes",
                note="Beginnings from the validation part, what the model made of each, and how it really goes on.",
                entries=[
                    Passage(heading=begin[-SHOWN:], text=f"Model:\n{made.strip()}\n\nTrue:\n{true.strip()}"[:9000])
                    for begin, made, true in written
                ],
            )
        )
    return found
