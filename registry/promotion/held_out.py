"""What a version's figures were taken on: figures of different examples can't be compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets.freezing import sizes
from datasets.models import DatasetVersion, Modality
from engine.catalogue import RECIPES
from registry import figures
from registry.models import ModelVersion

# Settings of recipes that divide the rows of tables themselves: others of them are judged by other rows.
DIVISION = ("validation_fraction", "test_fraction", "group", "time", "target", "series", "horizon")


@dataclass(frozen=True)
class HeldOut:
    """`key` is the same for versions that were judged by the same examples; None: nothing is known of them."""

    data: str = ""  # the frozen data in words
    key: tuple[Any, ...] | None = None
    examples: dict[str, int | None] = field(default_factory=dict)  # of each part; None: not known
    about: bool = False  # of tables: a share of all rows, where the run may have taken some more or less


def of(version: ModelVersion) -> HeldOut:
    """The held-out data of a version; of one that was trained on none, nothing."""
    data = version.dataset_version
    if data is None:
        return HeldOut()
    division = _division(version, data)
    return HeldOut(str(data), (data.content_hash, *division), _examples(version, data, bool(division)),
                   data.dataset.modality == Modality.TABLE)  # fmt: skip


def _division(version: ModelVersion, data: DatasetVersion) -> tuple[Any, ...]:
    """How the run divided the rows; () when whole items are of one part, as the frozen data say."""
    by_files = data.counts.get("train") and data.counts.get("validation")
    own = version.model.recipe in RECIPES and RECIPES[version.model.recipe].own_parts
    if data.dataset.modality != Modality.TABLE or (by_files and not own):
        return ()
    settings = tuple((name, version.config[name]) for name in DIVISION if name in version.config)
    # Rows are divided by chance unless a column says their time.
    return (*settings, () if own or version.config.get("time") else ("seed", version.seed))


def examples(version: ModelVersion) -> dict[str, int | None]:
    """How many examples a version learned from (train) and was judged by (validation, test): rows of tables, else
    items. None: not known. {} of a version that was trained on no frozen data."""
    if version.dataset_version is None:
        return {}
    held_out = of(version).examples
    if version.dataset_version.dataset.modality != Modality.TABLE:
        return {"train": version.dataset_version.counts.get("train", 0), **held_out}
    rows = sizes.of_version(version.dataset_version)
    known = rows is not None and None not in held_out.values()
    return {"train": rows - sum(held_out.values()) if known else None, **held_out}  # type: ignore[arg-type, operator]


def _examples(version: ModelVersion, data: DatasetVersion, divided: bool) -> dict[str, int | None]:
    if data.dataset.modality != Modality.TABLE:
        return {part: data.counts.get(part, 0) for part in figures.HELD_OUT}
    rows = sizes.of_version(data)
    return {part: _rows(rows, _share(version, data, part, divided)) for part in figures.HELD_OUT}


def _share(version: ModelVersion, data: DatasetVersion, part: str, divided: bool) -> Any:
    """Of all rows; of files that belong to one part as a whole, their share of the files stands for it."""
    if divided:
        return version.config.get(f"{part}_fraction")
    return data.counts.get(part, 0) / (sum(data.counts.values()) or 1)


def _rows(rows: int | None, share: Any) -> int | None:
    return round(rows * share) if rows is not None and isinstance(share, int | float) else None
