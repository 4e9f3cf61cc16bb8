"""How to read files where guessing was wrong: checked at every door, read by the worker."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any

from common.errors import InvalidInputError
from common.parsers import check_text
from datasets.formats.marks import pattern

PREFIX = "option."
MAX_COLUMNS = 2_000
MAX_COLUMN = 200
TYPES = ("whole", "number", "yes_no", "date", "text", "category")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "space": " "}
YES, NO = {"yes", "true", "1", "on"}, {"no", "false", "0", "off"}


def checked(given: Any) -> dict[str, Any]:
    """The options that are set, in their own types. InvalidInputError names each that can't be used.

    Values may be texts, as forms send them; what is empty or None is left to guessing.
    """
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise InvalidInputError("The options are no object.", 'Send for example {"delimiter": ";"}.')
    read: dict[str, Any] = {}
    wrong: dict[str, list[str]] = {}
    for name, value in given.items():
        if name not in CHECKS:
            wrong[f"options.{str(name)[:50]}"] = [f"There is no such option. Use: {', '.join(CHECKS)}."]
        elif value not in (None, "", {}):
            try:
                read[name] = CHECKS[name](value)
            except ValueError as error:
                wrong[f"options.{name}"] = [str(error)]
    if wrong:
        field, texts = next(iter(wrong.items()))
        raise InvalidInputError(f"{field}: {texts[0]}", "Correct it, or leave it to guessing.", fields=wrong)
    return read


def from_form(fields: Mapping[str, str]) -> dict[str, Any]:
    """The options among a form's fields, which are called `option.<name>`."""
    return checked({name.removeprefix(PREFIX): fields[name] for name in fields if name.startswith(PREFIX)})


def _delimiter(value: Any) -> str:
    text = DELIMITERS.get(value, value) if isinstance(value, str) else ""
    if len(text) != 1 or text in '"\r\n\x00':
        raise ValueError(f"This is one character, or one of: {', '.join(DELIMITERS)}.")
    return text


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in YES | NO:
        raise ValueError("This is yes or no.")
    return word in YES


def _encoding(value: Any) -> str:
    try:
        found = codecs.lookup(value if isinstance(value, str) and value.isascii() and len(value) <= 40 else "?")
    except LookupError:
        found = None
    # Codecs that turn bytes into bytes, such as zip, are no encodings of texts.
    if found is None or not getattr(found, "_is_text_encoding", True) or found.name in {"idna", "punycode"}:
        raise ValueError("This is no encoding that is known here. Use for example utf-8, windows-1252 or utf-16.")
    return found.name


def _column(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_COLUMN:
        raise ValueError(f"This is the name of a column, of at most {MAX_COLUMN} characters.")
    check_text(value)
    return value


def _types(value: Any) -> dict[str, str]:
    if isinstance(value, str):  # of a form: 'name=type, other=type'
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        value = {name.strip(): kind.strip() for name, _, kind in pairs}
    if not isinstance(value, dict) or len(value) > MAX_COLUMNS:
        raise ValueError("This names a type for each column, as {column: type}.")
    if wrong := [str(kind)[:50] for kind in value.values() if kind not in TYPES]:
        raise ValueError(f"'{wrong[0]}' is no type of a column. Use: {', '.join(TYPES)}.")
    return {_column(name): kind for name, kind in value.items()}


def _pattern(value: Any) -> str:
    text = _column(value)
    pattern(text)
    return text


def _choice(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in words:
            raise ValueError(f"This is one of: {', '.join(words)}.")
        return value

    return check


CHECKS: dict[str, Callable[[Any], Any]] = {
    "delimiter": _delimiter,
    "header": _flag,
    "encoding": _encoding,
    "types": _types,
    "label_column": _column,
    "label_from": _pattern,  # of file names: {label}_{group}_*.wav
    "read_as": _choice("document", "rows"),  # of texts
    "decimal": _choice("point", "comma"),
    "text_column": _column,
    "prompt_column": _column,
    "completion_column": _column,
    "caption_column": _column,
    "group_column": _column,
    "subject_column": _column,
    "time_column": _column,
    "sheet": _column,
}
