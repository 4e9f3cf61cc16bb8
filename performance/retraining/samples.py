"""The rows on which champion and challenger are compared: held out from both, or met in use with the truth told since.

Heavy: for background workers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from common.files import store
from common.wording import number
from datasets.freezing import manifests
from engine.catalogue import config_class, recipe
from engine.predict import Given
from engine.protocol import DataSpec
from performance.models import CollectedPrediction, Retraining
from performance.retraining.collecting import facts_of, given_row, target_of
from registry.models import ModelVersion, Outcome

TABLES = "table-baseline"
MOST_ROWS = 2_000
MOST_ITEMS = 300  # texts, pictures, sounds, films
TEST, VALIDATION = "test", "validation"
HELD_OUT = "The held-out part of the challenger's data"


@dataclass
class Sample:
    """Inputs with what is true of each. Of tables an input is a row."""

    title: str
    inputs: list[Any] = field(default_factory=list)
    truths: list[Any] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rows: bool = False  # inputs are rows of one table

    def batches(self, size: int) -> list[list[Given]]:
        """As `registry.prediction.predict` takes them."""
        if self.rows:
            return [[self.inputs[at : at + MOST_ROWS]] for at in range(0, len(self.inputs), MOST_ROWS)]
        return [list(self.inputs[at : at + size]) for at in range(0, len(self.inputs), size)]


def can_be_compared(version: ModelVersion) -> bool:
    """Whether there are rows on which versions of this recipe can be asked and told right from wrong."""
    kind = recipe(version.model.recipe)
    return kind.name == TABLES or (kind.output == "labels" and kind.labelled)


def held_out(champion: ModelVersion, challenger: ModelVersion) -> Sample:
    """What the challenger's data held out, without what the champion learned from."""
    sample = Sample(HELD_OUT)
    if challenger.dataset_version is None:
        return sample
    if challenger.model.recipe == TABLES:
        return _held_rows(sample, champion, challenger)
    return _held_items(sample, champion, challenger)


def recent(row: Retraining) -> Sample:
    """The latest predictions in use whose truth is known and whose input was kept, but for those that the challenger
    learned from."""
    sample = Sample("Recent predictions whose truth is known", rows=row.model.recipe == TABLES)
    learned = CollectedPrediction.objects.none()
    if row.challenger and row.challenger.dataset_version:
        frozen = row.challenger.dataset_version
        learned = CollectedPrediction.objects.filter(dataset=frozen.dataset_id, at__lte=frozen.created_at)
    found = Outcome.objects.filter(model=row.model, truth__isnull=False, prediction__shadow_of=None)
    skipped = found.filter(pk__in=learned.values("prediction")).count()
    rest = found.exclude(pk__in=learned.values("prediction")).select_related("prediction").order_by("-predicted_at")
    target, known = target_of(row.champion), set(facts_of(row.challenger).get("columns") or ())
    most = MOST_ROWS if sample.rows else MOST_ITEMS
    for outcome in rest[: 5 * most].iterator(500):
        given = _given(outcome, sample.rows, target)
        if given is not None and (not sample.rows or set(given) <= known):
            sample.inputs.append(given)
            sample.truths.append(outcome.truth)
            sample.groups.append(outcome.group)
        if len(sample.inputs) == most:
            break
    if skipped:
        sample.notes.append(f"{number(skipped)} were left out: the challenger learned from them.")
    return sample


def _given(outcome: Outcome, rows: bool, target: str) -> Any:
    if rows:
        row = given_row(outcome)
        return {name: value for name, value in row.items() if name != target} if row else None
    try:
        kept = outcome.prediction.input
    except outcome._meta.get_field("prediction").related_model.DoesNotExist:
        return None
    if isinstance(kept, list) and len(kept) == 1:
        kept = kept[0]
    return kept if isinstance(kept, str) else None


