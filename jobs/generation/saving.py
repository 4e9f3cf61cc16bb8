"""What a run kept becomes items of its dataset: once, whenever and however often it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db import transaction

from common.errors import InvalidInputError
from datasets.items import generated
from datasets.models import Dataset, Modality
from engine import catalogue
from jobs import runs
from jobs.generation import examples
from jobs.generation.sources import VERSION
from jobs.models import GeneratedExample, Job

BATCH = 500


def check_target(recipe: str, target: Dataset | None) -> None:
    """InvalidInputError for a dataset that can't take what a run of this recipe makes."""
    if target is None:
        return
    if catalogue.recipe(recipe).makes != "examples":
        raise _refused(f"The recipe {recipe} makes no examples to save.")
    if target.modality != Modality.TEXT:
        raise _refused(f"'{target.name}' can't take texts: it holds {target.get_modality_display().lower()}.")


@transaction.atomic
def save(job: Job) -> None:
    """Put what the job kept, and is no item yet, into its dataset; with each the session of its run is noted.

    Nothing where the job names no dataset, or it was deleted meanwhile.
    """
    held = Job.objects.select_for_update(of=("self",)).get(pk=job.pk)
    if held.save_to_id is not None and examples.unsaved(held).exists():
        generated.add(held.save_to_id, _waiting(held), _note)


def saved(job: Job, before: int, session: str) -> tuple[int, int]:
    """Of what the run of this session kept after number `before`: how many lie in the dataset, and how many items the
    run has made. A pair that was there already is an item of whoever made it."""
    rows = GeneratedExample.objects.filter(job=job, step__gt=before, kept=True, item__isnull=False)
    return rows.count(), rows.filter(item__generated__session=session).values("item").distinct().count()


def _waiting(job: Job) -> Iterator[list[generated.Written]]:
    """What is no item yet, in batches; each is to be noted before the next one is asked for."""

    @cache
    def session(number: int) -> str:
        return str(runs.session_of(job.pk, number))

    while batch := list(examples.unsaved(job).defer("candidates")[:BATCH]):
        yield [_written(job, one, session(one.attempt_number or job.attempt_number)) for one in batch]


def _note(places: dict[Any, int]) -> None:
    GeneratedExample.objects.bulk_update(
        [GeneratedExample(pk=key, item_id=item) for key, item in places.items()], ["item"]
    )


def _written(job: Job, one: GeneratedExample, session: str) -> generated.Written:
    facts: dict[str, Any] = {
        "generator": one.winner, "prompt": one.prompt, "genre": one.genre, "judge": job.config["judge"],
        "score": float(one.score or 0), "session": session, "job": job.pk,
    }  # fmt: skip
    if one.winner.startswith(VERSION):
        facts["model_version"] = int(one.winner.removeprefix(VERSION))
    name = f"example {one.step} of {job.name}"
    return generated.Written(one.pk, name, one.prompt, one.text, one.genre, facts)


def _refused(message: str) -> InvalidInputError:
    hint = "Choose a dataset of texts, or none: then the examples stay with the run."
    return InvalidInputError(message, hint, fields={"save_to": [f"{message} {hint}"]})
