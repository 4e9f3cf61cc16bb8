"""Sessions as a list shows them, each with its headline metric beside that of the version before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Q

from common import wording
from history.facts import higher_is_better
from history.models import Session
from registry.models import ModelVersion


@dataclass(frozen=True)
class Headline:
    """A session's headline metric; `before` is that of the version before, None where there is none."""

    name: str
    value: float
    before: float | None
    number: int | None
    higher_is_better: bool

    @property
    def better(self) -> bool | None:
        """None when it is the same, or nothing stands beside it."""
        if self.before is None or self.before == self.value:
            return None
        return (self.value > self.before) == self.higher_is_better

    @property
    def change(self) -> str:
        """'+1.2 points' for shares, '-0.031' for others."""
        if self.before is None:
            return ""
        change = self.value - self.before
        if wording.is_share(self.name):
            return f"{100 * change:+.1f} points"
        return f"{'+' if change >= 0 else '−'}{wording.number(abs(change))}"


def rows_of(ids: Sequence[int]) -> list[Session]:
    """The sessions with these ids, in their order; each has its `headline`, a Headline or None. Two queries."""
    related = ("user", "model_version__model", "subject")
    found = Session.objects.select_related(*related).defer("user__password").in_bulk(ids)
    sessions = [found[pk] for pk in ids if pk in found]
    before = _versions_before(sessions)
    for session in sessions:
        session.headline = _headline(session, before)  # type: ignore[attr-defined]
    return sessions


def _versions_before(sessions: Sequence[Session]) -> dict[tuple[int, int], dict[str, object]]:
    """Metrics by (model, number) of the versions that came before those of the sessions."""
    made = [session.model_version for session in sessions if session.model_version and session.metric]
    wanted = [Q(model=version.model_id, number=version.number - 1) for version in made if version.number > 1]
    if not wanted:
        return {}
    found = ModelVersion.objects.filter(reduce(or_, wanted)).values_list("model_id", "number", "metrics")
    return {(model, number): metrics for model, number, metrics in found}


def _headline(session: Session, before: dict[tuple[int, int], dict[str, object]]) -> Headline | None:
    if session.metric_value is None:
        return None
    version = session.model_version
    number = version.number - 1 if version else 0
    known = before.get((version.model_id, number), {}).get(session.metric) if version else None
    value = float(known) if isinstance(known, int | float) else None
    return Headline(
        session.metric, session.metric_value, value, number if value is not None else None,
        higher_is_better(session.recipe, session.metric),
    )  # fmt: skip