def _held_items(sample: Sample, champion: ModelVersion, challenger: ModelVersion) -> Sample:
    assert challenger.dataset_version is not None
    learned = _learned_items(champion)
    there = list(manifests.entries(challenger.dataset_version.content_hash))
    part = TEST if any(entry["split"] == TEST for entry in there) else VALIDATION
    held = [entry for entry in there if entry["split"] == part and entry.get("label")]
    fresh = [entry for entry in held if entry["sha256"] not in learned]
    for entry in _spread(fresh, MOST_ITEMS):
        sample.inputs.append(_content(entry))
        sample.truths.append(entry["label"])
        sample.groups.append(str(entry.get("group", "")))
    return _noted(sample, part, len(held) - len(fresh))


def _learned_items(version: ModelVersion) -> set[str]:
    if version.dataset_version is None:
        return set()
    entries = manifests.entries(version.dataset_version.content_hash)
    return {entry["sha256"] for entry in entries if entry["split"] == "train"}


def _content(entry: dict[str, Any]) -> Given:
    if text := (entry.get("content") or {}).get("text"):
        return str(text)
    with store().open(entry["sha256"]) as file:
        return file.read()


def _held_rows(sample: Sample, champion: ModelVersion, challenger: ModelVersion) -> Sample:
    """Rows of tables are divided by the recipe; it is asked again, by the settings and the seed of each version."""
    table, parts, target = _divided(challenger)
    learned = _learned_rows(champion)
    chosen, part = (parts.test, TEST) if len(parts.test) else (parts.validation, VALIDATION)
    fresh = [row for row in chosen if _identity(table, row) not in learned]
    sample.rows = True
    kinds = {name: kind for name, kind in table.kinds.items() if name != target}
    for row in _spread(fresh, MOST_ROWS):
        sample.inputs.append({name: _plain(table.columns[name][row], kind) for name, kind in kinds.items()})
        sample.truths.append(_plain(table.columns[target][row], table.kinds[target]))
        sample.groups.append("")
    return _noted(sample, part, len(chosen) - len(fresh))


_PLACE = "\0place"  # of a row in its table; no column can be called so


def _divided(version: ModelVersion) -> tuple[Any, Any, str]:
    """The rows of a version's data that have a target, with their parts."""
    import numpy as np

    from engine.data import open_dataset
    from engine.recipes.table_baseline.config import TableBaselineConfig
    from engine.recipes.table_baseline.parts import divide
    from engine.recipes.table_baseline.roles import names_checked, with_target
    from engine.tables import read_tables

    assert version.dataset_version is not None
    config = config_class(TABLES).model_validate(version.config)
    assert isinstance(config, TableBaselineConfig)
    spec = DataSpec(manifest=store().path(version.dataset_version.content_hash), store=store().root)
    table = read_tables(open_dataset(spec, "table"), lambda message: None, lambda: None)
    sizes = np.bincount(table.source, minlength=len(table.items))
    table.columns[_PLACE] = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else np.arange(0)
    target = names_checked(table, config)
    table = with_target(table, target, lambda message: None)
    return table, divide(table, config, version.seed), target


def _learned_rows(version: ModelVersion) -> set[tuple[str, int]]:
    if version.dataset_version is None:
        return set()
    table, parts, _ = _divided(version)
    return {_identity(table, row) for row in parts.train}


def _identity(table: Any, row: int) -> tuple[str, int]:
    return table.items[table.source[row]].sha256, int(table.columns[_PLACE][row])


def _plain(value: Any, kind: str) -> Any:
    """A cell as JSON holds it; None where it is missing."""
    import numpy as np

    if kind == "date":
        return None if np.isnat(value) else str(value.astype("datetime64[s]"))
    if kind in ("whole", "number", "yes_no"):
        return None if np.isnan(value) else float(value)
    return value


def _spread(found: Sequence[Any], most: int) -> list[Any]:
    """At most so many, from all over."""
    step = max(1, -(-len(found) // most))
    return list(islice(found, 0, None, step))


def _noted(sample: Sample, part: str, skipped: int) -> Sample:
    sample.notes.append(f"The {part} part, which the challenger did not learn from.")
    if skipped:
        sample.notes.append(f"{number(skipped)} of it were left out: the champion learned from them.")
    return sample
