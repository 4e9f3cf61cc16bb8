"""text-classification and text-generation: spam, genres, authors, and Shakespeare letter by letter."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from bench_recipes import File, Row, data, folder, frozen, train
from engine import report
from engine.protocol import DataSpec
from engine.report import Matrix

WORDS = 200  # of a passage
NEIGHBOURS = 40  # passages that belong to one part together
KINDS = "text-classification"

Rows = list[tuple[str, str, str]]  # text, label, part


def run() -> Iterator[Row]:
    yield spam()
    yield genres()
    yield authors()
    yield shakespeare()


def spam() -> Row:
    lines = (data("sms_spam") / "sms.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [(text, label) for label, _, text in (line.partition("\t") for line in lines)]
    random.Random(0).shuffle(pairs)
    # Messages that were sent several times are in one part.
    rows = [(text, label, _part(text.lower(), tests=5)) for text, label in pairs]
    with folder() as root:
        done = train(root, KINDS, {}, _version(root, rows))
        f1 = _f1(done.artifact, "spam")
    tested = sum(part == "test" for *_, part in rows)
    honest = f"a random fifth ({tested:,}) is tested, equal messages together; baseline: never spam, F1 0"
    return Row("sms_spam", "F1 of spam", f1, "linear models: 0.93–0.96", "≥ 0.93", done.seconds, "default", honest)


def genres() -> Row:
    rows: Rows = []
    for path in sorted(data("gutenberg_genres").glob("*.txt")):
        if path.stem == "SOURCE":
            continue
        words = path.read_text(encoding="utf-8").split()
        for number, first in enumerate(range(0, len(words) - WORDS + 1, WORDS)):
            block = number // NEIGHBOURS
            part = "test" if block % 5 == 4 else "validation" if block % 5 == 2 and block % 2 == 0 else "train"
            rows.append((" ".join(words[first : first + WORDS]), path.stem, part))
    honest = f"passages of {WORDS} words; every fifth run of {NEIGHBOURS} neighbours is tested, from the same books"
    return _accuracy("gutenberg_genres", rows, "≥ 0.95", "—", honest)


def authors() -> Row:
    rows: Rows = []
    for path in sorted(data("ebg_authors").glob("*/*.txt")):
        rows.append((path.read_text(encoding="utf-8", errors="replace"), path.parent.name, _part(path.name, tests=5)))
    return _accuracy("ebg_authors", rows, "—", "—", "whole documents, a random fifth is tested")


def shakespeare() -> Row:
    with folder() as root:
        file = File(data("tinyshakespeare") / "input.txt", None, "train")
        done = train(root, "text-generation", {}, frozen(root, "text", [file]))
    honest = "the last tenth of the text, all of it"
    loss = done.metrics["validation/loss"]
    return Row("tinyshakespeare", "loss of a letter", loss, "nanoGPT: 1.88", "≤ 1.88", done.seconds, "default", honest)


def _accuracy(name: str, rows: Rows, aim: str, known: str, honest: str) -> Row:
    with folder() as root:
        done = train(root, KINDS, {}, _version(root, rows))
    tested = [label for _, label, part in rows if part == "test"]
    learned = [label for _, label, part in rows if part == "train"]
    commonest = max(sorted(set(learned)), key=learned.count)
    majority = tested.count(commonest) / len(tested)
    honest += f"; {len(tested):,} tested, {len(set(learned))} classes, always the commonest: {majority:.3f}"
    return Row(name, "accuracy", done.metrics["test/accuracy"], known, aim, done.seconds, "default", honest)


def _part(key: str, tests: int) -> str:
    """One in `tests` is tested, one in ten of the others is for validation: by a hash, so the same each time."""
    number = int(hashlib.sha256(key.encode()).hexdigest(), 16)
    if number % tests == 0:
        return "test"
    return "validation" if number // tests % 10 == 0 else "train"


def _version(root: Path, rows: Rows) -> DataSpec:
    lines: list[dict] = [{"modality": "text", "classes": sorted({label for _, label, _ in rows}), "content_hash": ""}]
    for number, (text, label, part) in enumerate(rows):
        digest = hashlib.sha256(text.encode()).hexdigest()
        line = {"id": str(number), "sha256": digest, "name": f"row {number}", "label": label, "split": part}
        lines.append(line | {"bytes": len(text.encode()), "content": {"text": text}})
    manifest = root / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return DataSpec(manifest=manifest, store=root / "store")


def _f1(artifact: Path, label: str) -> float:
    """F1 of a class on the test part, from the report's confusion matrix."""
    blocks = report.read((artifact / report.REPORT).read_bytes())
    matrix = next(block for block in blocks if isinstance(block, Matrix) and "test" in block.title)
    place = matrix.labels.index(label)
    right = matrix.counts[place][place]
    return 2 * right / (sum(matrix.counts[place]) + sum(row[place] for row in matrix.counts))
