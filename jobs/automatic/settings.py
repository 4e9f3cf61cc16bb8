"""What a person settles for automatic training: read, changed, and used to start generating."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction

from accounts import audit
from common.access import get_visible
from common.errors import InvalidInputError, NotFoundError, ProblemError
from datasets.models import Dataset, Modality, Subject
from engine import catalogue
from engine.recipes.generate.config import GenerateConfig
from jobs import blueprints, creation, template_rules
from jobs.automatic import mail, starting, threshold
from jobs.generation import sources
from jobs.models import AutomaticTraining, FineTuning, Job, JobTemplate
from registry.models import ModelVersion

GENERATING = ("genres", "prompts", "generators", "judge", "minimum_quality", "examples")
RECIPE = "generate"
MOST = 1_000_000  # the largest threshold
NEWEST = 20  # fine-tunings that are listed
# What settings point at: field → rows, path to their owner.
ROWS: dict[str, tuple[Any, str]] = {
    "dataset": (Dataset.objects.select_related("subject"), "owner"),
    "template": (JobTemplate.objects, "owner"),
    "base_version": (ModelVersion.objects.select_related("model"), "model__owner"),
}
FIELDS = (
    *GENERATING, "enabled", "dataset", "threshold", "template", "recipe", "base_version", "tell_by_mail",
)  # fmt: skip


def of(owner: AbstractBaseUser, subject: Subject | None = None) -> AutomaticTraining:
    """The settings of a person, or of one of their subjects; defaults that are not stored where there are none."""
    rows = AutomaticTraining.objects.select_related("owner", "subject", *ROWS)
    if found := rows.filter(owner=owner, subject=subject).first():
        return found
    defaults = {name: field.default for name, field in GenerateConfig.model_fields.items() if name in GENERATING}
    return AutomaticTraining(owner=owner, subject=subject, **defaults)


def subject_of(owner: AbstractBaseUser, key: Any) -> Subject | None:
    """One's own subject by its id; None for no id. NotFoundError, at its field, for another's."""
    if key in (None, ""):
        return None
    try:
        return get_visible(Subject.objects.filter(owner=owner), owner, pk=key)
    except NotFoundError as problem:
        raise NotFoundError(problem.message, problem.hint, fields={"subject": [problem.message]}) from None


@transaction.atomic
def change(owner: AbstractBaseUser, subject: Subject | None = None, **values: Any) -> AutomaticTraining:
    """Change what is named, and try at once what had been refused. What points at a row is given by its id or None.

    InvalidInputError names each field that can't be used, NotFoundError what is not there for the owner.
    """
    get_user_model().objects.select_for_update(no_key=True).only("pk").get(pk=owner.pk)
    row = of(owner, subject)
    values = {name: value for name, value in values.items() if name in FIELDS}
    for name, value in values.items():
        setattr(row, name, _row(owner, name, value) if name in ROWS else value)
    if values.get("recipe") and "template" not in values:
        row.template = None
    _check(row)
    row.asked_at = row.retry_at = row.refused_after = None
    row.last_error = ""
    row.together_until = threshold.newest(row)
    row.save()
    audit.write(owner, "changed", row, fields=sorted(values), enabled=row.enabled, threshold=row.threshold)
    if row.enabled and threshold.reached(row):
        threshold.ask(row.pk)
    return row


def start(rule: AutomaticTraining, *, idempotency_key: str = "") -> tuple[Job, bool]:
    """A job that generates as the settings say; and whether it was made now. Raises as `creation.create_job`."""
    try:
        return creation.create_job(
            rule.owner, recipe=RECIPE, config=config_of(rule), save_to=rule.dataset, subject=rule.subject,
            name=f"Examples: {rule.dataset.name}"[:200] if rule.dataset else "Examples",
            idempotency_key=idempotency_key,
        )  # fmt: skip
    except ProblemError as problem:
        told = {name.removeprefix("config."): texts for name, texts in problem.fields.items()}
        problem.fields = {"dataset" if name == "save_to" else name: texts for name, texts in told.items()}
        raise


def config_of(rule: AutomaticTraining) -> dict[str, Any]:
    """The settings of a run that generates, as its recipe takes them."""
    return {name: getattr(rule, name) for name in GENERATING}


def shown(rule: AutomaticTraining) -> dict[str, Any]:
    """How far it is, as the API tells it."""
    found = threshold.count(rule) if rule.pk else 0
    return {"examples": found, "threshold": rule.threshold, "enabled": rule.enabled}


def fine_tunings(rule: AutomaticTraining) -> list[FineTuning]:
    """The newest ones that it started."""
    if not rule.pk:
        return []
    return list(rule.fine_tunings.select_related("job", "generated_by").order_by("-number")[:NEWEST])


def _row(owner: AbstractBaseUser, name: str, key: Any) -> Any:
    if key in (None, ""):
        return None
    rows, path = ROWS[name]
    if name == "template":  # its settings are the owner's, whoever else may see it
        rows = rows.filter(owner=owner)
    try:
        return get_visible(rows.all(), owner, path, pk=key)
    except NotFoundError as problem:
        raise NotFoundError(problem.message, problem.hint, fields={name: [problem.message]}) from None


def _check(row: AutomaticTraining) -> None:
    wrong: dict[str, list[str]] = {}
    for look in (_generating, _dataset, _threshold, _training, _mail):
        try:
            look(row)
        except InvalidInputError as problem:
            wrong |= problem.fields
    if wrong:
        text = next(iter(wrong.values()))[0]
        raise InvalidInputError(text, "Correct the marked fields.", fields=wrong)


def _generating(row: AutomaticTraining) -> None:
    try:
        checked = creation.check_config(RECIPE, config_of(row))
        for name in GENERATING:
            setattr(row, name, checked[name])
        sources.check_named(row.owner, GenerateConfig.model_validate(checked))
    except InvalidInputError as problem:
        found = {name.removeprefix("config."): texts for name, texts in problem.fields.items()}
        problem.fields = found or {"generators": [problem.message]}
        raise


def _dataset(row: AutomaticTraining) -> None:
    chosen = row.dataset
    if chosen is None:
        return
    if chosen.modality != Modality.TEXT:
        raise _wrong("dataset", f"'{chosen.name}' holds {chosen.get_modality_display().lower()}, no texts.")
    if row.subject and chosen.subject_id not in (None, row.subject.pk):
        raise _wrong("dataset", f"'{chosen.name}' is about someone or something else than {row.subject.name}.")
    others = AutomaticTraining.objects.filter(owner=row.owner, dataset=chosen).exclude(pk=row.pk)
    if other := others.select_related("subject").first():
        whose = f"those of {other.subject.name}" if other.subject else "those of all your examples"
        raise _wrong("dataset", f"'{chosen.name}' is named by other settings: {whose}. Each example counts once.")


def _threshold(row: AutomaticTraining) -> None:
    if isinstance(row.threshold, bool) or not 1 <= row.threshold <= MOST:
        raise _wrong("threshold", f"Use a whole number from 1 to {MOST:,}.")


def _training(row: AutomaticTraining) -> None:
    """What would be refused later is refused now, as far as it can be known without the examples."""
    field = "template" if row.template else "recipe"
    recipe = row.template.request.get("recipe", "") if row.template else row.recipe
    if recipe not in catalogue.RECIPES:
        raise _wrong(field, f"There is no recipe '{recipe[:50]}'.")
    if catalogue.recipe(recipe).modality != Modality.TEXT:
        raise _wrong(field, f"The recipe {recipe} does not learn from texts.")
    if row.template is not None:
        template_rules.unattended(row.template)
        given = {"dataset": row.dataset_id, "subject": row.subject_id}
        template_rules.applied(row.template, {name: value for name, value in given.items() if value is not None})
    request = starting.request_of(row)
    if row.dataset is None:
        request.pop("dataset", None)
    try:
        if row.dataset is not None:
            blueprints.check(row.owner, request)
        else:
            creation.check_parts(row.owner, recipe, None, None, None if row.template else row.base_version)
    except ProblemError as problem:
        place = "base_version" if not row.template and row.base_version else field
        raise _wrong(place, f"{problem.message} {problem.hint}".strip()) from None


def _mail(row: AutomaticTraining) -> None:
    if not row.tell_by_mail:
        return
    if reason := mail.why_not(row.owner):
        raise _wrong("tell_by_mail", reason)


def _wrong(field: str, message: str) -> InvalidInputError:
    return InvalidInputError(message, "Correct the marked fields.", fields={field: [message]})
