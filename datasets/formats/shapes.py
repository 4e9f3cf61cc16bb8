"""From a record (a JSON object, a row with named cells) to what is trained on: a text, a pair, a chat.

Column names are compared without case. What has no part in the content goes to the metadata.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from datasets.formats.marks import Marks, marks_of
from datasets.items import rows
from datasets.refused import Refused

# What a pair's two sides are called, the surer names first.
PAIRS = (
    ("prompt", "completion"), ("question", "answer"), ("instruction", "output"), ("instruction", "response"),
    ("prompt", "response"), ("query", "response"), ("input", "output"), ("input", "target"), ("source", "target"),
    ("question", "response"), ("user", "assistant"),
)  # fmt: skip
TEXTS = ("text", "message", "sentence", "content", "sms", "review", "body", "comment", "document", "utterance")
CHATS = ("messages", "conversation", "conversations", "dialogue", "dialog", "chat")
_SPEAKERS = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
    "bot": "assistant", "model": "assistant", "chatgpt": "assistant",
}  # fmt: skip
_HALF = re.compile("[\ud800-\udfff]")
WANTED = "text; prompt and completion; question and answer; instruction, input and output; or messages"


@dataclass(frozen=True)
class Shaped:
    """One item made of a record."""

    content: dict[str, Any]
    marks: Marks = field(default_factory=Marks)


def fits(columns: set[str], options: dict[str, Any]) -> bool:
    """Whether records with these columns have a shape that is known."""
    names = {name.lower() for name in columns}
    chosen = {options[key].lower() for key in ("text_column", "prompt_column", "completion_column") if key in options}
    if chosen:
        return chosen <= names
    pair = any(question in names and answer in names for question, answer in PAIRS)
    nested = "instruction" in names and "instances" in names
    return pair or nested or bool(names & {*TEXTS, *CHATS})


def shape(record: dict[str, Any], options: dict[str, Any]) -> list[Shaped]:
    """The items of a record: one, but for tasks with several instances. Refused when it can't be used."""
    check(record)
    given = {str(key).strip(): value for key, value in record.items() if value is not None}
    column = {key.lower(): key for key in given}
    if "instances" in column and "instruction" in column:
        return _instances(given, column, options)
    content, used = _content(given, column, options)
    return [_shaped(content, {key: value for key, value in given.items() if key not in used}, options)]


def _shaped(content: dict[str, Any], rest: dict[str, Any], options: dict[str, Any]) -> Shaped:
    if problem := rows.problem(content):
        raise Refused("bad_row", problem)
    if len(rows.canonical(content)) > rows.MAX_ROW_BYTES:
        raise Refused("too_large", "The row is larger than 1 MiB.")
    return Shaped(content, marks_of(rest, options))


def _content(given: dict[str, Any], column: dict[str, str], options: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """The content, and the columns that it was made of."""
    if chosen := options.get("text_column"):
        key = _chosen(column, chosen)
        return {"text": _text(given[key])}, {key}
    if "prompt_column" in options or "completion_column" in options:
        ask = _chosen(column, options.get("prompt_column", "prompt"))
        answer = _chosen(column, options.get("completion_column", "completion"))
        return {"prompt": _text(given[ask]), "completion": _text(given[answer])}, {ask, answer}
    for name in CHATS:
        if name in column and isinstance(given[column[name]], list):
            return {"messages": [_message(part) for part in given[column[name]]]}, {column[name]}
    for first, second in PAIRS:
        if first in column and second in column:
            return _pair(given, column, first, second)
    for name in TEXTS:
        if name in column:
            return {"text": _text(given[column[name]])}, {column[name]}
    if missing := next((pair for pair in PAIRS if {*pair} & {*column}), None):
        lacking = next(name for name in missing if name not in column)
        raise Refused("bad_row", f"'{lacking}' is missing or empty.")
    raise Refused("bad_row", f"It has none of the known columns: {WANTED}.")


def _pair(given: dict[str, Any], column: dict[str, str], first: str, second: str) -> tuple[dict[str, Any], set[str]]:
    used = {column[first], column[second]}
    prompt = _text(given[column[first]])
    extra = next((name for name in ("input", "context") if name in column and name not in (first, second)), None)
    if extra and first in {"instruction", "question", "prompt"}:
        used.add(column[extra])
        prompt = _with_input(prompt, given[column[extra]])
    content = {"prompt": prompt, "completion": _text(given[column[second]])}
    if "system" in column and _text(given[column["system"]]).strip():
        used.add(column["system"])
        content["system"] = _text(given[column["system"]])
    return content, used


def _instances(given: dict[str, Any], column: dict[str, str], options: dict[str, Any]) -> list[Shaped]:
    """A task with its inputs and outputs below it, as in Self-Instruct."""
    instances = given[column["instances"]]
    if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances) or not instances:
        raise Refused("bad_row", "'instances' is no list of objects, or an empty one.")
    instruction = _text(given[column["instruction"]])
    rest = {key: value for key, value in given.items() if key not in {column["instances"], column["instruction"]}}
    made = []
    for one in instances:
        prompt = _with_input(instruction, one.get("input", ""))
        made.append(_shaped({"prompt": prompt, "completion": _text(one.get("output", ""))}, rest, options))
    return made


def _with_input(instruction: str, given: Any) -> str:
    text = _text(given)
    return f"{instruction}\n\n{text}" if text.strip() else instruction


def _message(part: Any) -> dict[str, str]:
    if not isinstance(part, dict):
        raise Refused("bad_row", "A message is no object.")
    role = str(part.get("role", part.get("from", part.get("speaker", "")))).lower()
    content = part.get("content", part.get("value", part.get("text", "")))
    return {"role": _SPEAKERS.get(role, role), "content": _text(content)}


def _chosen(column: dict[str, str], name: str) -> str:
    try:
        return column[name.lower()]
    except KeyError as error:
        raise Refused("bad_row", f"'{name}' is missing or empty.") from error


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise Refused("bad_row", f"A {type(value).__name__} stands where a text should be.")


def check(value: Any) -> None:
    """Refused for what the database can't hold: NUL characters, half characters, numbers without end."""
    if isinstance(value, dict):
        for key, inner in value.items():
            check(key)
            check(inner)
    elif isinstance(value, list):
        for inner in value:
            check(inner)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Refused("bad_row", "It holds a number that is not finite.")
    elif isinstance(value, str):
        if "\0" in value:
            raise Refused("bad_row", "It holds a NUL character.")
        if _HALF.search(value):
            raise Refused("bad_row", "It holds half of a character (a lone surrogate).")


def parse(text: str) -> Any:
    """JSON without what only Python knows. Refused when it can't be read."""
    try:
        return json.loads(text, parse_constant=no_constant)
    except RecursionError as error:
        raise Refused("bad_row", "It is nested too deeply.") from error
    except ValueError as error:
        words = getattr(error, "msg", str(error))
        raise Refused("bad_row", f"It is not valid JSON: {words}.") from error


def no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
