"""A process of its own for an import from elsewhere: a slow server keeps no other background work waiting."""

from __future__ import annotations

from datasets.apart import Processes
from datasets.models import Import

PROCESSES = Processes("run_import", at_once=2)


def is_for(import_id: int) -> bool:
    """Whether this import is one that has yet to be fetched."""
    found = Import.objects.only("origin", "status").filter(pk=import_id).first()
    return found is not None and found.is_to_be_fetched
