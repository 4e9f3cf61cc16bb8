"""Which versions of models jobs need: what is needed is not deleted under them."""

from __future__ import annotations

from engine import catalogue
from engine.recipes.generate.config import GenerateConfig
from jobs.generation.sources import VERSION
from jobs.models import Job, Search
from jobs.states import ACTIVE
from registry.models import ModelVersion

SHOWN = 5


def uses(version: ModelVersion) -> list[str]:
    """Sentences on the jobs that have not ended and start from the version or ask it, and searches that start from
    it."""
    active = Job.objects.filter(status__in=ACTIVE)
    started = list(active.filter(base_version=version).order_by("pk").values_list("pk", flat=True)[: SHOWN + 1])
    found = [f"{_named(started)} that has not ended starts from it."] if started else []
    if asked := [job.pk for job in active.filter(recipe__in=_asking()) if _asks(job, version)]:
        found.append(f"{_named(asked)} that has not ended asks it.")
    searches = Search.objects.filter(base_version=version, status=Search.Status.RUNNING)
    return found + [f"The search '{search.name}' starts from it." for search in searches[:SHOWN]]


def _asking() -> list[str]:
    """Recipes whose settings name versions."""
    return [name for name in catalogue.RECIPES if issubclass(catalogue.config_class(name), GenerateConfig)]


def _asks(job: Job, version: ModelVersion) -> bool:
    return f"{VERSION}{version.pk}" in GenerateConfig.model_validate(job.config).sources()


def _named(keys: list[int]) -> str:
    shown = ", ".join(map(str, keys[:SHOWN]))
    return f"Job {shown}{' and more' if len(keys) > SHOWN else ''}"
