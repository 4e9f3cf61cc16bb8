"""All that is wrong with the form of a new job: it is told at once, and not one group of fields after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.errors import InvalidInputError, NotFoundError, ProblemError
from datasets.freezing import splits
from datasets.models import Dataset
from engine.catalogue import RECIPES
from jobs import bases, columns, creation, forms, new_fields, placing, room
from jobs.generation import sources
from jobs.needs import Needs

# The order of the form, around the recipe's settings.
BEFORE = (
    "dataset", "validation_fraction", "test_fraction", "seed", "split_by", "split_key", "recipe", "model", "subject",
    "base_version", "save_to", "name", "prompts_from.template", "prompts_from.sheet", "prompts_from.limit",
)  # fmt: skip


def everything(
    first: ProblemError,
    values: Mapping[str, str],
    user: AbstractBaseUser,
    dataset: Dataset | None,
    also: Sequence[Callable[[], object]] = (),
) -> ProblemError:
    """The problem that was met first, with the fields of all others; itself where there are none. `also` are checks
    that only some forms have; what they say of a field goes before the rest."""
    if not first.fields:
        return first
    fields, kind = dict(first.fields), type(first)
    for check in (*_checks(values, user, dataset), *also):
        try:
            check()
        except ProblemError as problem:
            fields = fields | problem.fields if check in also else problem.fields | fields
            kind = NotFoundError if isinstance(problem, NotFoundError) else kind  # what is not theirs answers 404
    if set(fields) == set(first.fields):
        return first
    recipe = values.get("recipe", "")
    titles = [forms.title(recipe, key) if recipe in RECIPES else forms.TITLES.get(key, "") for key in fields]
    named = list(dict.fromkeys(title for title in _in_order(fields, titles, recipe) if title))
    words = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else "Some fields"
    message = f"{words} can't be used as they are."
    return kind(message, "Each is marked, with what may be written.", fields=fields)


def told(recipe: str, problem: ProblemError) -> dict[str, Any]:
    """What the form says about a problem: in the words of its fields, with the first wrong one named."""
    if recipe not in RECIPES or not problem.fields:
        return {"problem": problem, "errors": problem.fields}
    errors = forms.explained(recipe, problem.fields)
    first = next((key for key in order(recipe) if key in errors), next(iter(errors)))
    if problem.message.startswith((f"{first}: ", *(f"{key.removeprefix(forms.PREFIX)}: " for key in errors))):
        title = forms.title(recipe, first)
        problem = InvalidInputError(f"{title}: {errors[first][0]}" if title else errors[first][0], problem.hint)
    return {"problem": problem, "errors": errors, "first_wrong": first}


def order(recipe: str) -> list[str]:
    """The names of all fields, as the form shows them."""
    settings = [setting.key for group in forms.groups(recipe, {}).values() for setting in group]
    return [*BEFORE, *settings, "config", *placing.FIELDS]


def _in_order(fields: Mapping[str, Any], titles: list[str], recipe: str) -> list[str]:
    places = order(recipe) if recipe in RECIPES else [*BEFORE, *placing.FIELDS]
    known = dict(zip(fields, titles, strict=True))
    return [known[key] for key in sorted(fields, key=lambda key: places.index(key) if key in places else len(places))]


def _checks(
    values: Mapping[str, str], user: AbstractBaseUser, dataset: Dataset | None
) -> Iterator[Callable[[], object]]:
    recipe = values.get("recipe", "")
    if recipe in RECIPES:
        yield lambda: creation.check_config(recipe, forms.read(recipe, values))
        yield lambda: bases.check_one(
            recipe,
            creation.check_config(recipe, forms.read(recipe, values)),
            new_fields.row(values, "base_version", user),
        )
        yield lambda: room.check(
            recipe,
            creation.check_config(recipe, forms.read(recipe, values)),
            Needs.read(placing.resources(values)),
            base_version=new_fields.row(values, "base_version", user),
            dataset=dataset,
        )
        yield lambda: sources.check(user, recipe, creation.check_config(recipe, forms.read(recipe, values)))
        yield lambda: creation.check_target(user, recipe, new_fields.row(values, "save_to", user))
        yield lambda: columns.check(recipe, creation.check_config(recipe, forms.read(recipe, values)), dataset)
        if RECIPES[recipe].modality is not None:
            yield lambda: creation.check_data(user, recipe, dataset, None)
            yield lambda: new_fields.fraction(values, "validation_fraction")
            yield lambda: new_fields.fraction(values, "test_fraction")
            rule = values.get("split_by") or splits.CONTENT, new_fields.split_key(values) or splits.KEY
            yield lambda: splits.check(0.0, 0.0, 0, *rule)
            yield lambda: splits.check(
                new_fields.fraction(values, "validation_fraction"), new_fields.fraction(values, "test_fraction"), 0
            )
    yield lambda: new_fields.seed(values)
    for name in new_fields.ROWS:
        yield lambda name=name: new_fields.row(values, name, user)  # type: ignore[misc]
    for read in (placing.priority, placing.device, placing.devices, placing.memory, placing.labels):
        yield lambda read=read: read(values)  # type: ignore[misc]
    yield lambda: creation.check_time(placing.moment(values))
    yield lambda: placing.needed(values, user)
    yield lambda: creation.check_after_failure(values.get("after_failure") or placing.DEFAULTS["after_failure"])
    for name in ("max_seconds", "stall_seconds"):
        yield lambda name=name: placing.length(values, name)  # type: ignore[misc]
