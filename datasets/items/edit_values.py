"""What each field of an item can be set to, and how it is written, compared and put back inside the database."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.db.models import F, Func, JSONField, TextField, Value

from common.access import get_visible
from common.errors import InvalidInputError
from common.parsers import check_text
from datasets.items import rows
from datasets.models import Subject

FIELDS = ("label", "caption", "group", "subject", "aside", "metadata", "content")
LONGEST = {"label": 200, "group": 200, "caption": 20_000}
CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
MAX_METADATA = 8_192  # bytes as JSON, of one edit
MAX_KEY = 50


def checked(field: str, value: Any, by: AbstractBaseUser) -> Any:
    """The value as it is kept; InvalidInputError, which names the field, when it can't be that field's value."""
    match field:
        case "label" | "group":
            return _text(field, value, " ".join(value.split()) if isinstance(value, str) else value)
        case "caption":
            return _text(field, value, value.strip() if isinstance(value, str) else value)
        case "aside":
            if value == "" or (isinstance(value, str) and CODE.fullmatch(value)):
                return value
            raise _invalid(field, "A code of small letters, digits and underscores, such as by_hand; '' takes back.")
        case "subject":
            return _subject(value, by)
        case "metadata":
            return _metadata(value)
        case "content":
            if problem := rows.problem(value):
                raise _invalid(field, problem)
            _storable(field, rows.plain_text(value))
            if len(rows.canonical(value)) > rows.MAX_ROW_BYTES:
                raise _invalid(field, f"It is larger than {rows.MAX_ROW_BYTES // 2**20} MiB.")
            return value
    raise _invalid("field", f"One of: {', '.join(FIELDS)}.")


def column(field: str) -> str:
    """The column of the items' table."""
    return "subject_id" if field == "subject" else field


def expression(field: str, value: Any) -> Any:
    """The value as a queryset compares it; of metadata, the whole as it will be."""
    if field != "metadata":
        return value
    sets, drops = _parts(value)
    merged = Func(F("metadata"), Value(sets, JSONField()), arg_joiner=" || ", template="(%(expressions)s)")
    names = Value(drops, ArrayField(TextField()))
    return Func(merged, names, arg_joiner=" - ", template="(%(expressions)s)", output_field=JSONField())


def written(field: str) -> str:
    """SQL for what the column is set to; takes `parameters`."""
    if field == "metadata":
        return json_after(field)
    return "(%(after)s::jsonb #>> '{}')::bigint" if field == "subject" else "%(after)s::jsonb #>> '{}'"


def json_after(field: str) -> str:
    """SQL for what an item has after the edit, as JSON; `was` is its EditedItem. Takes `parameters`."""
    if field == "metadata":
        return "((was.before || %(sets)s::jsonb) - %(drops)s::text[])"
    return "%(after)s::jsonb"


def parameters(field: str, value: Any) -> dict[str, Any]:
    """What `json_after` needs of the edit's value."""
    if field == "metadata":
        sets, drops = _parts(value)
        return {"sets": json.dumps(sets), "drops": drops}
    return {"after": None if value is None else json.dumps(value)}


def restored(field: str) -> str:
    """SQL for what an item gets back; a subject that was deleted since stays away."""
    if field == "metadata":
        return "was.before"
    if field == "subject":
        return "(SELECT subject.id FROM datasets_subject subject WHERE subject.id = (was.before #>> '{}')::bigint)"
    return "COALESCE(was.before #>> '{}', '')"


def _parts(value: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    return {key: one for key, one in value.items() if one is not None}, [key for key in value if value[key] is None]


def _text(field: str, value: Any, cleaned: Any) -> str:
    if not isinstance(value, str):
        raise _invalid(field, "A text; '' for none.")
    if len(cleaned) > LONGEST[field]:
        raise _invalid(field, f"At most {LONGEST[field]:,} characters.")
    _storable(field, cleaned)
    return cleaned


def _subject(value: Any, by: AbstractBaseUser) -> int | None:
    if value is None:
        return None
    key = value.pk if isinstance(value, Subject) else value
    if isinstance(key, bool) or not isinstance(key, int):
        raise _invalid("subject", "A subject's id, or nothing.")
    return get_visible(Subject.objects.all(), by, pk=key).pk


def _metadata(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise _invalid("metadata", "An object with at least one key; a key with null is removed.")
    for key, one in value.items():
        if not isinstance(key, str) or not key.strip() or len(key) > MAX_KEY:
            raise _invalid("metadata", f"Each key is a text of 1 to {MAX_KEY} characters.")
        if not (one is None or isinstance(one, str | int | float | bool)):
            raise _invalid("metadata", f"'{key}' must be a text, a number, true, false, or null.")
        _storable("metadata", key + (one if isinstance(one, str) else ""))
    if len(json.dumps(value)) > MAX_METADATA:
        raise _invalid("metadata", f"At most {MAX_METADATA:,} bytes.")
    return value


def _storable(field: str, text: str) -> None:
    try:
        check_text(text)
    except ValueError as error:
        raise _invalid(field, str(error).capitalize()) from error


def _invalid(field: str, problem: str) -> InvalidInputError:
    return InvalidInputError(f"The {field} can't be used: {problem}", problem, fields={field: [problem]})
