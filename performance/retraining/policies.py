"""A model's policy: read, changed, and said in words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from accounts import audit
from common.access import get_visible
from common.errors import ForbiddenError, InvalidInputError, NotFoundError, ProblemError
from common.wording import brief, metric, number
from datasets.models import Dataset
from engine.catalogue import RECIPES
from jobs import template_rules
from jobs.models import JobTemplate
from jobs.rules import Rule, read_zone
from jobs.schedules import NEVER, database_now
from performance import trends
from performance.models import RetrainingPolicy
from performance.retraining import requests, story
from registry import access
from registry.access import Action
from registry.models import Model

NAMED = 3  # figures that are like one that is not found
After, Window = RetrainingPolicy.After, RetrainingPolicy.Window
# What a person settles. Rows are named by their ids.
FIELDS = (
    "enabled", "rule", "zone", "new_items", "metric", "metric_source", "metric_group", "metric_direction",
    "metric_value", "metric_periods", "metric_count", "drift_inputs", "drift_predictions", "drift_errors",
    "cooldown_hours", "budget_jobs", "budget_device_hours", "dataset", "window", "window_count", "collect", "template",
    "approvals_start", "approvals_promotion", "after",
)  # fmt: skip
ROWS: dict[str, Any] = {"dataset": Dataset.objects, "template": JobTemplate.objects}
MOST = 1_000_000
AFTERWARDS = {
    After.NOTHING: "nothing more happens",
    After.REPORT: "it is compared with the champion, and a person decides",
    After.AB: "it is compared with the champion, and an A/B test between the two starts",
    After.SHADOW: "it is compared with the champion, and answers in its shadow for a test",
    After.PROMOTE: "it is compared with the champion, and promoted when it is better",
}


def of(model: Model) -> RetrainingPolicy:
    """The policy of a model. Where there is none, one that is not stored: nothing by itself, no limits, and a person
    who asks for a training needs no approval for it."""
    rows = RetrainingPolicy.objects.select_related("model__owner", "dataset", "template").defer(
        "model__owner__password"
    )
    known = rows.filter(model=model).first()
    return known or RetrainingPolicy(model=model, approvals_start=0, cooldown_hours=0, budget_jobs=None)


def plan(policy: RetrainingPolicy) -> dict[str, Any]:
    """What a retraining that starts now keeps to, whatever becomes of the policy."""
    kept = {
        name: getattr(policy, name) for name in ("window", "window_count", "collect", "approvals_promotion", "after")
    }
    return kept | {"dataset": policy.dataset_id, "template": policy.template_id}


def may_change(user: AbstractBaseUser, model: Model) -> bool:
    """Whether somebody may have this model trained again, and settle when that happens."""
    return access.may(user, Action.PROMOTE, model)


def require(user: AbstractBaseUser, model: Model) -> None:
    """ForbiddenError when somebody who sees the model may not have it trained again."""
    if not may_change(user, model):
        raise ForbiddenError(
            f"You may not have {model} trained again.",
            "That is for its owner, and people of the role Release managers; an administrator gives roles.",
        )


@transaction.atomic
def change(model: Model, by: AbstractBaseUser, **values: Any) -> RetrainingPolicy:
    """Change what is named (see FIELDS); None clears what can be empty. What is open goes on as it started.

    InvalidInputError names each field that can't be used, NotFoundError what the model's owner has not; ForbiddenError
    for who may not, and for asking for fewer approvals without the role that gives them.
    """
    require(by, model)
    Model.objects.select_for_update(no_key=True).get(pk=model.pk)
    row = RetrainingPolicy.objects.filter(model=model).first() or RetrainingPolicy(model=model)
    asked_for = (row.approvals_start, row.approvals_promotion) if row.pk else (0, 0)
    before = (row.rule, row.zone, row.enabled)
    _take(row, values)
    _check_approvals(row, by, asked_for)
    if (row.rule, row.zone, row.enabled) != before or not row.enabled or row.rule is None:
        row.next_at = _next(row)
    row.changed_by, row.refusal, row.refused_at = by, "", None
    row.save()
    words = in_words(row)
    story.note(model, "policy_changed", words, actor=by, details={"changed": sorted(values)})
    audit.write(by, "retraining policy changed", row, **{name: _plain(row, name) for name in FIELDS})
    story.tell(None)
    return row


def tried(model: Model, **values: Any) -> RetrainingPolicy:
    """The policy as these values would make it; nothing is stored. Raises as `change` does of values."""
    row = RetrainingPolicy.objects.select_related("model__owner", "dataset", "template").filter(model=model).first()
    row = row or RetrainingPolicy(model=model)
    _take(row, values)
    return row


def _take(row: RetrainingPolicy, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(row, name, _row(row.model, name, value) if name in ROWS else value)
    _check(row)


def values_of(row: RetrainingPolicy) -> dict[str, Any]:
    """What is settled, rows by their ids."""
    return {name: _plain(row, name) for name in FIELDS}


def triggers_in_words(row: RetrainingPolicy) -> list[str]:
    """What starts a training, one a line; none where it starts by hand alone."""
    found = []
    if row.rule:
        found.append(f"{Rule.read(row.rule, database_now())}, {row.zone}")
    if row.new_items:
        found.append(f"when there are {number(row.new_items)} new items, or rows of tables, since the champion's data")
    if row.metric and row.metric_value is not None:
        where = f" of the group {row.metric_group}" if row.metric_group else ""
        often = f" {row.metric_periods} times in a row" if row.metric_periods > 1 else ""
        least = f", each from {number(row.metric_count)} outcomes or more" if row.metric_count else ""
        limit = metric(row.metric, row.metric_value)
        found.append(f"when {row.metric}{where} is {row.metric_direction} {limit}{often}{least}")
    if kinds := row.drift_kinds:
        found.append(f"when a drift of {' or '.join(kinds)} is seen")
    return found


def briefly(row: RetrainingPolicy) -> str:
    """What starts it and what follows, in a line."""
    starts = "; ".join(triggers_in_words(row)) or "when somebody asks for it"
    return (
        f"{starts[:1].upper()}{starts[1:]}. Then: {row.get_after_display()[:1].lower()}{row.get_after_display()[1:]}."
    )


def in_words(row: RetrainingPolicy) -> str:
    """The whole policy as a paragraph."""
    triggers = triggers_in_words(row)
    if not row.enabled:
        first = "It is off: the model is trained again only when somebody asks for it."
    elif not triggers:
        first = "It has no trigger: the model is trained again only when somebody asks for it."
    else:
        first = f"The model is trained again {', or '.join(triggers)}."
    limits = [f"at most once in {number(row.cooldown_hours)} hours"] if row.cooldown_hours else []
    limits += [f"{number(row.budget_jobs)} times a month at most"] if row.budget_jobs is not None else []
    if row.budget_device_hours is not None:
        limits.append(f"within {brief(row.budget_device_hours)} device hours a month")
    bound = f" That happens {', '.join(limits)}." if limits else ""
    asked = " Somebody must approve it first." if row.approvals_start else ""
    how = f"the template '{row.template.name}'" if row.template else "the settings of the champion"
    data = requests.window_words({"window": row.window, "window_count": row.window_count})
    where = f" of '{row.dataset.name}'" if row.dataset else " of the champion's dataset"
    adds = ", to which predictions are added whose truth is known" if row.collect else ""
    learns = f" It learns with {how} from {data}{where}{adds}."
    after = f" Then {AFTERWARDS[After(row.after)]}"
    last = ", once somebody has approved that" if row.approvals_promotion and row.after in _PROMOTES else ""
    return f"{first}{bound}{asked}{learns}{after}{last}. {no_such_figure(row)}".rstrip()


def no_such_figure(row: RetrainingPolicy) -> str:
    """That the watched figure is none of the model's: not yet, or its name is misspelt; '' when there is one. Not
    refused, because the program that records it may start later."""
    if not row.metric or row.metric in (known := trends.names(row.model)):
        return ""
    near = get_close_matches(row.metric, known, NAMED, 0.5)
    hint = f" Is {' or '.join(near)} meant?" if near else ""
    return f"The model has no figure {row.metric} so far.{hint}"


_PROMOTES = {After.PROMOTE, After.AB, After.SHADOW}


def _plain(row: RetrainingPolicy, name: str) -> Any:
    return getattr(row, f"{name}_id") if name in ROWS else getattr(row, name)


def _row(model: Model, name: str, key: Any) -> Any:
    """A row of the model's owner, for whom the job will be."""
    if key in (None, ""):
        return None
    try:
        return get_visible(ROWS[name].filter(owner=model.owner), model.owner, pk=key)
    except NotFoundError:
        message = f"{model.owner.get_username()}, who owns the model, has no such {name}."
        raise NotFoundError(message, "Choose another one.", fields={name: [message]}) from None


