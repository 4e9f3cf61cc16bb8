"""Reading experiments for pages and API: from what was counted and put down, never from predictions, however many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.utils import timezone

from common.errors import NotFoundError
from engine.report import Band, Line, Lines, thin
from performance.experiments import ratio, words
from performance.experiments.evidence import ALPHA, width_at
from performance.experiments.looking import arms_of
from performance.experiments.metrics import is_rank, is_share
from performance.experiments.sums import first_id
from performance.models import Experiment, Look
from registry import routing
from registry.access import models_for
from registry.models import Model, ModelVersion, Outcome, Prediction, RouteArm

User = AbstractBaseUser | AnonymousUser
LOOKS = 1000  # the newest that are drawn
DRAWN = 200
DAYS = 7  # by which traffic is told
COUNTED = 100_000  # outcomes or predictions of these days that are counted at most


@dataclass(frozen=True)
class Standing:
    """One arm as people read it."""

    arm: RouteArm
    version: ModelVersion
    answers: bool  # whether it can answer now
    answered: int
    figure: str
    share: float  # of the traffic, 0 to 1
    found: dict[str, Any]  # of the last look; empty of the control, and before the first one
    words: str

    @property
    def named(self) -> bool:
        """Whether it has a name of its own."""
        return self.arm.name != f"v{self.version.number}"


def listed() -> QuerySet[Experiment]:
    """Experiments with what a list shows, in one query, those that run first."""
    running = Case(When(status="running", then=Value(0)), default=Value(1), output_field=IntegerField())
    related = ("model__owner", "started_by", "winner__version__model", "route")
    hidden = ("model__owner__password", "started_by__password")
    return Experiment.objects.select_related(*related).defer(*hidden).annotate(over=running).order_by("over", "-id")


def visible(user: User) -> QuerySet[Experiment]:
    """The experiments of the models that somebody may see."""
    return listed().filter(model__in=models_for(user)) if user.is_authenticated else Experiment.objects.none()


def find(user: User, pk: int | str) -> Experiment:
    """The experiment, if it exists for this person; else NotFoundError."""
    try:
        row = visible(user).filter(pk=pk).first()
    except (ValueError, TypeError, OverflowError):
        row = None
    if row is None:
        raise NotFoundError(f"There is no experiment {str(pk)[:40]} for you.", "Check the address.")
    return row


def version_of(model: Model, pk: int) -> ModelVersion:
    """A version that is to take part; NotFoundError when it is none of this model."""
    version = ModelVersion.objects.select_related("model").filter(model=model, pk=pk).first()
    if version is None:
        raise NotFoundError(f"{model} has no version of the id {pk}.", "Name versions of this very model.")
    return version


def standings(row: Experiment, last: Look | None) -> list[Standing]:
    """Each arm as it stands, the control first."""
    arms = arms_of(row)
    found = {entry["arm"]: entry for entry in last.arms} if last else {}
    whole = sum(answers_of(arm) for arm in arms if not arm.shadow) or 1
    return [
        Standing(
            arm=arm,
            version=arm.version,
            answers=routing.answers(arm),
            answered=answers_of(arm),
            figure=words.figure(row, arm.sums.figure if not arm.control or row.kind == "ab" else _beside(arms)),
            share=0.0 if arm.shadow else answers_of(arm) / whole,
            found=found.get(arm.pk, {}),
            words=_interval(row, found.get(arm.pk, {})),
        )
        for arm in arms
    ]


def looks_of(row: Experiment) -> list[Look]:
    """The newest looks, oldest first."""
    return list(Look.objects.filter(experiment=row)[:LOOKS])[::-1]


def charts(row: Experiment, looks: Sequence[Look], arms: Sequence[RouteArm]) -> list[Lines]:
    """Of each variant how the difference and its interval went, look by look."""
    shown = [looks[place] for place in thin(len(looks), DRAWN)]
    drawn = [_chart(row, shown, arm) for arm in arms if not arm.control]
    return [chart for chart in drawn if chart is not None]


def outcomes_a_day(model: Model) -> float:
    """By the last week; of a busy model by its newest outcomes, so that it costs no more than a quiet one."""
    since = timezone.now() - timedelta(days=DAYS)
    rows = Outcome.objects.filter(model=model, at__gte=since).order_by("-at").values_list("at", flat=True)
    return _rate(rows, lambda at: at.timestamp())


def answers_of(arm: RouteArm) -> int:
    """How many answers an arm gave, at least: they are counted a minute late, and each outcome is of one."""
    return max(arm.sums.answers, arm.sums.outcomes, arm.sums.compared)


def answers_a_day(model: Model) -> float:
    """The same of what it was asked."""
    since = first_id(timezone.now() - timedelta(days=DAYS))
    rows = Prediction.objects.filter(model=model, shadow_of=None, id__gte=since).order_by("-id")
    return _rate(rows.values_list("id", flat=True), lambda id: (id.int >> 80) / 1000)


def visible_difference(row_metric: str, expected: int, variants: int = 1) -> float | None:
    """About the least difference in a share that `expected` outcomes of both sides tell; None for other figures."""
    if not is_share(row_metric):
        return None
    return width_at(0.4, expected, ALPHA / max(1, variants))  # shares between 20 and 80 % spread by 0.4 to 0.5


def trusted(look: Look | None) -> bool | None:
    """Whether keys were divided as the weights say; None when it is not known."""
    return None if look is None or look.ratio_p_value is None else look.ratio_p_value >= ratio.ALPHA


def _rate(rows: QuerySet[Any], seconds: Callable[[Any], float]) -> float:
    """How many a day there were of these, newest first."""
    last = list(rows[COUNTED - 1 : COUNTED])
    if not last:
        return rows.count() / DAYS
    return COUNTED / max(1e-3, (timezone.now().timestamp() - seconds(last[0])) / 86_400)


def _beside(arms: Sequence[RouteArm]) -> float | None:
    """The control's figure on the inputs of its shadows."""
    return next((arm.sums.beside for arm in arms if arm.shadow and arm.sums.beside is not None), None)


