"""Settings of generating examples."""

from __future__ import annotations

import math
import string

from pydantic import ValidationInfo, field_validator

from engine.config import RecipeConfig, setting

MOST_GENRES, MOST_PROMPTS, MOST_GENERATORS = 100, 1000, 20
LONGEST_NAME = 100
MEASURES = "measures"
FIELDS = {"genre", "number"}


class GenerateConfig(RecipeConfig):
    """Makes examples to train on: each generator writes a candidate to the same prompt, the judge scores every
    candidate from 0.0 to 10.0 with its reasons, and the best one is kept when it is good enough. Generators are
    text-generation versions of the hub, and endpoints that speak as OpenAI's do. What is kept goes to a dataset, where
    the gates decide what may be trained on. It trains nothing itself."""

    examples: int = setting(
        50, "Examples", "How many examples are asked for. Those of which no candidate is good enough count as failed.",
        "Examples", ge=1, le=1_000_000,
    )  # fmt: skip
    genres: str = setting(
        "General", "Genres",
        "What the examples are about, one genre a line; 'Crime: 2' comes twice as often as 'Romance'.",
        "Examples", lines=True, max_length=20_000,
    )  # fmt: skip
    prompts: str = setting(
        "Write a short text. Genre: {genre}.", "Prompts",
        "What the generators are asked, one prompt a line, taken in turn. {genre} stands for the genre, {number} for "
        "the number of the example; \\n for a new line.",
        "Examples", lines=True, max_length=200_000,
    )  # fmt: skip
    generators: str = setting(
        "", "Generators", "Who writes the candidates, one a line: 'version 12' or 'endpoint my-server'.",
        "Generators", lines=True, max_length=5_000,
    )  # fmt: skip
    max_new_tokens: int = setting(
        200,
        "Longest answer (tokens)",
        "Where a candidate ends at the latest; versions of the hub write at most 1,000.",
        "Generators",
        ge=1,
        le=8192,
    )
    temperature: float = setting(
        0.8, "Temperature", "How bold the generators are. 0: always the likeliest word.", "Generators", ge=0, le=2
    )
    judge: str = setting(
        MEASURES, "Judge",
        "Who scores the candidates: 'measures' (length, repetition, variety; documented), or a model as above, which "
        "is asked for a score.",
        "Judge", max_length=200,
    )  # fmt: skip
    instructions: str = setting(
        "", "What the judge looks for", "In words, for a model as judge. Empty: how well the text answers the prompt, "
        "fits its genre, and reads.", "Judge", lines=True, max_length=5_000,
    )  # fmt: skip
    minimum_quality: float = setting(
        5.0, "Least quality", "A best candidate below this is not kept, and the example counts as failed.",
        "Judge", ge=0, le=10,
    )  # fmt: skip
    shortest: int = setting(
        20, "Shortest text (words)", "Measures: a shorter text loses points.", "Judge", ge=1, le=100_000
    )
    longest: int = setting(
        400,
        "Longest text (words)",
        "Measures: a longer text loses points.",
        "Judge",
        ge=1,
        le=100_000,
        validate_default=True,
    )
    reference: str = setting(
        "", "Reference model",
        "Measures: a text-generation version, as 'version 12', under which good texts are likely: its perplexity "
        "counts.",
        "Judge", max_length=200,
    )  # fmt: skip
    classifier: str = setting(
        "", "Genre classifier",
        "Measures: a text-classification version, as 'version 12', whose classes are the genres; a text of another "
        "genre loses points.",
        "Judge", max_length=200,
    )  # fmt: skip
    at_once: int = setting(
        4, "Examples at once",
        "How many examples are under way while endpoints are waited for. Models of the hub write one after the other.",
        "Advanced", ge=1, le=64,
    )  # fmt: skip

    def steps_for(self, items: int, per_epoch: float | None = None) -> int | None:
        return self.examples

    def weights(self) -> dict[str, float]:
        """How often each genre comes, in relation to the others."""
        return dict(_genre(line) for line in lines(self.genres))

    def sources(self) -> list[str]:
        """Every model that the run uses, each once, as the settings name them."""
        others = [name for name in (self.judge, self.reference, self.classifier) if name and name != MEASURES]
        return list(dict.fromkeys([*lines(self.generators), *others]))

    @field_validator("genres")
    @classmethod
    def _genres_are_some(cls, text: str) -> str:
        _check_genres(lines(text))
        return text

    @field_validator("prompts")
    @classmethod
    def _prompts_are_some(cls, text: str) -> str:
        for line in (found := lines(text)):
            _check_prompt(line)
        if not 1 <= len(found) <= MOST_PROMPTS:
            raise ValueError(f"Write at least one and at most {MOST_PROMPTS:,} prompts, one a line.")
        return text

    @field_validator("generators")
    @classmethod
    def _generators_are_named_once(cls, text: str) -> str:
        names = lines(text)
        if len(names) > MOST_GENERATORS:
            raise ValueError(f"Name at most {MOST_GENERATORS}.")
        if len(set(names)) < len(names):
            raise ValueError("Each may be named once.")
        if any("," in name or ";" in name for name in names):
            raise ValueError("Write one a line, without commas.")
        return text

    @field_validator("longest")
    @classmethod
    def _longest_is_not_below_shortest(cls, words: int, others: ValidationInfo) -> int:
        if words < others.data.get("shortest", 0):
            raise ValueError("The longest text must not be below the shortest.")
        return words


def lines(text: str) -> list[str]:
    """What stands in each line that is not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _genre(line: str) -> tuple[str, float]:
    """The name and weight of a line 'Crime: 2' or 'Crime'."""
    name, colon, number = line.rpartition(":")
    try:
        weight = float(number)
    except ValueError:
        return line, 1.0
    return (name.strip(), weight) if colon and name.strip() else (line, 1.0)


def _check_genres(found: list[str]) -> None:
    pairs = [_genre(line) for line in found]
    if not 1 <= len(pairs) <= MOST_GENRES:
        raise ValueError(f"Write at least one and at most {MOST_GENRES} genres, one a line.")
    if any(name.startswith(":") for name, _ in pairs):
        raise ValueError("A genre has a name before its colon, as in 'Crime: 2'.")
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("Each may stand in one line only.")
    if any(len(name) > LONGEST_NAME for name, _ in pairs):
        raise ValueError(f"A name has at most {LONGEST_NAME} characters.")
    if any(not math.isfinite(weight) or weight < 0 for _, weight in pairs) or not any(weight for _, weight in pairs):
        raise ValueError("A weight is a number from 0 on, and one of them above 0.")


def _check_prompt(text: str) -> None:
    try:
        fields = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError:
        raise ValueError(
            f"'{text[:60]}' can't be read: a brace has no partner. Write {{{{ or }}}} for a brace itself."
        ) from None
    for name, layout, conversion in fields:
        if name not in FIELDS or layout or conversion:
            raise ValueError(f"{{{name}}} stands for nothing; there are {{genre}} and {{number}}.")


def filled(prompt: str, genre: str, number: int) -> str:
    """A prompt with its fields. Only the two names are replaced: no code can be run from it."""
    text = prompt.replace("\\n", "\n")
    parts = []
    for literal, name, _, _ in string.Formatter().parse(text):
        parts.append(literal)
        if name is not None:
            parts.append(genre if name == "genre" else str(number))
    return "".join(parts)