def _check(row: RetrainingPolicy) -> None:
    wrong: dict[str, list[str]] = {}
    for look in (_rule, _numbers, _metric, _window, _template, _dataset, _choices):
        try:
            look(row)
        except ProblemError as problem:
            wrong |= problem.fields or {"rule": [f"{problem.message} {problem.hint}"]}
    if wrong:
        raise InvalidInputError(next(iter(wrong.values()))[0], "Correct the marked fields.", fields=wrong)


def _rule(row: RetrainingPolicy) -> None:
    zone = read_zone(row.zone or "UTC")
    row.zone = str(zone)
    if row.rule:
        row.rule = Rule.read(row.rule, database_now()).stored()
    else:
        row.rule = None


def _next(row: RetrainingPolicy) -> Any:
    if not row.enabled or row.rule is None:
        return None
    now = database_now()
    found = Rule.read(row.rule, now).next_after(now, read_zone(row.zone))
    if found is None:
        raise _wrong("rule", NEVER)
    return found


LIMITS = {
    "new_items": (1, MOST), "metric_periods": (1, 100), "metric_count": (0, MOST), "cooldown_hours": (0, 8760),
    "budget_jobs": (0, 10_000), "window_count": (1, MOST), "approvals_start": (0, 1), "approvals_promotion": (0, 1),
}  # fmt: skip


