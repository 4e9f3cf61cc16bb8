"""The pages of one dataset, as the tabs in its head name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from datasets.models import Dataset, Modality


@dataclass(frozen=True)
class Tab:
    """A page of a dataset: the name of its address (which takes `pk`), its title, and where it makes sense."""

    url: str
    title: str
    fits: Callable[[Dataset], bool] = lambda dataset: True


def _rendered(dataset: Dataset) -> bool:
    return dataset.rendered_from.exists()


TABS = [
    Tab("dataset", "Items"),
    Tab("dataset-quality", "Quality"),
    Tab("dataset-gates", "Gates"),
    Tab("dataset-review", "Review", lambda dataset: dataset.approvals > 0),
    Tab("dataset-versions", "Versions"),
    Tab("dataset-sheet", "Sheet", lambda dataset: dataset.modality == Modality.TABLE),
    Tab("dataset-subjects", "Subjects"),
    Tab("dataset-pairs", "Pairs", lambda dataset: dataset.modality == Modality.TEXT and _rendered(dataset)),
]


def tabs_of(dataset: Dataset) -> list[Tab]:
    """Those that make sense for this dataset, in their order."""
    return [tab for tab in TABS if tab.fits(dataset)]
