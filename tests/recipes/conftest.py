"""What a run sets for its process ends with it here, where many share one."""

from tests.engine.conftest import as_it_was

__all__ = ["as_it_was"]
