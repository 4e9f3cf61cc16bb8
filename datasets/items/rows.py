"""Items that are rows: pairs, chats and short texts, which lie in the database and not in files.

Their content has one of three shapes:

    {"text": "…"}
    {"prompt": "…", "completion": "…", "system": "…"}        system is optional
    {"messages": [{"role": "system" | "user" | "assistant", "content": "…"}, …]}
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

ROLES = ("system", "user", "assistant")
MAX_ROW_BYTES = 1 << 20


def address(content: dict[str, Any]) -> str:
    """SHA-256 of the content's canonical JSON: rows of the same content are one item."""
    return hashlib.sha256(canonical(content)).hexdigest()


def canonical(content: dict[str, Any]) -> bytes:
    """The bytes that stand for a row: sorted keys, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def problem(content: Any) -> str:
    """What is wrong with a row's content, as a sentence; '' when it can be used."""
    if not isinstance(content, dict):
        return "It is no object."
    match set(content):
        case keys if keys == {"text"}:
            return _text_problem(content, "text")
        case keys if keys in ({"prompt", "completion"}, {"prompt", "completion", "system"}):
            return next(filter(None, (_text_problem(content, key) for key in ("prompt", "completion"))), "") or (
                "" if isinstance(content.get("system", ""), str) else "'system' is no text."
            )
        case keys if keys == {"messages"}:
            return _chat_problem(content["messages"])
    return "It has none of the known shapes: text, prompt and completion, or messages."


def plain_text(content: dict[str, Any]) -> str:
    """Everything that was said, for searching, counting and checking: one part a line."""
    if "messages" in content:
        return "\n".join(message["content"] for message in content["messages"])
    return "\n".join(content[key] for key in ("system", "prompt", "completion", "text") if content.get(key))


def words(content: dict[str, Any]) -> int:
    """How many words a row holds: what stands between white space."""
    return len(plain_text(content).split())


def pair(content: dict[str, Any]) -> tuple[str, str]:
    """What is asked and what is to be learnt: (prompt, completion). A text without a prompt has an empty one."""
    if "messages" in content:
        *before, last = content["messages"]
        return "\n".join(message["content"] for message in before), last["content"]
    return content.get("prompt", ""), content.get("completion", content.get("text", ""))


def _text_problem(content: dict[str, Any], key: str) -> str:
    value = content.get(key)
    if not isinstance(value, str):
        return f"'{key}' is no text."
    return "" if value.strip() else f"'{key}' is empty."


def _chat_problem(messages: Any) -> str:
    if not isinstance(messages, list) or not messages:
        return "'messages' is no list, or an empty one."
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in ROLES:
            return f"Message {number} needs a role ({', '.join(ROLES)}) and content, and nothing else."
        if not isinstance(message["content"], str) or not message["content"].strip():
            return f"Message {number} is empty."
    return "" if messages[-1]["role"] == "assistant" else "The last message is not the assistant's."
