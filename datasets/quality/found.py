"""What a check says of an item, before it is written down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets.quality.codes import CHECKS


@dataclass
class Found:
    """One reason why an item, or a row of its table, is worth less. `points` None: as many as its check takes."""

    code: str
    reason: str
    points: int | None = None
    row: int | None = None
    cluster: int | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def taken(self) -> int:
        return CHECKS[self.code].points if self.points is None else min(100, self.points)
