"""What templates say about models, versions and their figures."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from common.icons import svg
from engine.catalogue import RECIPES, config_class
from registry.models import ModelVersion

register = template.Library()

LOOKS = {
    ModelVersion.Status.READY: ("green", "check"),
    ModelVersion.Status.PROCESSING: ("blue", "hourglass"),
    ModelVersion.Status.FAILED: ("red", "alert-triangle"),
}
# What tells most about a version, best first; two of them stand in lists.
KEY_METRICS = ("validation/accuracy", "test/accuracy", "validation/loss", "test/loss", "train/loss")
PARTS = {"train": "Training", "validation": "Validation", "test": "Test"}


@register.simple_tag
def version_badge(version: ModelVersion) -> SafeString:
    colour, icon = LOOKS[ModelVersion.Status(version.status)]
    word = version.get_status_display()
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.filter
def recipe_title(name: str) -> str:
    return RECIPES[name].title if name in RECIPES else name


@register.filter
def key_metrics(metrics: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """The one or two figures that tell most."""
    metrics = metrics or {}
    known = [(name, metrics[name]) for name in KEY_METRICS if name in metrics]
    return (known or list(metrics.items()))[:2]


@register.filter
def metric_title(name: str) -> str:
    """'validation/accuracy' as 'Validation accuracy'."""
    part, slash, quantity = name.partition("/")
    words = f"{PARTS.get(part, part)} {quantity}" if slash else part
    words = words.replace("_", " ").replace("/", " ").strip()
    return words[:1].upper() + words[1:]


@register.filter
def ordered(metrics: dict[str, Any] | None) -> list[tuple[str, Any]]:
    """All figures, those that tell most first."""
    metrics = metrics or {}
    known = [(name, metrics[name]) for name in KEY_METRICS if name in metrics]
    return known + sorted((name, value) for name, value in metrics.items() if name not in KEY_METRICS)


@register.filter
def titled(config: dict[str, Any], recipe: str) -> list[tuple[str, str]]:
    """A configuration as (title, value) in the order of its form; settings of an older recipe come last."""
    fields = config_class(recipe).model_fields if recipe in RECIPES else {}
    known = [(field.title or name, in_words(config[name])) for name, field in fields.items() if name in config]
    return known + [(name, in_words(value)) for name, value in config.items() if name not in fields]


@register.filter
def in_words(value: object) -> str:
    """A setting's value in words."""
    if value is None or value == "":
        return wording.NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
