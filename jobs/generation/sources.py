"""The models that a run asks: found by the names that its settings have for them, checked when the job is made, and
brought to the machine that runs it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from common.errors import InvalidInputError
from engine import catalogue
from engine.protocol import Source
from engine.recipes.generate.config import MEASURES, GenerateConfig, lines
from engine.recipes.generate.writers import OWN_TOKENS, too_long
from jobs.endpoints import verbs as endpoints
from jobs.folders import work_folder
from jobs.models import Endpoint, Job
from registry.artifacts import with_bases
from registry.models import ModelVersion
from registry.versions import usable

VERSION = "version "
OFFERED = 50  # versions in a form
KEYS = "keys"  # a folder of the job's, while an attempt runs
WRITER, CLASSIFIER = "text-generation", "text-classification"
HINT = "Name a version ('version 12') or one of your endpoints ('endpoint my-server')."
VERSIONS_ONLY = "Name a version ('version 12')."
FEWER = "Set a longest answer of fewer tokens, or use endpoints."


def check(owner: AbstractBaseUser, recipe: str, config: Mapping[str, Any]) -> None:
    """InvalidInputError, at the setting, for a model that is not there, not ready, or can't do what is asked of it."""
    if not _asks(recipe):
        return
    given = GenerateConfig.model_validate(config)
    if not lines(given.generators):
        raise _wrong("generators", "Nobody is named to write the examples.")
    check_named(owner, given)


def check_named(owner: AbstractBaseUser, given: GenerateConfig) -> None:
    """The same for those that are named; who writes may be left open."""
    for setting, name, wanted, endpoint_too in _roles(given):
        hint = HINT if endpoint_too else VERSIONS_ONLY
        found = _find(owner, name)
        if found is None:
            raise _wrong(setting, f"There is no '{name}' for you.", hint)
        if isinstance(found, Endpoint):
            if not endpoint_too:
                raise _wrong(setting, f"'{name}' is an endpoint; here a version of the hub is needed.", hint)
        elif found.model.recipe != wanted:
            raise _wrong(setting, f"{found} was made by {found.model.recipe}; here {wanted} is needed.", hint)
        elif not found.usable:
            raise _wrong(setting, f"{found} is {found.standing}.", hint)
        elif setting == "generators" and given.max_new_tokens > OWN_TOKENS:
            raise _wrong("max_new_tokens", too_long(str(found)), FEWER)


def of(job: Job) -> dict[str, Source]:
    """The sources of a run on this machine, keys in private files. Raises a ProblemError when one is gone."""
    if not _asks(job.recipe):
        return {}
    check(job.owner, job.recipe, job.config)
    found = {}
    for name in GenerateConfig.model_validate(job.config).sources():
        source = _find(job.owner, name)
        assert source is not None
        found[name] = _endpoint(job, source) if isinstance(source, Endpoint) else _version(source)
    return found


def allowed(job: Job) -> list[str]:
    """Hosts and networks inside that the run's endpoints may have."""
    return list(settings.TRAINHUB_ALLOW_INTERNAL_ENDPOINTS) if _asks(job.recipe) else []


def forget_keys(job_id: int) -> None:
    """Delete the keys that lie in the job's folder. Safe to repeat."""
    folder = work_folder(job_id) / KEYS
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()


def offered(user: AbstractBaseUser) -> list[tuple[str, str]]:
    """Who this person's runs may ask to write or judge, newest versions first: (name for the settings, title)."""
    mine = Endpoint.objects.filter(owner=user).order_by("name")
    return _versions(user, WRITER) + [(f"{endpoints.PREFIX}{one.name}", one.model) for one in mine]


def fitting(user: AbstractBaseUser, present: Mapping[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Setting → who fits there as (name, title). `present` are the settings as they are: what they name stays among
    them, even when it is gone."""
    askable = offered(user)
    found = {
        "judge": [(MEASURES, "length, variety"), *askable],
        "reference": [("", "none"), *(one for one in askable if one[0].startswith(VERSION))],
        "classifier": [("", "none"), *_versions(user, CLASSIFIER)],
    }
    for setting, fit in found.items():
        if (name := present.get(setting, "")) and name not in dict(fit):
            fit.append((name, "not among those that fit"))
    return found


def _versions(user: AbstractBaseUser, recipe: str) -> list[tuple[str, str]]:
    rows = usable().filter(model__recipe=recipe)
    return [(f"{VERSION}{one.pk}", str(one)) for one in visible(rows, user, "model__owner").order_by("-pk")[:OFFERED]]


def titles(job: Job) -> dict[str, str]:
    """What people call the generators of a run, by their names in the settings; those that are gone keep these."""
    if not _asks(job.recipe):
        return {}
    names = lines(GenerateConfig.model_validate(job.config).generators)
    found = {name: _find(job.owner, name) for name in names}
    called = {name: str(source) if isinstance(source, ModelVersion) else name for name, source in found.items()}
    # Two people may have given models one name, and staff may ask both.
    often = Counter(called.values())
    return {name: title if often[title] == 1 else f"{title} ({name})" for name, title in called.items()}


def _asks(recipe: str) -> bool:
    return issubclass(catalogue.config_class(recipe), GenerateConfig)


def _roles(config: GenerateConfig) -> Iterator[tuple[str, str, str, bool]]:
    """(setting, name, the recipe that it must come from, whether an endpoint will do) of each model that is named."""
    for name in lines(config.generators):
        yield "generators", name, WRITER, True
    if config.judge != MEASURES:
        yield "judge", config.judge, WRITER, True
    if config.reference:
        yield "reference", config.reference, WRITER, False
    if config.classifier:
        yield "classifier", config.classifier, CLASSIFIER, False


def _find(owner: AbstractBaseUser, name: str) -> ModelVersion | Endpoint | None:
    """Endpoints are a person's own: staff see others', and use theirs."""
    if name.startswith(endpoints.PREFIX):
        return Endpoint.objects.filter(owner=owner, name=name.removeprefix(endpoints.PREFIX)).first()
    number = name.removeprefix(VERSION)
    if not name.startswith(VERSION) or not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    rows = visible(ModelVersion.objects.select_related("model"), owner, "model__owner")
    return rows.filter(pk=int(number)).first()


def _version(version: ModelVersion) -> Source:
    return Source(title=str(version), artifact=with_bases(version), recipe=version.model.recipe)


def _endpoint(job: Job, endpoint: Endpoint) -> Source:
    source = Source(
        title=endpoint.name, url=endpoint.url, model=endpoint.model, timeout_seconds=endpoint.timeout_seconds,
        retries=endpoint.retries, requests_per_minute=endpoint.requests_per_minute,
    )  # fmt: skip
    if not (key := endpoints.key_of(endpoint)):
        return source
    folder = work_folder(job.pk) / KEYS
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / str(endpoint.pk)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)
    return source.model_copy(update={"key_file": path})


def _wrong(setting: str, message: str, hint: str = HINT) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={f"config.{setting}": [f"{message} {hint}"]})
