"""Samples of the real data sets that lie beside a developer's checkout, as files by their relative path."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from tests.shared import data

Files = dict[str, bytes]


def ai4i2020() -> Files:
    """2,000 rows of machine state."""
    return {"ai4i2020.csv": _lines(data("ai4i2020") / "ai4i2020.csv", 2001)}


def enb2012() -> Files:
    return _read(data("enb2012"), ["ENB2012_data.csv"])


def etth1() -> Files:
    return _read(data("etth1"), ["ETTh1.csv"])


def sms_spam() -> Files:
    """2,000 messages with their class, without a header."""
    return {"sms.tsv": _lines(data("sms_spam") / "sms.tsv", 2000)}


def gsm8k() -> Files:
    return _read(data("gsm8k"), ["test.jsonl"])


def self_instruct() -> Files:
    return _read(data("self_instruct"), ["seed_tasks.jsonl", "user_oriented_instructions.jsonl"])


def tinyshakespeare() -> Files:
    return _read(data("tinyshakespeare"), ["input.txt"])


def gutenberg_genres() -> Files:
    """Six genres, and a list of books that is none of the shapes of rows."""
    folder = data("gutenberg_genres")
    return _read(folder, [*_names(folder, "*.txt", but="SOURCE.txt"), "books_by_genre.csv"])


def ebg_authors() -> Files:
    """13 texts of each of five authors."""
    folder = data("ebg_authors")
    authors = ("aa", "b", "bb", "c", "cc")
    return _read(folder, [name for author in authors for name in _names(folder, f"{author}/*", 13)])


def sign_digits() -> Files:
    """Six photos of each of ten signs."""
    folder = data("sign_digits")
    return _read(folder, [name for digit in range(10) for name in _names(folder, f"{digit}/*", 6)])


def fsdd() -> Files:
    """Each of ten digits, said once by each of six speakers."""
    folder = data("fsdd") / "recordings"
    return _read(folder, _names(folder, "*_3.wav"))


def intel_clips() -> Files:
    """Seven clips of each of three scenes with their list, and a sign in another container."""
    folder = data("intel_clips")
    scenes = ("bottle_line", "car_park", "people_walking")
    clips = [name for scene in scenes for name in _names(folder, f"*/{scene}/*", 7)]
    return _read(folder, ["clips.csv", *clips, "asl_samples_mkv/bird.mkv", "asl_samples_mkv/thanks.mkv"])


def messages() -> list[tuple[str, str]]:
    """(class, text) of the sample of `sms_spam`, read by nothing of ours."""
    lines = sms_spam()["sms.tsv"].decode().splitlines()
    return [(label, text) for label, _, text in (line.partition("\t") for line in lines)]


def tasks() -> list[dict]:
    """The rows of `self_instruct`."""
    return [json.loads(line) for content in self_instruct().values() for line in content.decode().splitlines()]


def _read(folder: Path, names: Iterable[str]) -> Files:
    return {name: (folder / name).read_bytes() for name in names}


def _names(folder: Path, pattern: str, most: int | None = None, but: str = "") -> list[str]:
    found = sorted(str(path.relative_to(folder)) for path in folder.glob(pattern) if path.is_file())
    return [name for name in found if name != but][:most]


def _lines(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return b"".join(islice(file, count))
