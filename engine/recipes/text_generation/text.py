"""The texts of a dataset version as one training text and one validation text."""

from __future__ import annotations

from engine.data import Dataset, Item, bad_data
from engine.task import Context

HELD_OUT = 0.1  # share at the end of the text, when the version has no validation items of its own


def training_and_validation(dataset: Dataset, context: Context) -> tuple[str, str]:
    """The two texts. Items are joined by line ends, in manifest order.

    A version of a single text, or one without validation items, gives its last tenth for validation.
    EngineError BAD_DATA when there is nothing to train on.
    """
    train, validation = dataset.part("train"), dataset.part("validation")
    if len(train) + len(validation) == 1:
        train, validation = train + validation, []
    if not train:
        raise bad_data(
            "No text of this version is meant for training.",
            "Freeze a version with a smaller validation_fraction, or add texts.",
        )
    text = _join(dataset, train)
    if validation:
        return text, _join(dataset, validation)
    cut = int(len(text) * (1 - HELD_OUT))
    context.log(f"The version has no validation texts of its own: the last {HELD_OUT:.0%} of the text are held out.")
    return text[:cut], text[cut:]


def check_length(tokens: int, block_size: int, part: str) -> None:
    """EngineError BAD_DATA when a part is too short for one piece of context."""
    if tokens > block_size:
        return
    advice = "Lower block_size, or add text."
    if part == "validation":
        advice = "Lower block_size, add text, or freeze a version with a larger validation_fraction."
    raise bad_data(
        f"The {part} text has {tokens} tokens; a context length of {block_size} needs at least {block_size + 1}.",
        advice,
    )


def _join(dataset: Dataset, items: list[Item]) -> str:
    return "\n".join(dataset.text(item) for item in items)
