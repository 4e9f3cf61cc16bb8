"""How one attempt at telling somebody went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    status: int | None = None  # what a web server answered
    error: str = ""  # in words; '' when it was delivered
