"""What a template leaves to whoever starts from it: values that must be given anew, and others that stay as they are.

A value is named as the errors of a request name it: `config.<setting>` for one of the recipe's settings, else by its
own name. A dataset and a frozen version of one are the same choice, 'dataset'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Model as Row

from common.errors import InvalidInputError, ProblemError
from engine.catalogue import RECIPES
from jobs import creation, forms
from jobs.models import JobTemplate

REQUIRED, LOCKED = "required", "locked"
# Values beside the settings. Those of the first line can be empty, so that they can be asked for anew.
CAN_BE_EMPTY = (
    "dataset", "name", "seed", "validation_fraction", "test_fraction", "subject", "model", "base_version", "save_to",
    "max_seconds", "stall_seconds",
)  # fmt: skip
OWN_VALUES = (*CAN_BE_EMPTY, "split_by", "split_key", "priority", "resources", "preemptible")
OF_DATA = ("dataset", "validation_fraction", "test_fraction", "split_by", "split_key")
EACH_ITS_OWN = ("dataset", "subject", "name")  # where jobs are started for many subjects
ASKED = "The template asks for this anew: give a value."
KEPT = "The template locks this: leave it as it is, or start without the template."

SAME_RECIPE = "The template's rules are about its own recipe: leave that as it is."


def check(request: Mapping[str, Any], required: Sequence[str], locked: Sequence[str]) -> tuple[list[str], list[str]]:
    """The rules of a template with this request, each name once. InvalidInputError, at `required` or `locked`, for
    names that mean nothing and rules that contradict each other."""
    recipe = request["recipe"]
    known = names(recipe)
    wanted = {REQUIRED: list(dict.fromkeys(required)), LOCKED: list(dict.fromkeys(locked))}
    for rule, given in wanted.items():
        for name in given:
            if name not in known:
                hint = "Settings are named as in config.steps; beside them there are: " + ", ".join(OWN_VALUES) + "."
                raise _wrong(rule, f"'{name[:60]}' is nothing that a job of {recipe} is asked for.", hint)
    if both := [name for name in wanted[REQUIRED] if name in wanted[LOCKED]]:
        message = f"{titled(recipe, both[:1])} can't be both asked for anew and locked."
        raise _wrong(LOCKED, message, "Choose one of the two.")
    for name in wanted[REQUIRED]:
        if not name.startswith(forms.PREFIX) and name not in CAN_BE_EMPTY:
            hint = "Leave it free, or lock it."
            raise _wrong(REQUIRED, f"{titled(recipe, [name])} has a value in any case, so it can't be asked for.", hint)
    for name in wanted[LOCKED]:
        if value(request, name) in (None, ""):
            raise _wrong(LOCKED, f"{titled(recipe, [name])} has no value to keep.", "Give it one, or leave it free.")
    return wanted[REQUIRED], wanted[LOCKED]


def names(recipe: str) -> list[str]:
    """All that a template of this recipe can have a rule for, in the order of the form."""
    about = RECIPES[recipe]
    unused = set() if about.modality else set(OF_DATA)
    unused |= set() if about.makes == "examples" else {"save_to"}
    settings = [setting.key for group in forms.groups(recipe, {}).values() for setting in group]
    return [*(name for name in OWN_VALUES if name not in unused), *settings]


def applied(template: JobTemplate, given: Mapping[str, Any]) -> None:
    """Refuse what a template does not allow to whoever starts from it with these values of their own.

    `given` holds rows or their ids; None is nothing. InvalidInputError names all fields that are in the way.
    """
    kept = template.request
    wrong: dict[str, str] = {}
    ruled = [*template.required, *template.locked]
    if ruled and given.get("recipe") not in (None, "", kept["recipe"]):
        wrong["recipe"] = SAME_RECIPE
    for name in template.required:
        if _of(given, name) in (None, "", []):
            wrong[name] = ASKED
    for name in template.locked:
        mine = _of(given, name)
        if mine is not None and not _same(kept, name, mine):
            wrong[name] = KEPT
    refuse(template, wrong)


def refuse(template: JobTemplate, wrong: Mapping[str, str]) -> None:
    """InvalidInputError for what a template does not allow: value → why; nothing when there is none."""
    if not wrong:
        return
    recipe = template.request["recipe"]
    asked, locked = ([name for name in wrong if name in rule] for rule in (template.required, template.locked))
    told = [f"asks for {titled(recipe, asked)} anew"] if asked else []
    told += [f"locks {titled(recipe, locked)}"] if locked else []
    told += ["keeps its recipe"] if "recipe" in wrong else []
    message = f"The template '{template.name}' {', and '.join(told)}."
    fields = {name: [why] for name, why in wrong.items()}
    raise InvalidInputError(message, "Correct the marked values.", fields=fields)


def applied_to_many(template: JobTemplate, given: Mapping[str, Any]) -> None:
    """The same for jobs of many subjects, each of which brings data, subject and name of its own."""
    if held := [name for name in EACH_ITS_OWN if name in template.locked]:
        locked = titled(template.request["recipe"], held)
        message = f"The template '{template.name}' locks {locked}; each subject has its own."
        hint = "Use another template, or change this one."
        raise InvalidInputError(message, hint, fields={"template": [f"{message} {hint}"]})
    applied(template, {**given, **dict.fromkeys(EACH_ITS_OWN, "its own")})


def unattended(template: JobTemplate) -> None:
    """Refuse a template that asks for something where there is nobody to ask: in a schedule, in automatic training."""
    if template.required:
        asked = titled(template.request["recipe"], template.required)
        message = f"The template '{template.name}' asks for {asked} anew, and there is nobody to ask."
        hint = "Use another template, or change this one so that it asks for nothing."
        raise InvalidInputError(message, hint, fields={"template": [f"{message} {hint}"]})


def without_asked(template: JobTemplate) -> dict[str, Any]:
    """The template's request without the values that are asked for anew."""
    left = {key: value for key, value in template.request.items() if key not in template.required}
    if "dataset" in template.required:
        left.pop("dataset_version", None)
    config = left.get("config", {})
    return left | {
        "config": {name: value for name, value in config.items() if forms.PREFIX + name not in template.required}
    }


def value(request: Mapping[str, Any], name: str) -> Any:
    """What a request has under a name; None for nothing."""
    return _of(request, name)


def titled(recipe: str, found: Sequence[str]) -> str:
    """Names in the words of the form: "'Steps' and 'Seed'"."""
    words = [f"'{title(recipe, name)}'" for name in found]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def title(recipe: str, name: str) -> str:
    return forms.title(recipe, name) or name


def _of(given: Mapping[str, Any], name: str) -> Any:
    if name.startswith(forms.PREFIX):
        return (given.get("config") or {}).get(name.removeprefix(forms.PREFIX))
    if name == "dataset" and given.get("dataset_version") is not None:
        return ("version", _key(given["dataset_version"]))
    found = given.get(name)
    return _key(found) if found != {} else None


def _key(found: Any) -> Any:
    return found.pk if isinstance(found, Row) else found


def _same(kept: Mapping[str, Any], name: str, mine: Any) -> bool:
    """Whether a value is the template's own, also when it is written in another way."""
    own = _of(kept, name)
    if mine == own or not name.startswith(forms.PREFIX):
        return bool(mine == own)
    setting = name.removeprefix(forms.PREFIX)
    try:
        return bool(creation.check_config(kept["recipe"], kept["config"] | {setting: mine})[setting] == own)
    except ProblemError:
        return False


def _wrong(rule: str, message: str, hint: str) -> InvalidInputError:
    return InvalidInputError(message, hint, fields={rule: [f"{message} {hint}"]})
