"""Searching in the texts of rows, without regard to case."""

from __future__ import annotations

import json

from django.db.models import BooleanField, F, Func, Value


def in_content(text: str) -> Func:
    """Whether any text of a row's content holds `text`: its own, prompt, completion, system, or a message's."""
    literal = json.dumps(text)
    # A list of messages is looked into by itself; the names of roles and keys are not searched.
    paths = [f'$.{place} ? (@ like_regex {literal} flag "iq")' for place in ("*", "messages[*].content")]
    either = " || ".join(f"exists({path})" for path in paths)
    return Func(
        F("content"), Value(f"$ ? ({either})"), output_field=BooleanField(),
        template="COALESCE(jsonb_path_exists(%(expressions)s::jsonpath, '{}', true), false)",
    )  # fmt: skip
