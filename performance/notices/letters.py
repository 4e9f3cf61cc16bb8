"""A notice as a letter: what happened, where to look, why one gets it and how to end that."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from performance.models import Delivery


def written(delivery: Delivery) -> tuple[str, str]:
    """Title and text."""
    payload = delivery.payload
    lines = [payload["words"]] if "words" in payload else []
    lines += [_line(alert) for alert in payload.get("alerts", [])]
    if payload.get("more"):
        lines.append(f"And {payload['more']:,} more.")
    if "url" in payload:
        lines.append(payload["url"])
    return " ".join(payload.get("title", "A notice that is tried").split())[:300], "\n\n".join([*lines, _why(delivery)])


def settings_url() -> str:
    """Where a person says what they want to be told."""
    return f"{settings.TRAINHUB_URL}/settings/notifications"


def _line(alert: dict[str, Any]) -> str:
    return f"{alert['severity']}: {alert['title']}\n{alert['words']}\n{alert['url']}"


def _why(delivery: Delivery) -> str:
    rule = delivery.payload.get("rule")
    why = f"the rule '{rule['name']}' names" if rule else "somebody tries"
    return f"--\nYou get this because {why} the channel '{delivery.channel}'. To end that: {settings_url()}"
