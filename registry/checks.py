"""A recipe of another package that can't be used is told to whoever runs the hub, at each start and check."""

from __future__ import annotations

from typing import Any

from django.core.checks import Warning, register

from engine.catalogue import ENTRY_POINTS, PROBLEMS


@register()
def recipes_of_packages(**_: Any) -> list[Warning]:
    hint = f"Correct or uninstall the package that has this entry point of the group {ENTRY_POINTS}."
    return [Warning(problem, hint=hint, id="trainhub.W001") for problem in PROBLEMS]
