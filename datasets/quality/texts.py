"""Measuring texts and rows: length, language, damage, repetition, personal data, and what is compared with others."""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from datasets.items.rows import pair, plain_text
from datasets.models import Item
from datasets.quality import personal
from datasets.quality.found import Found
from datasets.quality.opened import DamagedError, opened
from datasets.quality.profile import Profile

if TYPE_CHECKING:
    import numpy as np

VERSION = 2
UNREADABLE = (DamagedError, UnicodeDecodeError)
PERMUTATIONS = 128  # of the MinHash; 32 bands of 4 find a pair that shares 0.7 of its shingles with 0.999
SHINGLE = 5  # characters
MOST_SHINGLES = 20_000  # of one text: those with the smallest hashes, the same choice in each text
MOST_CHARACTERS = 2_000_000  # of a document that are looked at
LANGUAGE_CHARACTERS = 2000
MIN_LETTERS = 60  # for telling a language
PLACEHOLDERS = {"n/a", "na", "none", "null", "nan", "todo", "tbd", "-", "--", "...", "…", "?", "xxx", "lorem ipsum"}
MOJIBAKE = re.compile(r"[\u00c2-\u00f4][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
                      r"\u2013-\u203a\u20ac\u2122]{1,3}")  # fmt: skip
ODD = re.compile(r"[\ufffd\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SPACES = re.compile(r"\s+")
_languages: list[Any] = []  # loaded once a process
_permutations: list[Any] = []  # the same for all texts
_lock = threading.Lock()


def measure(item: Item, beat: Callable[[], None]) -> tuple[dict[str, Any], bytes]:
    """Facts about a document or row, and its MinHash."""
    text = text_of(item, beat)
    learnt = _learnt(item, text)
    letters = sum(char.isalpha() for char in learnt[:LANGUAGE_CHARACTERS])
    language, sure = _language(learnt[:LANGUAGE_CHARACTERS]) if letters >= MIN_LETTERS else ("", 0.0)
    encoded = text.encode("utf-8", "replace")
    facts: dict[str, Any] = {
        "characters": len(text),
        "normal": digest("\x1f".join(normal(part) for part in _parts(item, text))),
        "language": language,
        "sure": round(sure, 3),
        "mojibake": mojibake(text),
        "odd": len(ODD.findall(text)),
        # How much smaller it becomes when it is packed; that of plain prose lies near 0.4.
        "packed": round(len(zlib.compress(encoded, 6)) / len(encoded), 4) if encoded else 1.0,
        "personal": dict(personal.kinds_in(text, language)),
    }
    if item.content is not None and set(item.content) != {"text"}:
        prompt, answer = (normal(part) for part in pair(item.content))
        facts |= {"prompt": digest(prompt), "answer": digest(answer), "answer_characters": len(answer)}
        facts["no_answer"] = answer in PLACEHOLDERS or not any(map(_says_something, answer))
    return facts, minhash(shingles(learnt)).tobytes()


def text_of(item: Item, beat: Callable[[], None]) -> str:
    """All that a document or row says."""
    if item.content is not None:
        return plain_text(item.content)
    with opened(item, beat) as file:
        errors = "strict" if item.bytes <= 4 * MOST_CHARACTERS else "ignore"  # the end may cut a letter
        return file.read(4 * MOST_CHARACTERS).decode("utf-8-sig", errors)


def compared(item: Item, beat: Callable[[], None]) -> np.ndarray:
    """The shingles by which two texts are compared."""
    return shingles(_learnt(item, text_of(item, beat)))


def judge(facts: dict[str, Any], profile: Profile) -> Iterator[Found]:
    """What is wrong with one text, given what the dataset's texts are like."""
    if kinds := facts["personal"]:
        yield Found("personal_data", f"It holds {personal.in_words(kinds)}.", details={"kinds": kinds})
    if (count := facts["mojibake"]) >= 1 and count * 400 >= facts["characters"] ** 0.5:
        yield Found("mojibake", f"{count:,} place{'s' * (count != 1)} look like UTF-8 that was read as Windows-1252.")
    if count := facts["odd"]:
        yield Found("odd_characters", f"{count:,} replacement or control character{'s' * (count != 1)}.")
    if facts["characters"] >= 200 and facts["packed"] < 0.12:
        yield Found("repetitive", f"It packs to {facts['packed']:.0%} of its size: the same words again and again.")
    if facts.get("no_answer"):
        yield Found("no_answer", "The completion says nothing.")
    most = profile.language
    if most and facts["language"] and facts["language"] != most and facts["sure"] >= 0.95:
        yield Found("other_language", f"It seems to be in '{facts['language']}'; nearly all others are in '{most}'.",
                    details={"language": facts["language"]})  # fmt: skip
    if reason := profile.length_reason(facts["characters"], "characters"):
        yield Found("unusual_length", reason)


def normal(text: str) -> str:
    """As two people would call it the same: one form of each letter, without case, spaces made one."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def mojibake(text: str) -> int:
    """Places that become fewer, sensible letters when they are read as the UTF-8 that they were."""
    if text.isascii():
        return 0
    return sum(_was_utf8(match.group()) for match in MOJIBAKE.finditer(text))


def shingles(text: str) -> np.ndarray:
    """Hashes of each run of five characters of the normalised text, sorted, each once: uint32."""
    import numpy as np

    points = np.frombuffer(normal(text).encode("utf-32-le", "replace"), np.uint32)
    if len(points) < SHINGLE:
        points = np.pad(points, (0, SHINGLE - len(points)))
    with np.errstate(over="ignore"):
        mixed = np.zeros(len(points) - SHINGLE + 1, np.uint64)
        for place in range(SHINGLE):
            mixed = mixed * np.uint64(0x100000001B3) + points[place : place + len(mixed)]
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        hashes = np.unique((mixed >> np.uint64(32)).astype(np.uint32))
    return hashes[:MOST_SHINGLES]


def minhash(hashes: np.ndarray) -> np.ndarray:
    """The MinHash of a set of shingles: uint32, one for each permutation."""
    import numpy as np
    from datasketch import MinHash

    if not _permutations:
        _permutations.append(MinHash(PERMUTATIONS).permutations)
    made = MinHash(PERMUTATIONS, hashfunc=int, permutations=_permutations[0], scheme="affine32")
    for start in range(0, len(hashes), 4096):
        made.update_batch(hashes[start : start + 4096].tolist())
    return np.asarray(made.hashvalues, np.uint32)


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """How much two sets of shingles share: 0 to 1."""
    import numpy as np

    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def _learnt(item: Item, text: str) -> str:
    """What tells texts apart: an instruction to the system, the same in each chat, does not."""
    if item.content is None or "text" in item.content:
        return text[:MOST_CHARACTERS]
    return "\n".join(_parts(item, text))


def _parts(item: Item, text: str) -> list[str]:
    content = item.content
    if content is None or "text" in content:
        return [text]
    if "messages" in content:
        return [message["content"] for message in content["messages"] if message["role"] != "system"]
    return [content["prompt"], content["completion"]]


def _says_something(char: str) -> bool:
    """Whether it is a letter, a digit, or a picture such as an emoji or a note."""
    return char.isalnum() or unicodedata.category(char) == "So"


def _was_utf8(run: str) -> bool:
    try:
        return len(run.encode("cp1252").decode("utf-8")) < len(run)
    except UnicodeError:
        pass
    try:
        return len(run.encode("latin-1").decode("utf-8")) < len(run)
    except UnicodeError:
        return False


def _language(text: str) -> tuple[str, float]:
    """The most probable language of a text, and how sure that is (0 to 1)."""
    with _lock:
        if not _languages:
            from py3langid.langid import MODEL_FILE, LanguageIdentifier

            _languages.append(LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True))
    code, sure = _languages[0].classify(_SPACES.sub(" ", text))
    return str(code), float(sure)
