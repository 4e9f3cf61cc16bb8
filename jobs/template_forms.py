"""The rules of a template as its pages show and take them: for each value whether it is free, asked for or locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import visible
from common.pages import clean
from datasets.freezing.splits import RULE_WORDS
from engine.catalogue import RECIPES
from jobs import blueprints, forms, placing, presentation, template_rules
from jobs.models import JobTemplate
from jobs.template_rules import LOCKED, REQUIRED

PREFIX = "rule."
MOST_SHOWN = 200  # characters of a value
FREE = ("", "Free")
CHOICES = (FREE, (REQUIRED, "Asked for anew"), (LOCKED, "Locked"))


@dataclass(frozen=True)
class Ruled:
    """A value that a template can have a rule for."""

    name: str
    title: str
    value: str
    rule: str
    choices: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        return PREFIX + self.name


def typed(given: Mapping[str, str]) -> dict[str, str]:
    """Name → rule, of what a form sent; free values are left out."""
    return {clean(key.removeprefix(PREFIX)): rule for key, rule in given.items() if key.startswith(PREFIX) and rule}


def of(template: JobTemplate) -> dict[str, str]:
    return dict.fromkeys(template.required, REQUIRED) | dict.fromkeys(template.locked, LOCKED)


def lists(rules: Mapping[str, str]) -> dict[str, list[str]]:
    """As `blueprints.save` takes them. What is no rule is none."""
    return {wanted: [name for name, rule in rules.items() if rule == wanted] for wanted in (REQUIRED, LOCKED)}


def groups(user: AbstractBaseUser, request: Mapping[str, Any], rules: Mapping[str, str]) -> dict[str, list[Ruled]]:
    """Everything of a request that can have a rule, by group, with its value in words. At most one query a row."""
    recipe = request["recipe"]
    if recipe not in RECIPES:  # of a package that is gone
        return {}
    known, own = template_rules.names(recipe), _own(user, request)
    found = {"The job": [_ruled(recipe, name, own.get(name, ""), rules) for name in known if name in OWN]}
    for group, settings in forms.groups(recipe, request.get("config", {})).items():
        found[group] = [_ruled(recipe, setting.key, _in_words(setting), rules) for setting in settings]
    return found


def in_words(template: JobTemplate) -> tuple[str, str]:
    """(what is asked for, what is locked), each '' for nothing."""
    recipe = template.request["recipe"]
    titles = {
        rule: [template_rules.title(recipe, name) if recipe in RECIPES else name for name in names]
        for rule, names in ((REQUIRED, template.required), (LOCKED, template.locked))
    }
    return ", ".join(titles[REQUIRED]), ", ".join(titles[LOCKED])


OWN = frozenset(template_rules.OWN_VALUES)


def _ruled(recipe: str, name: str, value: str, rules: Mapping[str, str]) -> Ruled:
    can_be_asked = name.startswith(forms.PREFIX) or name in template_rules.CAN_BE_EMPTY
    choices = CHOICES if can_be_asked else (FREE, CHOICES[2])
    return Ruled(name, template_rules.title(recipe, name), value[:MOST_SHOWN], rules.get(name, ""), choices)


def _in_words(setting: forms.Setting) -> str:
    return ("on" if setting.value else "off") if setting.kind == "checkbox" else setting.value


def _own(user: AbstractBaseUser, request: Mapping[str, Any]) -> dict[str, str]:
    """The values beside the settings, as the form shows them."""
    texts = {name: str(request[name]) for name in OWN if request.get(name) not in (None, "", {})}
    texts |= {name: placing.length_shown(request.get(name)) for name in ("max_seconds", "stall_seconds")}
    texts["preemptible"] = "on" if request.get("preemptible") else "off"
    texts["priority"] = presentation.priority(request.get("priority", 0))
    texts["split_by"] = str(RULE_WORDS.get(request.get("split_by", ""), ""))
    needs = request.get("resources", {})
    texts["resources"] = ", ".join(
        str(value) if name == "device" else f"{name} {value}" for name, value in needs.items()
    )
    for key, (rows, owner) in blueprints.ROWS.items():
        if request.get(key):
            row = visible(rows.all(), user, owner).filter(pk=request[key]).first()
            texts["dataset" if key == "dataset_version" else key] = str(row) if row else "gone"
    return texts
