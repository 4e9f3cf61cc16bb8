"""Closing the loop for tables: predictions whose truth is known become rows of a dataset, each once."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from accounts import audit
from common.access import get_visible
from common.background import enqueue
from common.errors import ConflictError, InvalidInputError, NotFoundError, ProblemError
from datasets.intake import imports
from datasets.models import Dataset, Item, Modality
from jobs.schedules import database_now
from performance.models import CollectedPrediction
from performance.retraining.lines import champion_of
from registry.access import Action, require
from registry.artifacts import open_file
from registry.models import Model, ModelVersion, Outcome

AT_ONCE = 20_000
BY_HAND = 5_000  # rows, while somebody waits
LOOKED_THROUGH = 200_000  # outcomes, for rows that fit
CONFIG = "config.json"
MAX_CONFIG_BYTES = 16 << 20
SURE = "confidence"


class _File:
    """A table in memory, as an import takes it."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data, self.size = name, data, len(data)

    def chunks(self) -> Iterator[bytes]:
        yield self.data


@dataclass(frozen=True)
class Collected:
    """`rows` are on their way into the dataset by an import, None where nothing was new. `more`: there were more than
    are taken at once, which another call takes when these are in."""

    rows: int = 0
    import_id: int | None = None
    more: bool = False


def collect(user: AbstractBaseUser, model: Model, dataset_id: int) -> Collected:
    """What `collect_labelled` does, asked for by a person and with fewer rows at once. ForbiddenError for whoever may
    not see the model's predictions, NotFoundError for a dataset that is not theirs to fill."""
    require(user, Action.SEE_PREDICTIONS, model)
    return _collect(model, get_visible(Dataset.objects.all(), user, pk=dataset_id), user, BY_HAND)


def collect_labelled(model: Model, dataset: Dataset, by: AbstractBaseUser | None = None) -> int:
    """Put the inputs of logged predictions, with the truth in the target's column, into a dataset of tables, in the
    background. How many rows are new; 0 when there are none, or not a column of them is kept.

    `by` None: the owner of the model. A prediction goes into a dataset once, however often and by whomever this is
    called. InvalidInputError for a dataset that is no table, or that has no column for the target; ConflictError while
    it is being filled.
    """
    return _collect(model, dataset, by, AT_ONCE).rows


def _collect(model: Model, dataset: Dataset, by: AbstractBaseUser | None, most: int) -> Collected:
    columns, target = _columns_and_target(model, dataset)
    with transaction.atomic():
        if not Dataset.objects.select_for_update(no_key=True).filter(pk=dataset.pk).exists():
            raise NotFoundError("The dataset is gone.", "Choose another one.")
        if dataset.imports.filter(status__in=imports.OPEN).exists():
            raise ConflictError(f"'{dataset.name}' is being filled just now.", "Collect again when that has ended.")
        taken = list(islice(_fitting(model, dataset, columns, target), most + 1))
        more, taken = len(taken) > most, taken[:most]
        if not taken:
            return Collected()
        made = _import(dataset, by or model.owner, columns, [row for _, row in taken])
        now = database_now()
        CollectedPrediction.objects.bulk_create(
            CollectedPrediction(dataset=dataset, prediction_id=pk, import_id=made, at=now) for pk, _ in taken
        )
        audit.write(by, "labelled predictions collected", dataset, model=model.pk, rows=len(taken))
    return Collected(len(taken), made, more)


def _columns_and_target(model: Model, dataset: Dataset) -> tuple[dict[str, str], str]:
    """The columns of the dataset, and the one among them that the model answers; InvalidInputError in words."""
    if dataset.modality != Modality.TABLE:
        raise InvalidInputError(
            f"'{dataset.name}' holds {dataset.get_modality_display().lower()}: predictions become rows of tables.",
            "Choose a dataset of tables.",
        )
    columns = columns_of(dataset)
    target = target_of(champion_of(model))
    if not target:
        raise InvalidInputError(
            f"No version of {model} in use says which column of a table it answers.",
            "Only predictions of models that answer a column of a table can be collected.",
        )
    if target not in columns:
        raise InvalidInputError(
            f"'{dataset.name}' has no column '{target}', which {model} answers.",
            "Choose the dataset that it learns from.",
        )
    return columns, target


def _fitting(
    model: Model, dataset: Dataset, columns: dict[str, str], target: str
) -> Iterator[tuple[UUID, dict[str, Any]]]:
    """Predictions with their rows, one after the other: of what can't become a row much may stand before them."""
    for one in islice(labelled(model, dataset).iterator(chunk_size=500), LOOKED_THROUGH):
        if row := _row(one, columns, target):
            yield one.pk, row


def labelled(model: Model, dataset: Dataset) -> QuerySet[Outcome]:
    """Outcomes with a truth that are not in the dataset yet, oldest first."""
    taken = CollectedPrediction.objects.filter(dataset=dataset, prediction=OuterRef("pk"))
    rows = Outcome.objects.filter(~Exists(taken), model=model, truth__isnull=False, prediction__shadow_of=None)
    return rows.select_related("prediction").defer("prediction__output").order_by("pk")


def columns_of(dataset: Dataset) -> dict[str, str]:
    """The columns of a dataset's tables and their types; {} before it has one."""
    facts = (
        Item.objects.filter(dataset=dataset, facts__has_key="columns").order_by("pk").values_list("facts", flat=True)
    )
    found = next(iter(facts[:1]), {"columns": []})["columns"]
    return {str(column["name"]): str(column["type"]) for column in found}


def target_of(version: ModelVersion | None) -> str:
    """The column that a version answers, as its files say; '' where it has none."""
    return str(facts_of(version).get("target", ""))


def facts_of(version: ModelVersion | None) -> dict[str, Any]:
    """What the config.json of a version says; {} where it can't be read."""
    if version is None:
        return {}
    try:
        file, _ = open_file(version, CONFIG)
        with file:
            said = json.loads(file.read(MAX_CONFIG_BYTES))
    except (ProblemError, OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def given_row(outcome: Outcome) -> dict[str, Any] | None:
    """The row that was asked about, where it was kept."""
    try:
        prediction = outcome.prediction
    except outcome._meta.get_field("prediction").related_model.DoesNotExist:  # predictions are kept for a while
        return None
    kept = prediction.input
    if isinstance(kept, list) and len(kept) == 1:
        kept = kept[0]
    if isinstance(kept, dict):
        return kept
    # Features hold what a row had, and how sure the answer was.
    return {name: value for name, value in prediction.features.items() if name != SURE} or None


def _row(outcome: Outcome, columns: dict[str, str], target: str) -> dict[str, Any] | None:
    """The row with its truth; None when what was kept of it is none of this table."""
    given = given_row(outcome)
    if not given or not set(given) <= set(columns) or not set(given) - {target}:
        return None
    return given | {target: outcome.truth}


def _import(dataset: Dataset, owner: AbstractBaseUser, columns: dict[str, str], rows: list[dict[str, Any]]) -> int:
    """Types are those that the dataset's tables have: a batch alone could be read as others."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    known = {"whole", "number", "yes_no", "date", "text", "category"}
    types = {name: kind for name, kind in columns.items() if kind in known}
    name = f"labelled-predictions-{database_now():%Y%m%d-%H%M%S-%f}.csv"
    options = {"types": types, "delimiter": ",", "header": True}
    made = imports.receive(dataset, owner, [_File(name, out.getvalue().encode())], options=options)
    enqueue(imports.TASK, made.pk)
    return made.pk