def _numbers(row: RetrainingPolicy) -> None:
    wrong = {}
    for name, (least, most) in LIMITS.items():
        value = getattr(row, name)
        if value is None and RetrainingPolicy._meta.get_field(name).null:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            wrong[name] = [f"Use a whole number from {least:,} to {most:,}."]
    hours = row.budget_device_hours
    if hours is not None and not (isinstance(hours, int | float) and 0 <= hours <= MOST):
        wrong["budget_device_hours"] = [f"Use a number from 0 to {MOST:,}."]
    if wrong:
        raise InvalidInputError("A number is out of range.", fields=wrong)


def _metric(row: RetrainingPolicy) -> None:
    if bool(row.metric) != (row.metric_value is not None):
        name = "metric_value" if row.metric else "metric"
        raise _wrong(name, "A figure and its limit belong together: name both, or neither.")


def _window(row: RetrainingPolicy) -> None:
    if row.window not in Window.values:
        raise _wrong("window", f"Choose one of: {', '.join(Window.values)}.")
    counted = row.window in {Window.DAYS, Window.ITEMS}
    if counted and row.window_count is None:
        raise _wrong("window_count", "Say how many days or items.")
    row.window_count = row.window_count if counted else None


def _template(row: RetrainingPolicy) -> None:
    if row.template is None:
        return
    recipe = row.template.request.get("recipe", "")
    if recipe != row.model.recipe:
        raise _wrong("template", f"'{row.template.name}' is for {recipe}, and the model is made by {row.model.recipe}.")
    try:
        template_rules.unattended(row.template)
    except ProblemError as problem:
        raise _wrong("template", f"{problem.message} {problem.hint}".strip()) from None


def _dataset(row: RetrainingPolicy) -> None:
    recipe = RECIPES.get(row.model.recipe)
    if row.collect and recipe and recipe.modality != "table":
        raise _wrong("collect", "Predictions become rows of tables alone, and this model learns from none.")
    if row.dataset and recipe and row.dataset.modality != recipe.modality:
        wanted = f"{recipe.modality} data" if recipe.modality else "no data"
        raise _wrong("dataset", f"'{row.dataset.name}' holds {row.dataset.modality}; {recipe.title} takes {wanted}.")


def _choices(row: RetrainingPolicy) -> None:
    for name in ("after", "metric_source", "metric_direction"):
        field = RetrainingPolicy._meta.get_field(name)
        known = [key for key, _ in field.choices or [] if key]
        if getattr(row, name) not in known and not (field.blank and getattr(row, name) == ""):
            raise _wrong(name, f"Choose one of: {', '.join(known)}.")


def _check_approvals(row: RetrainingPolicy, by: AbstractBaseUser, before: tuple[int, int]) -> None:
    """Whoever could take approvals away would need none."""
    fewer = row.approvals_start < before[0] or row.approvals_promotion < before[1]
    if fewer and not access.may(by, Action.APPROVE, row.model):
        raise ForbiddenError(
            "You may not ask for fewer approvals than the policy does.",
            "That is for people of the role Approvers; leave the approvals as they are, or ask one of them.",
        )


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, "Correct the marked fields.", fields={field: [message]})
