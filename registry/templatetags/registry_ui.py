"""What templates say about models, versions and their figures."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.icons import svg
from engine.catalogue import RECIPES, config_class
from registry import figures
from registry.models import ModelVersion

register = template.Library()

LOOKS = {
    ModelVersion.Status.READY: ("green", "check"),
    ModelVersion.Status.PROCESSING: ("blue", "hourglass"),
    ModelVersion.Status.FAILED: ("red", "alert-triangle"),
}
register.filter("metric_title", figures.title)
register.filter("figures", figures.shown)


@register.simple_tag
def version_badge(version: ModelVersion) -> SafeString:
    colour, icon = LOOKS[ModelVersion.Status(version.status)]
    word = version.get_status_display()
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.filter
def recipe_title(name: str) -> str:
    return RECIPES[name].title if name in RECIPES else name


@register.filter
def key_metrics(metrics: dict[str, Any] | None, recipe: str = "") -> list[tuple[str, Any]]:
    """The one or two figures that tell most."""
    known = metrics or {}
    return [(name, known[name]) for name in figures.headlines(known, recipe, 2)]


@register.filter
def titled(config: dict[str, Any], recipe: str) -> list[tuple[str, str]]:
    """A configuration as (title, value) in the order of its form; settings of an older recipe come last."""
    fields = config_class(recipe).model_fields if recipe in RECIPES else {}
    known = [(field.title or name, in_words(config[name])) for name, field in fields.items() if name in config]
    return known + [(name, in_words(value)) for name, value in config.items() if name not in fields]


@register.filter
def in_words(value: object) -> str:
    """A setting's value in words."""
    if value is None or value == "" or value == [] or value == {}:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"  # what was typed, without the last digits of its binary form
    if isinstance(value, list | tuple):
        return ", ".join(in_words(entry) for entry in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {in_words(entry)}" for name, entry in value.items())
    return str(value)
