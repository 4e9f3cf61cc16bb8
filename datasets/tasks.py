"""Background tasks: doorways to the verbs. They take an id and nothing else."""

from __future__ import annotations

from datasets import governance, imports, renderings
from datasets.quality import runs


def run_import(import_id: int) -> None:
    imports.run_import(import_id)


def check_governance(dataset_id: int) -> None:
    governance.work(dataset_id)


def run_rendering(rendering_id: int) -> None:
    renderings.run_rendering(rendering_id)


def run_quality(run_id: int) -> None:
    runs.run_quality(run_id)
