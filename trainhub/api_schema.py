"""What the API's schema says of every operation: how it fails, and that a body takes nothing but its fields."""

from __future__ import annotations

from typing import Any

from common.problems import CONTENT_TYPE
from common.serializers import Input

METHODS = {"get", "post", "put", "patch", "delete"}


def _text(description: str) -> dict[str, str]:
    return {"type": "string", "description": description}


PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "properties": {
        "type": _text("The kind of problem, as an address."),
        "title": _text("The kind of problem, in words."),
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": _text("What happened."),
        "hint": _text("What to do next."),
        "code": _text("The kind of problem, for programs: invalid_input, not_found, conflict …"),
        "instance": _text("The address that was asked."),
        "errors": {
            "type": "object",
            "description": "Field of the input → what is wrong with it.",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
    "required": ["type", "title", "status", "detail", "hint", "code", "instance"],
}


def add_problem_details(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular: whatever is not listed answers with problem details."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
    answer = {
        "description": "Problem details: what happened, and what to do next.",
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for operations in result["paths"].values():
        for method, operation in operations.items():
            if method in METHODS:
                operation["responses"]["default"] = answer
    return result


def close_inputs(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of drf-spectacular: bodies are refused when they hold what is not named."""
    schemas = result.get("components", {}).get("schemas", {})
    for component in generator.registry._components.values():
        kind = component.object if isinstance(component.object, type) else type(component.object)
        if component.name.endswith("Request") and component.name in schemas and issubclass(kind, Input):
            schemas[component.name]["additionalProperties"] = False
    return result
