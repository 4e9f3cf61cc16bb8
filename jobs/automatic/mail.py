"""Word to the owner by mail."""

from __future__ import annotations

from jobs.models import AutomaticTraining, FineTuning


def tell_started(rule: AutomaticTraining, made: FineTuning) -> None: ...


def tell_refused(rule: AutomaticTraining, why: str) -> None: ...
