"""How a page looks to whoever sees it, and to axe."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError

# Its only rule of WCAG 2.2 runs when the tags are named, and not otherwise.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# Wide and narrow, in light and in dark colours; that nothing is wider than a window of 320 px, too.
LOOKS = [("light", 1280), ("dark", 360)]
NARROWEST = 320
WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
BEYOND = """() => [...document.querySelectorAll('body *')]
    .filter((part) => part.getBoundingClientRect().right > document.documentElement.clientWidth)
    .filter((part) => !part.closest('.table-frame, pre, svg')).slice(-3).map((part) => part.outerHTML.slice(0, 200))"""
OPEN = "() => document.querySelectorAll('main details').forEach((part) => { part.open = true; })"


def faults(page, within=None):
    """What axe finds, a line for each element; `within`: in that part of the page alone."""
    found = Axe().run(
        page, context=within, options={"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    )
    return [
        f"{page.url}: {fault['id']}: {node['html'][:160]}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]


def too_wide(page, widths):
    """What makes a page scroll sideways in windows of these widths, once charts have followed the change."""
    found = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        try:
            page.wait_for_function(f"() => ({WIDER})() <= 0", timeout=3000)
        except TimeoutError:
            wide, parts = page.evaluate(WIDER), page.evaluate(BEYOND)
            found.append(f"{page.url}: {wide} px wider than the window of {width} px: {parts}")
    return found


def look_at(page, address, colours, width):
    """Open an address in such a window; what is folded away is looked at, too."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=colours)
    page.goto(address)
    page.wait_for_load_state("load")
    page.evaluate(OPEN)
