"""Background tasks: doorways to the verbs. They take an id and nothing else."""

from __future__ import annotations

from datasets import collecting
from datasets.gating import governance
from datasets.intake import imports
from datasets.items import previews
from datasets.quality import prints, runs
from datasets.rendering import renderings


def run_import(import_id: int) -> None:
    imports.run_import(import_id)


def check_governance(dataset_id: int) -> None:
    governance.work(dataset_id)


def run_rendering(rendering_id: int) -> None:
    renderings.run_rendering(rendering_id)


def run_quality(run_id: int) -> None:
    runs.take_up(run_id)


def make_previews(dataset_id: int, after: int = 0, left: int = previews.AHEAD) -> None:
    previews.make_for_import(dataset_id, after, left)


def make_preview(item_id: int) -> None:
    previews.make(item_id)


def collect() -> None:
    collecting.collect()
    prints.forget_unused()
