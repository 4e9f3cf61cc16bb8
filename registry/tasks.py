"""Background tasks: doorways to the verbs. They take an id and nothing else."""

from __future__ import annotations

from registry import merging


def run_merge(merge_id: int) -> None:
    merging.take_up(merge_id)
