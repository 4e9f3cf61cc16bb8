"""Spoken digits of six speakers: known ones, and ones that were never heard."""

from __future__ import annotations

from collections.abc import Callable

from bench_recipes import File, Row, data, train

OFFICIAL = 5  # recordings below this number are the test set
HELD_OUT = 10  # one in so many of the others is for validation


def run() -> list[Row]:
    return [known_speakers(), new_speakers()]


def known_speakers() -> Row:
    metrics, seconds = train("audio-classification", "audio", _files(lambda _, number: number < OFFICIAL))
    return Row(
        "fsdd, official test", "accuracy", metrics["test/accuracy"], "0.980", "0.980", seconds, "default",
        "recordings 0–4 of each speaker and digit; validation from the others",
    )  # fmt: skip


def new_speakers() -> Row:
    speakers = sorted({path.stem.split("_")[1] for path in (data("fsdd") / "recordings").glob("*.wav")})
    found: list[float] = []
    taken = 0.0
    for speaker in speakers:
        accuracy, seconds = one_new_speaker(speaker)
        found.append(accuracy)
        taken += seconds
    each = ", ".join(f"{name} {accuracy:.3f}" for name, accuracy in zip(speakers, found, strict=True))
    return Row(
        "fsdd, a new speaker", "accuracy, mean of 6", sum(found) / len(found), "0.798", "> 0.798", taken, "default",
        f"all of one speaker are the test part, a tenth of the others' validation: {each}",
    )  # fmt: skip


def one_new_speaker(speaker: str) -> tuple[float, float]:
    """Accuracy on all recordings of a speaker of whom none was heard, and seconds."""
    metrics, seconds = train("audio-classification", "audio", _files(lambda who, _: who == speaker))
    return metrics["test/accuracy"], seconds


def _files(tested: Callable[[str, int], bool]) -> list[File]:
    files: list[File] = []
    rest = 0
    for path in sorted((data("fsdd") / "recordings").glob("*.wav")):
        label, speaker, number = path.stem.split("_")
        if tested(speaker, int(number)):
            files.append(File(path, label, "test"))
            continue
        rest += 1
        files.append(File(path, label, "train" if rest % HELD_OUT else "validation"))
    return files
