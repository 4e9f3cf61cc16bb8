"""Drawing the blocks of a report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from common import wording
from common.icons import svg
from engine.report import AnyBlock, Bars, Figure, Lines, Matrix, Table
from registry import plots
from registry.models import ModelVersion

register = template.Library()
register.filter("figure", plots.figure)


@register.simple_tag
def draw(part: AnyBlock, key: object, version: ModelVersion | None = None, most: int | None = None) -> SafeString:
    """One block of a report; `key` makes the ids of its elements, `version` has the files of its pictures. The
    table of a chart has `most` rows at most."""
    context: dict[str, Any] = {"block": part, "key": key, "version": version}
    if isinstance(part, Lines):
        context["plot"] = plots.plot(part, most)
        context["stretch_names"] = list(dict.fromkeys(stretch.name for stretch in part.stretches))[:6]
    elif isinstance(part, Bars):
        context["bars"] = plots.bars(part)
    elif isinstance(part, Matrix):
        context |= {"grid": plots.matrix(part), "named": list(zip(part.labels, part.counts, strict=False))}
    elif isinstance(part, Table):
        context["numeric"] = _numeric(part)
    return render_to_string(f"registry/report/{part.kind}.html", context)


@register.simple_tag
def cells(rows: Sequence[Sequence[str]]) -> SafeString:
    """The rows of a table of figures, put together at once: behind a chart of days lie thousands of cells."""
    between = '</td><td class="num">'
    return mark_safe("".join(f'<tr><td class="num">{between.join(map(escape, row))}</td></tr>' for row in rows))


@register.simple_tag
def draw_answer(part: AnyBlock, answer: int, number: int) -> SafeString:
    """A block of what a model answered."""
    return draw(part, f"answer-{answer}-{number}")


@register.filter
def shown(value: float | None, name: str) -> str:
    """A figure as its name suggests: 'Accuracy' in percent."""
    return plots.figure(value) if value is None else wording.metric(name.lower().replace(" ", "_"), value)


@register.simple_tag
def verdict(entry: Figure) -> SafeString:
    """Whether a figure is better than its baseline: icon, word, colour."""
    if entry.value is None or entry.baseline is None or entry.better is None:
        return format_html("{}", plots.NOTHING)
    if entry.value == entry.baseline:
        return format_html("the same")
    better = (entry.value > entry.baseline) == (entry.better == "higher")
    colour, icon, word = ("green", "check", "better") if better else ("red", "alert-triangle", "worse")
    return format_html('<span class="state state-{}">{}<span>{}</span></span>', colour, svg(icon), word)


def _numeric(table: Table) -> set[int]:
    """The columns that hold figures and no words."""
    held = [[row[place] for row in table.rows if place < len(row)] for place in range(len(table.columns))]
    return {
        place
        for place, values in enumerate(held)
        if any(value is not None for value in values) and not any(isinstance(value, str) for value in values)
    }
