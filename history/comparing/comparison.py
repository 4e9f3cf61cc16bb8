"""Runs side by side: what differs in what went in, what came out, and what has to be known to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from engine.catalogue import RECIPES
from history.comparing import figures, items, tables
from history.comparing.figures import Figure
from history.comparing.items import ItemChanges
from history.comparing.runs import Run, of_version
from history.comparing.tables import Table
from jobs.models import Job
from registry.models import ModelVersion


@dataclass(frozen=True)
class Comparison:
    """Everything about some runs that differs. `notes` are sentences on how far they can be compared at all."""

    runs: list[Run]
    settings: Table
    data: Table
    environment: Table
    course: Table
    figures: list[Figure]
    items: list[ItemChanges]
    notes: list[str]

    @property
    def sampled(self) -> bool:
        """Whether there are figures whose values on the way are of a sample."""
        return any(figure.sample and any(figure.best) for figure in self.figures)

    @property
    def tables(self) -> list[tuple[str, str, Table]]:
        """(key, title, table), as pages show them."""
        return [
            ("settings", "Settings", self.settings), ("data", "Data", self.data),
            ("environment", "Environment", self.environment), ("course", "Course", self.course),
        ]  # fmt: skip


def compare(runs: Sequence[Run]) -> Comparison:
    """All of it, in a handful of queries."""
    return Comparison(
        runs=list(runs),
        settings=tables.settings(runs),
        data=tables.data(runs),
        environment=tables.environment(runs),
        course=tables.course(runs),
        figures=figures.figures(runs),
        items=items.changes(runs),
        notes=_notes(runs),
    )


def since_before(version: ModelVersion, user: AbstractBaseUser) -> Comparison | None:
    """A version beside the one before it of the same model; None for the first."""
    rows = ModelVersion.objects.select_related("model", "dataset_version__dataset", "base_version__model")
    earlier = rows.filter(model_id=version.model_id, number__lt=version.number, status=ModelVersion.Status.READY)
    before = earlier.order_by("-number").first()
    if before is None:
        return None
    ids = {one.source_job_id for one in (before, version) if one.source_job_id}
    related = ("dataset_version__dataset", "base_version__model", "model_version__model")
    jobs = {job.pk: job for job in visible(Job.objects.filter(pk__in=ids).select_related(*related), user)}
    return compare([of_version(one, jobs.get(one.source_job_id or 0)) for one in (before, version)])


def _notes(runs: Sequence[Run]) -> list[str]:
    told = []
    recipes = list(dict.fromkeys(run.recipe for run in runs))
    if len(recipes) > 1:
        names = ", ".join(RECIPES[name].title if name in RECIPES else name for name in recipes)
        told.append(f"These runs are of different recipes ({names}): only what all of them have is compared.")
    if figures.on_other_items(runs):
        told.append(
            "They were not trained on the same data, so their figures were measured on different items: none is marked "
            "as the better one."
        )
    if going := sum(run.job is not None and run.job.is_active for run in runs):
        words = "has not ended: what is shown of it" if going == 1 else "have not ended: what is shown of them"
        told.append(f"{going} of them {words} will change.")
    return told
