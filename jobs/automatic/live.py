"""What the page of automatic training shows and is told: how far it is, and what was started."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

from common.access import get_visible
from common.push import Message
from jobs import runs
from jobs.automatic import settings, threshold
from jobs.live import Fragments
from jobs.models import AutomaticTraining

PARTS = {"automatic-next": "jobs/_automatic_next.html", "automatic-past": "jobs/_automatic_past.html"}


def standing(rule: AutomaticTraining) -> dict[str, Any]:
    """How far the next fine-tuning is, and the newest ones."""
    made = settings.fine_tunings(rule)
    pages = runs.recorded([one.session_id for one in made])
    shown = [{"made": one, "session": pages.get(one.session_id)} for one in made]
    return {"rule": rule, "bar": threshold.bar(rule), "fine_tunings": shown}


class AutomaticSource:
    """The settings of a person or subject, as they stand."""

    pace = 1.0

    def __init__(self, rule: AutomaticTraining) -> None:
        self.pk = rule.pk
        self.channel = f"automatic.{rule.pk}"
        self.topics = (f"jobs.{rule.owner_id}", f"history.{rule.owner_id}")
        self.fragments = Fragments()

    @classmethod
    def open(cls, user: Any, key: str, query: dict[str, str]) -> AutomaticSource:
        return cls(get_visible(AutomaticTraining.objects.all(), user, pk=key))

    def snapshot(self) -> list[Message]:
        self.fragments = Fragments()
        return self.update()

    def update(self) -> list[Message]:
        rule = AutomaticTraining.objects.select_related("dataset", "subject").filter(pk=self.pk).first()
        if rule is None:
            return []
        context = standing(rule)
        return self.fragments.changed({key: render_to_string(name, context) for key, name in PARTS.items()})
