"""Background tasks: doorways to the verbs. They take an id and nothing else."""

from __future__ import annotations

from datasets import imports


def run_import(import_id: int) -> None:
    imports.run_import(import_id)
