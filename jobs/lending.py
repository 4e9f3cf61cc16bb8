"""What another job or a template lends to the form of a new job, and what a template's rules do to its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from common.access import get_visible
from datasets.freezing.splits import CONTENT, KEY
from datasets.models import DatasetVersion
from engine.catalogue import RECIPES
from jobs import blueprints, forms, new_fields, placing, schedules, template_rules
from jobs.automatic import settings as automatic
from jobs.forms import Setting
from jobs.generation import prompts
from jobs.models import Job, JobTemplate
from jobs.template_rules import LOCKED, REQUIRED

PROMPTS = forms.PREFIX + prompts.SETTING
# Fields of the form that are one value of a request.
FIELDS = {
    "resources": ("device", "devices", "memory_gib", "labels"),
    "priority": ("priority", "priority_number"),
}


def start(user: AbstractBaseUser, values: Mapping[str, str]) -> dict[str, Any]:
    """What another job (`from`), a template (`template`) or one's settings of automatic training (`defaults=mine`)
    lend: fields, settings and recipe; {} for none of them."""
    if template := template_of(user, values):
        kept, source = template_rules.without_asked(template), {"template": template}
    elif key := values.get("from"):
        job = get_visible(Job.objects.select_related("dataset_version", "model_version"), user, pk=key)
        kept, source = blueprints.of_job(job), {"job": job}
    elif values.get("defaults") == "mine":
        rule = automatic.of(user)
        kept, source = {"recipe": automatic.RECIPE, "config": automatic.config_of(rule)}, {}
        kept |= {"save_to": rule.dataset_id} if rule.dataset_id else {}
    else:
        return {}
    return {"values": lent(kept), "config": kept["config"], "recipe": kept["recipe"], **source}


def template_of(user: AbstractBaseUser, values: Mapping[str, str]) -> JobTemplate | None:
    """The template that the form began with. NotFoundError for one that is not there for them."""
    key = values.get("template")
    return get_visible(JobTemplate.objects.select_related("owner"), user, pk=key) if key else None


def lent(kept: Mapping[str, Any]) -> dict[str, str]:
    """The fields that a request fills, beside the recipe's settings."""
    found = {"recipe": kept["recipe"], "name": kept.get("name", ""), "seed": str(kept.get("seed", 0))}
    found |= {key: str(kept.get(key, "")) for key in ("dataset", *new_fields.ROWS)} | placing.lent(kept)
    if frozen := kept.get("dataset_version"):
        version = DatasetVersion.objects.filter(pk=frozen).first()
        found["dataset"] = str(version.dataset_id) if version else ""
    fractions = ("validation_fraction", "test_fraction")
    found |= {name: f"{kept[name]:g}" for name in fractions if kept.get(name) is not None}
    return found | {"split_by": kept.get("split_by", CONTENT), "split_key": kept.get("split_key", KEY)}


def rules(template: JobTemplate | None) -> dict[str, str]:
    """Field of the form → 'required' or 'locked'."""
    ruled = {REQUIRED: template.required, LOCKED: template.locked} if template else {}
    return {field: rule for rule, names in ruled.items() for name in names for field in _fields(name)}


def held(template: JobTemplate | None) -> dict[str, str]:
    """What the locked fields hold. A browser sends no locked field, so the server fills them in."""
    if template is None or not template.locked:
        return {}
    config = template.request["config"]
    texts = lent(template.request) | {forms.PREFIX + name: forms.shown(value) for name, value in config.items()}
    texts["priority_number"] = texts["priority"]
    return {field: texts.get(field, "") for name in template.locked for field in _fields(name)}


def filled(user: AbstractBaseUser, values: Mapping[str, str]) -> dict[str, str]:
    """What was typed, with what the template holds."""
    return {**values, **held(template_of(user, values))}


def check(template: JobTemplate, posted: Mapping[str, str]) -> None:
    """InvalidInputError, at its fields, for a form that the template's rules do not allow."""
    wrong: dict[str, str] = {}
    own = held(template)
    filled_in = {PROMPTS} if prompts.typed(posted) else set()  # by a template of a sheet
    for name in template.required:
        if not posted.get(name, "").strip() and name not in filled_in:
            wrong[name] = template_rules.ASKED
    wrong |= dict.fromkeys(filled_in & set(template.locked), template_rules.KEPT)
    for name in template.locked:
        if any(posted.get(field, own[field]).replace("\r\n", "\n") != own[field] for field in _fields(name)):
            wrong[name] = template_rules.KEPT
    if rules(template) and posted.get("recipe") != template.request["recipe"]:
        wrong["recipe"] = template_rules.SAME_RECIPE
    template_rules.refuse(template, wrong)


def exactly(template: JobTemplate, user: AbstractBaseUser, wanted: dict[str, Any]) -> dict[str, Any]:
    """A request with the very values that the template locks: a form rounds some of them."""
    kept = template.request
    rows = blueprints.rows(user, {key: kept[key] for key in (*template.locked, "dataset_version") if key in kept})
    found = dict(wanted)
    for name in template.locked:
        if name.startswith(forms.PREFIX):
            setting = name.removeprefix(forms.PREFIX)
            found["config"] = {**found["config"], setting: kept["config"][setting]}
        elif name == "dataset":
            found |= {key: rows.get(key) for key in ("dataset", "dataset_version")}
        else:
            found[name] = rows.get(name, kept[name])
    if "name" in template.locked:
        found["name"] = blueprints.named(kept["name"], schedules.database_now())
    return found


def ruled(groups: Mapping[str, Sequence[Setting]], rule: Mapping[str, str], typed: bool) -> dict[str, list[Setting]]:
    """The settings of the form as the rules show them: what is asked for begins empty, what is locked has no advice."""
    return {group: [_ruled(one, rule.get(one.key), typed) for one in settings] for group, settings in groups.items()}


def _ruled(setting: Setting, rule: str | None, typed: bool) -> Setting:
    if rule == LOCKED:
        return replace(setting, advice=None)
    if rule != REQUIRED:
        return setting
    asked = replace(setting, value=setting.value if typed else "", default="")
    return replace(asked, kind="choice", choices=["on", "off"]) if setting.kind == "checkbox" else asked


def recipes(template: JobTemplate | None) -> list[Any] | None:
    """The recipes that can be chosen; None for all that suit. Rules are about the settings of one recipe."""
    ruled_by = template is not None and rules(template) and template.request["recipe"] in RECIPES
    return [RECIPES[template.request["recipe"]]] if template is not None and ruled_by else None


def _fields(name: str) -> tuple[str, ...]:
    return FIELDS.get(name, (name,))
