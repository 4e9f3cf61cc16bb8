"""What open pages are told of alerts: how many want attention, each new one as a toast, and the lists of them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.template.loader import render_to_string

from common.errors import NotFoundError
from common.pages import partial
from common.push import Message
from jobs.live import Fragments
from performance.alerts.access import open_for
from performance.alerts.looking import box, count
from performance.models import Alert, Severity

TOASTS = 3  # at once; more are told by their number


class AlertsSource:
    """One person's alerts. Told beside every page's own stream; `page` says what else that page shows of them."""

    pace = 1.0

    def __init__(self, user: Any, page: str) -> None:
        self.user, self.page = user, page
        self.channel = f"alerts.{user.pk}.{page}"
        self.topics = ("alerts",)
        self.fragments = Fragments()
        self.known: int | None = None

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> AlertsSource:
        if isinstance(user, AnonymousUser):
            raise NotFoundError("There are no alerts for you.", "Sign in first.")
        return cls(user, {"list": "list", "dashboard": "box"}.get(key, "any"))

    def snapshot(self) -> list[Message]:
        """The state alone: who opens a page sees on it what there was before."""
        self.fragments = Fragments()
        if self.known is None:
            self.known = self._newest()
        return self.fragments.changed(self._parts())

    def update(self) -> list[Message]:
        messages = self.fragments.changed(self._parts())
        fresh = list(open_for(self.user).filter(pk__gt=self.known or 0).order_by("-pk")[:50])
        if fresh:
            self.known = fresh[0].pk
            messages.append(Message(None, partial("#toasts", _toasts(fresh), "beforeend")))
        return messages

    def _newest(self) -> int:
        return int(Alert.objects.order_by("-pk").values_list("pk", flat=True).first() or 0)

    def _parts(self) -> dict[str, str]:
        parts = {"alert-mark": render_to_string("performance/_alert_mark.html", {"open_alerts": count(self.user)})}
        if self.page == "list":
            parts["alerts-active"] = render_to_string("performance/_alerts_active.html", box(self.user, 100))
        if self.page == "box":
            parts["dash-alerts"] = render_to_string("performance/_alerts_box.html", box(self.user))
        return parts


def _toasts(fresh: list[Alert]) -> str:
    worst = any(alert.severity == Severity.CRITICAL for alert in fresh)
    context = {"alerts": fresh if len(fresh) <= TOASTS else [], "many": len(fresh), "worst": worst}
    return render_to_string("performance/_alert_toasts.html", context)
