"""Subjects as the one who wants to train them sees them: what they have, what is in the way, how long it will take.

As many queries for one subject as for ten thousand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.freezing import sizes
from datasets.models import Dataset, EligibilityPolicy, Modality, Subject
from datasets.subjects import eligibility
from datasets.subjects.eligibility import Figures
from engine import catalogue
from jobs import estimates
from jobs.creation import check_config
from jobs.estimates import Estimate
from jobs.models import Job
from jobs.needs import Needs
from jobs.states import ACTIVE, Status

TRAIN_SHARE = 0.9  # of a dataset that is not frozen yet


@dataclass(frozen=True)
class Candidate:
    """A subject, the verdict on it, and what a job of the recipe would be made of."""

    subject: Subject
    policy: EligibilityPolicy
    figures: Figures
    reasons: tuple[str, ...]  # why it is not eligible
    dataset: Dataset | None  # that a job would train on
    obstacle: str  # why no job can start although it is eligible; empty when one can
    estimate: Estimate

    @property
    def eligible(self) -> bool:
        return not self.reasons

    @property
    def ready(self) -> bool:
        """Whether a job can start now."""
        return self.eligible and not self.obstacle


def candidates(
    subjects: Sequence[Subject], recipe: str, policy: EligibilityPolicy | None = None,
    config: Mapping[str, Any] | None = None, resources: Mapping[str, Any] | None = None,
) -> list[Candidate]:  # fmt: skip
    """The subjects in their order. InvalidInputError for an unknown recipe or settings that it refuses."""
    complete = check_config(recipe, dict(config or {}))
    needs = Needs.read(dict(resources or {}))
    modality = catalogue.recipe(recipe).modality
    keys = [subject.pk for subject in subjects]
    held = _datasets(keys, modality) if modality else {}
    rows = sizes.rows_of([own[0].pk for own in held.values()]) if modality == Modality.TABLE else None
    busy = _busy(keys, recipe)
    past, kinds = estimates.Past.of(recipe), estimates.device_kinds()
    guesses: dict[int | None, Estimate] = {}  # many have as much data as another
    found = []
    for verdict in eligibility.evaluate(subjects, policy):
        key = verdict.subject.pk
        own = held.get(key, [])
        dataset = own[0] if len(own) == 1 else None
        obstacle = "" if modality is None or dataset else _no_dataset(verdict.subject, modality, own)
        examples = _examples(dataset, rows) if dataset else None
        if examples not in guesses:
            guesses[examples] = past.estimate(complete, examples, needs, kinds)
        found.append(
            Candidate(
                verdict.subject, verdict.policy, verdict.figures, verdict.reasons, dataset,
                obstacle or busy.get(key, ""), guesses[examples],
            )
        )  # fmt: skip
    return found


def _examples(dataset: Dataset, rows: Mapping[int, int] | None) -> int:
    """What a job would learn from, about: items, or rows of tables."""
    return round(TRAIN_SHARE * dataset.item_count) if rows is None else rows.get(dataset.pk, 0)


def _datasets(keys: list[int], modality: str) -> dict[int, list[Dataset]]:
    """Active datasets of the modality by the subject that they are about."""
    rows = Dataset.objects.filter(subject__in=keys, modality=modality, status=Dataset.Status.ACTIVE).order_by("id")
    found: dict[int, list[Dataset]] = {}
    for dataset in rows:
        found.setdefault(dataset.subject_id, []).append(dataset)
    return found


def _busy(keys: list[int], recipe: str) -> dict[int, str]:
    """What already runs or waits for a subject, in words."""
    jobs = Job.objects.filter(subject__in=keys, recipe=recipe, status__in=ACTIVE)
    found = jobs.values_list("subject_id", "pk", "name", "status")
    return {key: f"Job {pk} '{name}' is {Status(status).label.lower()} for it." for key, pk, name, status in found}


def _no_dataset(subject: Subject, modality: str, own: list[Dataset]) -> str:
    if not own:
        return f"No ready dataset of {modality} is about it: choose '{subject.name}' as the subject of one."
    names = ", ".join(f"'{dataset.name}'" for dataset in own[:3])
    return f"{len(own)} datasets of {modality} are about it ({names}): start a job on the one that you mean."
