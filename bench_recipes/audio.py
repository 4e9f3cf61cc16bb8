"""Spoken digits of six speakers: known ones, and ones that were never heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench_recipes import Done, File, Row, data, folder, frozen, train

OFFICIAL = 5  # recordings below this number are the test set
HELD_OUT = 10  # one in so many of the others is for validation


def run() -> Iterator[Row]:
    done = _train(lambda _, number: number < OFFICIAL)
    yield Row(
        "fsdd, official test", "test/accuracy", done.metrics["test/accuracy"], "MFCC + SVM: 0.980", "≥ 0.980",
        done.seconds, "default", "recordings 0–4 of each speaker and digit; validation from the others",
    )  # fmt: skip
    yield new_speakers()


def new_speakers() -> Row:
    """The mean over the speakers, of each of whom nothing was heard when the others were learned."""
    speakers = sorted({path.stem.split("_")[1] for path in (data("fsdd") / "recordings").glob("*.wav")})
    found = {speaker: new_speaker(speaker) for speaker in speakers}
    accuracies = {speaker: done.metrics["test/accuracy"] for speaker, done in found.items()}
    each = ", ".join(f"{speaker} {accuracy:.3f}" for speaker, accuracy in accuracies.items())
    return Row(
        "fsdd, a new speaker", "test/accuracy", sum(accuracies.values()) / len(found), "MFCC + SVM: 0.798", "> 0.798",
        sum(done.seconds for done in found.values()) / len(found), "default",
        f"all of one speaker are the test part, a tenth of the others' is for validation; the mean of {each}",
    )  # fmt: skip


def new_speaker(speaker: str) -> Done:
    """All recordings of a speaker are the test part."""
    return _train(lambda who, _: who == speaker)


def _train(tested: Callable[[str, int], bool]) -> Done:
    with folder() as root:
        return train(root, "audio-classification", {}, frozen(root, "audio", _files(tested)))


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
