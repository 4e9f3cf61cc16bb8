"""What templates say everywhere: icons, badges, figures, times, links that keep the filters."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.core.paginator import Page
from django.http import HttpRequest
from django.template.base import FilterExpression, Parser, Token
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from common import wording
from common.icons import svg
from common.numbers import sane

register = template.Library()
register.filter("duration", wording.duration)
register.filter("size", wording.size)
register.filter("number", wording.number)
register.filter("percent", wording.percent)
register.filter("brief", wording.brief)


@register.simple_tag
def icon(name: str) -> SafeString:
    """An outline icon; it is decoration, so a word must stand beside it."""
    return svg(name)


@register.simple_tag
def badge(colour: str, icon_name: str, word: str, test_id: str = "") -> SafeString:
    """A status: icon, word and colour, so that colour alone tells nothing."""
    attribute = format_html(' data-testid="{}"', test_id) if test_id else ""
    return format_html(
        '<span class="state state-{}"{}>{}<span>{}</span></span>', colour, attribute, svg(icon_name), word
    )


@register.simple_tag
def moment(value: datetime | None, prefix: str = "") -> SafeString:
    """How long ago, with the exact time on hover; `clock.js` keeps it true and shows the viewer's zone. The prefix
    "since" says how long something has lasted: for 14 s."""
    if value is None:
        return format_html('<span class="text-secondary">{}</span>', wording.NOTHING)
    exact = timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S %Z")
    return format_html(
        '<time class="moment" datetime="{}" title="{}"{}>{}{}</time>',
        value.isoformat(timespec="seconds"), exact, format_html(' data-prefix="{}"', prefix) if prefix else "",
        "" if prefix in ("", "since") else f"{prefix} ",
        wording.lasting(value) if prefix == "since" else wording.ago(value),
    )  # fmt: skip


@register.simple_tag
def ticking(seconds: float, since: datetime | None, before: float = 0) -> SafeString:
    """Elapsed time, `seconds` now. While something runs `since` a moment, after `before` seconds of earlier
    running, the browser's clock counts on."""
    if since is None:
        return format_html("<span>{}</span>", wording.duration(seconds))
    started = round(1000 * (since.timestamp() - before))
    return format_html('<span class="ticking" data-started="{}">{}</span>', started, wording.duration(seconds))


@register.filter
def metric(value: float | None, name: str) -> str:
    return wording.metric(name, value)


@register.filter
def humane(name: object) -> str:
    """A technical name as words: checkpoint_saved -> Checkpoint saved."""
    words = str(name).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


@register.filter
def item(mapping: dict[str, Any], key: str) -> Any:
    """The value under a key that is only known at run time; None when absent."""
    return mapping.get(key) if mapping else None


@register.filter
def share(part: float | None, whole: float | None) -> float:
    """Part of a whole in percent, for bars; 0 when there is no whole."""
    return round(100 * part / whole, 1) if part and whole else 0


@register.simple_tag(takes_context=True)
def query(context: RequestContext, **changes: Any) -> str:
    """The present address's query with some parameters changed; None or '' removes one. Pages start anew."""
    request: HttpRequest = context["request"]
    parameters = request.GET.copy()
    if "page" not in changes:
        parameters.pop("page", None)
    for name, value in changes.items():
        parameters.pop(name, None)
        if value not in (None, ""):
            parameters[name] = str(value)
    return f"?{parameters.urlencode()}" if parameters else "?"


@register.inclusion_tag("parts/sort.html", takes_context=True)
def sort(context: RequestContext, key: str, label: str) -> dict[str, Any]:
    """A column's title that sorts by it; pressed again, the other way round."""
    present = context.get("ordering", "")
    descending = present == f"-{key}"
    return {
        "label": label,
        "url": query(context, sort=key if descending else f"-{key}"),
        "direction": "descending" if descending else "ascending" if present == key else "",
    }


@register.simple_tag
def elided(page: Page) -> list[int | str]:
    """Page numbers around the present one, with gaps."""
    return list(page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1))


@register.simple_tag(takes_context=True)
def here(context: RequestContext, *prefixes: str) -> str:
    """aria-current for the navigation entry that the present page lies under; a view may say another `section`."""
    path = context.get("section") or (context["request"].path if "request" in context else "")
    inside = any(path == prefix or (prefix != "/" and path.startswith(f"{prefix}/")) for prefix in prefixes)
    return SafeString(' aria-current="page"') if inside else ""


@register.simple_tag
def now_ms() -> int:
    """The server's time in milliseconds, for the page's clocks."""
    return int(1000 * timezone.now().timestamp())


@register.inclusion_tag("parts/theme_button.html", takes_context=True)
def theme_button(context: RequestContext, value: str, icon_name: str, label: str) -> dict[str, Any]:
    request = context["request"]
    token = context.get("csrf_token")
    return {"value": value, "icon_name": icon_name, "label": label, "request": request, "csrf_token": token}


@register.inclusion_tag("parts/sparkline.html")
def sparkline(values: list[float], label: str) -> dict[str, Any]:
    """A line through the values on a field of 100 × 24; nothing for fewer than two."""
    values = [value for value in values if sane(value) is not None]
    if len(values) < 2:
        return {"points": "", "label": label}
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    step = 100 / (len(values) - 1)
    points = " ".join(f"{i * step:.1f},{22 - 20 * (value - low) / spread:.1f}" for i, value in enumerate(values))
    return {"points": points, "label": label}


class FieldNode(template.Node):
    """See `field`."""

    def __init__(self, key: FilterExpression, name: str, inside: template.NodeList) -> None:
        self.key, self.name, self.inside = key, name, inside

    def render(self, context: template.Context) -> SafeString:
        rule = (context.get("rules") or {}).get(self.key.resolve(context), "")
        inside = self.inside.render(context)
        name = format_html(' class="{}"', self.name) if self.name else ""
        if rule == "locked":
            hint = format_html('<div class="form-hint ruled">{}<span>Locked by the template</span></div>', svg("lock"))
            box = '<fieldset{} disabled aria-label="Locked by the template" data-rule="locked">{}{}</fieldset>'
            return format_html(box, name, inside, hint)
        if rule == "required":
            hint = format_html('<div class="form-hint ruled">{}<span>To be filled in</span></div>', svg("edit"))
            return format_html('<div{} data-rule="required">{}{}</div>', name, inside, hint)
        return format_html("<div{}>{}</div>", name, inside)


@register.tag
def field(parser: Parser, token: Token) -> FieldNode:
    """{% field key "class" %}…{% endfield %}: a field of a form in its box. `rules` (key → rule) may lock it, or ask
    for it; the class may be left out."""
    _, key, *name = token.split_contents()
    inside = parser.parse(("endfield",))
    parser.delete_first_token()
    return FieldNode(parser.compile_filter(key), name[0].strip('"') if name else "", inside)