def _interval(row: Experiment, found: dict[str, Any]) -> str:
    if not found or found["value"] is None:
        return ""
    if found["low"] is None:
        return words.difference(row, found["value"])
    return f"{words.difference(row, found['value'])} ({words.span(row, found['low'], found['high'])})"


def _chart(row: Experiment, looks: Sequence[Look], arm: RouteArm) -> Lines | None:
    entries = [entry for look in looks for entry in look.arms if entry["arm"] == arm.pk and entry["low"] is not None]
    if len(entries) < 2:
        return None
    points = is_share(row.metric) or is_rank(row.metric)
    scale = 100.0 if points else 1.0
    x = [float(entry["ours"] if arm.shadow else entry["theirs"] + entry["ours"]) for entry in entries]
    lines = [
        Line(name="Difference", values=[scale * entry["value"] for entry in entries]),
        Line(name="No difference", values=[0.0] * len(entries)),
    ]
    if row.margin:
        ends = ((" less", -scale * row.margin), (" more", scale * row.margin))
        lines += [Line(name=f"What matters,{name}", values=[value] * len(entries)) for name, value in ends]
    band = Band(
        name="Where it lies, at all looks together",
        low=[scale * entry["low"] for entry in entries],
        high=[scale * entry["high"] for entry in entries],
    )
    return Lines(
        title=f"{arm.name} less the control",
        note=f"{row.get_metric_display()}: {'higher' if row.higher_is_better else 'lower'} is better. Once the band "
        "has left the line of no difference, there is one.",
        x=x,
        x_label="Pairs" if arm.shadow else "Outcomes of both",
        y_label="Points" if points else "Difference",
        lines=lines,
        bands=[band],
    )
