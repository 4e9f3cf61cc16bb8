"""What templates say about models, versions and their figures."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common.access import User
from common.icons import PATHS, svg
from engine.catalogue import RECIPES, config_class
from registry import figures
from registry.access import owns
from registry.models import Model, ModelVersion, PromotionRequest
from registry.models.aliases import Name
from registry.promotion import approvers

register = template.Library()

LOOKS = {
    "ready": ("green", "check"),
    "processing": ("blue", "hourglass"),
    "failed": ("red", "alert-triangle"),
    "damaged": ("red", "alert-triangle"),
    "archived": ("secondary", "archive"),
    "deleted": ("secondary", "trash"),
}
register.filter("metric_title", figures.title)
register.filter("figures", figures.shown)
register.filter("why_not_counted", approvers.why_not)


@register.filter
def kept_by(model: Model, user: User) -> bool:
    """Whether somebody may see the jobs and data of a model, not the model alone."""
    return owns(user, model)


# Names of versions: colour and icon, beside the word.
NAMES = {Name.CHAMPION: ("green", "flag"), Name.CHALLENGER: ("azure", "arrow-top")}


@register.simple_tag
def name_badge(name: str) -> SafeString:
    colour, icon = NAMES[Name(name)]
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), Name(name).label)


PROMOTIONS = {"open": ("yellow", "hourglass"), "granted": ("green", "check"), "refused": ("red", "x"),
              "withdrawn": ("grey", "arrow-left")}  # fmt: skip


@register.simple_tag
def promotion_badge(promotion: PromotionRequest) -> SafeString:
    colour, icon = PROMOTIONS[promotion.status]
    word = promotion.get_status_display()
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.simple_tag
def version_badge(version: ModelVersion) -> SafeString:
    colour, icon = LOOKS[version.standing]
    word = version.standing.capitalize()
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


@register.simple_tag
def standing_mark(standing: str) -> SafeString:
    """The badge of a version of which only its standing is known; nothing for one that is ready."""
    if standing in ("", "ready"):
        return SafeString("")
    colour, icon = LOOKS[standing]
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), standing)


@register.filter
def icon_path(name: str) -> str:
    """An icon's outline, to be drawn inside another picture."""
    return PATHS.get(name, PATHS["circle"])


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
