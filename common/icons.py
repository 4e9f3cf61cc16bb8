"""The hub's icons: outlines on a grid of 24, drawn inline so that a page needs no request for them."""

from __future__ import annotations

from functools import cache

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

_PLAY = "M7 4.5v15l12-7.5z"
# Name -> one SVG path. Circles are two arcs, so that a path is all there is.
PATHS: dict[str, str] = {
    "activity": "M3 12h4l3-8 4 16 3-8h4",
    "alert-triangle": "M12 4 2.8 19.5h18.4zM12 10v4M12 17v.01",
    "archive": "M4 4h16v4H4zM6 8v12h12V8M10 12h4",
    "arrow-down": "M12 5v14M6 13l6 6 6-6",
    "arrow-left": "M19 12H5M11 6l-6 6 6 6",
    "arrow-right": "M5 12h14M13 6l6 6-6 6",
    "arrow-top": "M5 4h14M12 20V8M6 14l6-6 6 6",
    "arrow-up": "M12 19V5M6 11l6-6 6 6",
    "bolt": "M13 3 5 14h6l-1 7 8-11h-6z",
    "box": "M12 3l8 4.5v9L12 21l-8-4.5v-9zM12 12l8-4.5M12 12v9M12 12 4 7.5",
    "chart": "M4 4v16h16M8 15l3-4 3 2 5-7",
    "check": "M5 12.5l4.5 4.5L19 7.5",
    "chevron-down": "M6 9l6 6 6-6",
    "chevron-right": "M9 6l6 6-6 6",
    "circle": "M4 12a8 8 0 1 0 16 0a8 8 0 1 0-16 0",
    "clock": "M3.5 12a8.5 8.5 0 1 0 17 0a8.5 8.5 0 1 0-17 0M12 7v5l3 2",
    "contrast": "M4 12a8 8 0 1 0 16 0a8 8 0 1 0-16 0M12 4v16M15 6v12",
    "copy": "M8 8h12v12H8zM16 8V4H4v12h4",
    "cpu": "M6 6h12v12H6zM10 10h4v4h-4zM9 6V3M15 6V3M9 21v-3M15 21v-3M6 9H3M6 15H3M21 9h-3M21 15h-3",
    "dashboard": "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",
    "database": "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3z"
    "M4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
    "dots": "M5 12v.01M12 12v.01M19 12v.01",
    "download": "M12 4v11M7 11l5 5 5-5M4 20h16",
    "edit": "M4 20h4L19 9l-4-4L4 16zM13.5 6.5l4 4",
    "external": "M10 5H5v14h14v-5M14 4h6v6M20 4l-9 9",
    "file": "M6 3h8l4 4v14H6zM14 3v4h4",
    "filter": "M4 5h16l-6 8v6l-4 2v-8z",
    "flag": "M5 21V4h14l-3 5 3 5H5",
    "folder": "M3 6h6l2 3h10v11H3z",
    "hash": "M5 9h14M5 15h14M10 4 8 20M16 4l-2 16",
    "history": "M4 12a8 8 0 1 1 2.5 5.8M4 20v-5h5M12 8v4l3 2",
    "hourglass": "M6 3h12M6 21h12M7 3c0 5 4 6.5 4 9s-4 4-4 9M17 3c0 5-4 6.5-4 9s4 4 4 9",
    "image": "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 4M15 9v.01",
    "info": "M3.5 12a8.5 8.5 0 1 0 17 0a8.5 8.5 0 1 0-17 0M12 11v5M12 8v.01",
    "lock": "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
    "key": "M4 15a4 4 0 1 0 8 0a4 4 0 1 0-8 0M11 12l8-8M16 7l3 3",
    "lineage": "M4 4h6v5H4zM14 15h6v5h-6zM14 4h6v5h-6zM10 6.5h4M7 9v8.5h7",
    "list": "M9 6h11M9 12h11M9 18h11M4 6v.01M4 12v.01M4 18v.01",
    "logout": "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
    "menu": "M4 6h16M4 12h16M4 18h16",
    "moon": "M12 3a7 7 0 0 0 9 9 9 9 0 1 1-9-9z",
    "pause": "M8 5v14M16 5v14",
    "play": _PLAY,
    "player-pause": "M8 5v14M16 5v14",
    "player-play": _PLAY,
    "plus": "M12 5v14M5 12h14",
    "queue": "M4 5h16v4H4zM4 12h10M4 17h10M18 12v7M15.5 16.5 18 19l2.5-2.5",
    "refresh": "M20 11a8 8 0 0 0-14.5-4L3 9.5M3 4v5.5h5.5M4 13a8 8 0 0 0 14.5 4l2.5-2.5M21 20v-5.5h-5.5",
    "search": "M4 10.5a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0-13 0M15.5 15.5 21 21",
    "server": "M4 4h16v7H4zM4 13h16v7H4zM8 7.5v.01M8 16.5v.01",
    "settings": "M4 7h9M17 7h3M13 5v4M4 17h3M11 17h9M7 15v4M4 12h13M20 12h0",
    "snow": "M12 3v18M4 7.5l16 9M20 7.5l-16 9",
    "spark": "M12 3v5M12 16v5M3 12h5M16 12h5M6 6l3 3M15 15l3 3M18 6l-3 3M9 15l-3 3",
    "stop": "M6 6h12v12H6z",
    "sun": "M8 12a4 4 0 1 0 8 0a4 4 0 1 0-8 0M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4"
    "M17.6 17.6 19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
    "terminal": "M5 7l5 5-5 5M12 18h7",
    "text": "M5 5h14M12 5v14M9 19h6",
    "trash": "M4 7h16M10 11v6M14 11v6M6 7l1 13h10l1-13M9 7V4h6v3",
    "trend": "M3 17l6-6 4 4 8-9M15 6h6v6",
    "upload": "M12 20V8M7 12l5-5 5 5M4 4h16",
    "user": "M8 8a4 4 0 1 0 8 0a4 4 0 1 0-8 0M4 21c0-4 3.5-6 8-6s8 2 8 6",
    "users": "M5 8a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0M2 20c0-4 3-5.5 6.5-5.5S15 16 15 20"
    "M16 5a3.5 3.5 0 0 1 0 6.5M18 14.8c2.5.7 4 2.2 4 5.2",
    "x": "M6 6l12 12M18 6 6 18",
}  # fmt: skip


@cache
def svg(name: str) -> SafeString:
    """The icon as SVG, hidden from screen readers: the word beside it says what it means."""
    return format_html(
        '<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="{}"/></svg>',
        mark_safe(PATHS.get(name, PATHS["circle"])),
    )
