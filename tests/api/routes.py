"""Every address of the API, taken from the resolver, so that a new one can't be forgotten."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.urls import URLPattern, get_resolver

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PLACEHOLDER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    path: str  # such as /api/v1/training/jobs/<int:job_id>
    name: str

    @property
    def placeholders(self) -> list[str]:
        return PLACEHOLDER.findall(self.path)

    @property
    def template(self) -> str:
        """The path as the schema writes it."""
        return PLACEHOLDER.sub(r"{\1}", self.path)

    def address(self, parameters: dict[str, object]) -> str:
        """KeyError when a placeholder is unknown: a new kind of object needs an entry in tests.world."""
        return PLACEHOLDER.sub(lambda found: str(parameters[found[1]]), self.path)


def _walk(patterns, prefix=""):
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield Route(f"/{path}", pattern.name or "")
        else:
            yield from _walk(pattern.url_patterns, path)


def api_routes() -> list[Route]:
    return [route for route in _walk(get_resolver().url_patterns) if route.path.startswith("/api/v1/")]
