"""Writes docs/api.md: the introduction, then every endpoint as the schema describes it."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from drf_spectacular.generators import SchemaGenerator

INTRODUCTION = "api-introduction.md"
METHODS = ("get", "post", "put", "patch", "delete")
PREFIX = "/api/v1/"


class Command(BaseCommand):
    help = "Write docs/api.md from docs/api-introduction.md and the schema. With --check: fail when it is out of date."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        path = _docs() / "api.md"
        text = document()
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            raise CommandError("docs/api.md is out of date. Run: python manage.py api_docs")


def document() -> str:
    """The whole of docs/api.md."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    operations = [
        (path, method, operations[method])
        for path, operations in schema["paths"].items()
        for method in METHODS
        if method in operations
    ]
    areas = list(dict.fromkeys(operation["tags"][0] for _, _, operation in operations))
    parts = [(_docs() / INTRODUCTION).read_text(encoding="utf-8").rstrip(), _overview(areas, operations)]
    for area in areas:
        parts.append(f"## {area.capitalize()}")
        parts += [
            _operation(path, method, operation)
            for path, method, operation in operations
            if operation["tags"][0] == area
        ]
    parts.append("## Shapes")
    parts += [_shape(name, shape) for name, shape in sorted(schema["components"]["schemas"].items()) if _told(name)]
    return "\n\n".join(parts) + "\n"


def _docs() -> Path:
    return Path(settings.BASE_DIR) / "docs"


def _overview(areas: list[str], operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    lines = ["## All endpoints", "", "| area | endpoint | what it does |", "|---|---|---|"]
    for area in areas:
        lines += [
            f"| {area} | `{method.upper()} {path.removeprefix(PREFIX)}` | {operation['summary']} |"
            for path, method, operation in operations
            if operation["tags"][0] == area
        ]
    return "\n".join(lines)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    lines = [f"### {method.upper()} {path.removeprefix(PREFIX)}", "", f"{operation['summary']}."]
    if about := operation.get("description"):
        lines += ["", about.strip()]
    if parameters := operation.get("parameters"):
        lines += ["", "| parameter | in | type | |", "|---|---|---|---|"]
        lines += [_parameter(parameter) for parameter in parameters]
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        lines += ["", f"Body ({kind}): {_type(content['schema'])}"]
    lines += [""] + [_answer(code, answer) for code, answer in operation["responses"].items() if code != "default"]
    return "\n".join(lines)


def _parameter(parameter: dict[str, Any]) -> str:
    need = "required. " if parameter.get("required") and parameter["in"] != "path" else ""
    about = _about(parameter)
    schema = parameter["schema"]
    default = f" Default: {schema['default']}." if schema.get("default") not in (None, "") else ""
    return f"| `{parameter['name']}` | {parameter['in']} | {_type(schema)} | {need}{about}{default} |".replace(
        "  ", " "
    )


def _answer(code: str, answer: dict[str, Any]) -> str:
    shapes = [
        f"{_type(content['schema'])}{'' if kind == 'application/json' else f' ({kind})'}"
        for kind, content in answer.get("content", {}).items()
    ]
    about = f" – {answer['description']}" if answer.get("description") else ""
    return f"- {code}: {' or '.join(shapes) or 'nothing'}{about}"


def _shape(name: str, shape: dict[str, Any]) -> str:
    lines = [f"### {name}", ""]
    if about := shape.get("description"):
        lines += [about.strip(), ""]
    required = set(shape.get("required", []))
    request = name.endswith("Request")
    lines += ["| field | type | |", "|---|---|---|"]
    for field, schema in shape.get("properties", {}).items():
        need = "required. " if request and field in required else ""
        lines.append(f"| `{field}` | {_type(schema)} | {need}{_about(schema)} |".replace("  ", " "))
    return "\n".join(lines)


def _about(described: dict[str, Any]) -> str:
    """The description on one line, without the list of choices, which the type tells."""
    return re.split(r"(?:^|\s)\* `", str(described.get("description", "")))[0].replace("\n", " ").strip()


def _told(name: str) -> bool:
    return not name.endswith("Enum") and not name.startswith("Paginated")


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words, with links to shapes."""
    if reference := schema.get("$ref", ""):
        return _link(reference.rpartition("/")[2])
    options = schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf")
    if options:
        shown = [
            _type(option) for option in options if "BlankEnum" not in str(option) and "NullEnum" not in str(option)
        ]
        return " or ".join(dict.fromkeys(shown)) + (" or null" if schema.get("nullable") else "")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value not in (None, ""))
    kind = schema.get("format") or schema.get("type") or "any"
    kind = {"double": "number", "int64": "integer", "date-time": "time", "binary": "file", "uri": "text"}.get(
        kind, kind
    )
    kind = "text" if kind == "string" else kind
    if kind == "array":
        kind = f"list of {_type(schema['items'])}"
    return kind + (" or null" if schema.get("nullable") else "")


def _link(name: str) -> str:
    if name.endswith("Enum"):
        return "text"
    if name.startswith("Paginated"):
        return f"page of {_link(name.removeprefix('Paginated').removesuffix('List'))}"
    return f"[{name}](#{name.lower()})"
