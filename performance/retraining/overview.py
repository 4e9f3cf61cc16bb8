"""What people are shown: who sees which retraining, what a policy would do next, and why not now."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now, TruncMonth

from common.errors import ProblemError
from common.wording import ago, brief, duration, metric, moment_utc, number
from datasets.gating import gates
from datasets.models import Dataset, Modality
from jobs import conflicts, estimates
from jobs.models import Job
from jobs.schedules import database_now
from jobs.states import ACTIVE
from performance.models import DriftCheck, Retraining, RetrainingPolicy
from performance.models.retraining import STATES
from performance.retraining import arrivals, bounds, evidence, policies, requests
from performance.retraining.lines import champion_of, dataset_of, job_of
from registry.access import models_for
from registry.models import Model, ModelVersion


@dataclass(frozen=True)
class Ahead:
    """What a training that starts now would learn from, and take; each in words."""

    lines: list[str] = field(default_factory=list)


def retrainings_for(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Retraining]:
    """Those that somebody may see: those of the models that they see, newest first."""
    related = ("model__owner", "job", "champion__model", "challenger__model", "asked_by", "approved_by", "policy")
    hidden = ("model__owner__password", "asked_by__password", "approved_by__password")
    rows = Retraining.objects.filter(model__in=models_for(user).order_by().values("pk"))
    return rows.select_related(*related).defer(*hidden).order_by("-pk")


def policies_for(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Model]:
    """The models that can be trained again, with their policy, the retraining that is open, and what was used of their
    limits: in one query."""
    rows = Retraining.objects.filter(model=OuterRef("pk"))
    made = rows.filter(job__isnull=False)
    month = made.filter(created_at__gte=TruncMonth(Now(), tzinfo=UTC)).order_by().values("model")
    found = models_for(
        user, Model.objects.select_related("owner", "retraining_policy__dataset").defer("owner__password")
    )
    return (
        found.filter(Exists(ModelVersion.objects.filter(model=OuterRef("pk"), status=ModelVersion.Status.READY)))
        .select_related("retraining_policy__template")
        .annotate(
            open_id=Subquery(rows.filter(status__in=Retraining.OPEN).values("pk")[:1]),
            open_status=Subquery(rows.filter(status__in=Retraining.OPEN).values("status")[:1]),
            last_at=Subquery(made.order_by("-created_at").values("created_at")[:1]),
            month_count=Coalesce(Subquery(month.annotate(count=Count("pk")).values("count")[:1]), 0),
        )
        .order_by(F("retraining_policy__enabled").desc(nulls_last=True), "name", "pk")
    )


def row_of(model: Any, now: datetime) -> dict[str, Any]:
    """A line of the list of policies: what it would do next, and why not now. Asks the database nothing."""
    policy = getattr(model, "retraining_policy", None)
    if policy is not None:
        policy.model = model
    lines = []
    if model.open_id:
        lines.append(f"Retraining {model.open_id} {STATES[model.open_status]}.")
    if policy and policy.next_at:
        lines.append(f"Its schedule comes next on {moment_utc(policy.next_at)}.")
    if policy and policy.cooldown_hours and model.last_at:
        until = model.last_at + timedelta(hours=policy.cooldown_hours)
        lines += [f"Cooldown until {moment_utc(until)}."] if until > now else []
    if policy and policy.budget_jobs is not None:
        lines.append(f"{number(model.month_count)} of {number(policy.budget_jobs)} trainings of this month are used.")
    if policy and policy.refusal:
        lines.append(policy.refusal)
    return {"model": model, "policy": policy, "words": policies.briefly(policy) if policy else "", "lines": lines}


def seen_in_words(policy: RetrainingPolicy) -> list[str]:
    """What the triggers see now, and nobody acted on yet."""
    return [one.words for one in evidence.seen(policy)] if policy.pk else []


def why_not_now(policy: RetrainingPolicy) -> str:
    """Why no training of the model can start now, in words; '' when one can."""
    model = policy.model
    if known := model.retrainings.filter(status__in=Retraining.OPEN).first():
        return f"Retraining {known.pk} {known.state}."
    try:
        bounds.check(policy)
        if Job.objects.filter(model=model, status__in=ACTIVE).exists():
            raise conflicts.busy(model, None, model.recipe)
        requests.check(model, policy)
    except ProblemError as problem:
        return f"{problem.message} {problem.hint}".strip()
    return ""


def standing(policy: RetrainingPolicy) -> list[str]:
    """How near each trigger is, and how much of its limits is used; a sentence each."""
    lines = []
    if policy.enabled and policy.next_at:
        lines.append(f"Its schedule comes next on {moment_utc(policy.next_at)}.")
    if policy.new_items and (dataset := dataset_of(policy)):
        (since,) = arrivals.since_when([(policy.model_id, champion_of(policy.model), dataset)])
        count = arrivals.count(dataset, since.at)
        lines.append(f"{number(count)} of {number(policy.new_items)} new {_unit(dataset)} are in '{dataset.name}'.")
    if policy.metric and policy.metric_value is not None:
        lines.append(_figure(policy))
    if kinds := policy.drift_kinds:
        lines.append(_drift(policy, kinds))
    until = bounds.cooldown_until(policy)
    if until and until > database_now():
        lines.append(f"Its cooldown lasts until {moment_utc(until)}.")
    lines += _budget(policy)
    return lines


def ahead(model: Model) -> Ahead:
    """What a training that somebody starts now would do."""
    policy = policies.of(model)
    champion = champion_of(model)
    lines = [f"The champion is {champion}." if champion else "There is no champion yet."]
    if dataset := dataset_of(policy):
        plan, why = requests.settled(policies.plan(policy), {}, dataset)
        items = gates.trainable(dataset)
        if plan["window"] != RetrainingPolicy.Window.ALL:
            items = items.filter(pk__in=requests.in_window(dataset, plan, champion))
        since = champion.dataset_version.created_at if champion and champion.dataset_version else None
        new = f", {number(arrivals.count(dataset, since))} {_unit(dataset)} of the dataset are new" if since else ""
        noun = "tables" if dataset.modality == Modality.TABLE else "items"
        lines.append(
            f"It learns from {number(items.count())} {noun} of '{dataset.name}' ({requests.window_words(plan)})"
            + new
            + "."
        )
        lines += [why] if why else []
    lines.append(_expected(model))
    lines.append(
        "Somebody must approve it first." if policy.approvals_start else "Its job goes into the queue at once."
    )
    lines.append(f"When it has ended, {policies.AFTERWARDS[policies.After(policy.after)]}.")
    return Ahead(lines)


def _expected(model: Model) -> str:
    job = job_of(champion_of(model))
    if job is None:
        return "How long it takes is not known: no job made the champion."
    made = estimates.estimate(
        job.recipe, job.config, job.dataset_version, resources=job.resources, base_version=job.base_version_id
    )
    if made.seconds is None:
        return f"The champion's job took {duration(job.spent_seconds or job.elapsed_seconds())}."
    return f"It takes about {duration(made.seconds)}, by {number(made.runs)} runs like it."


def _figure(policy: RetrainingPolicy) -> str:
    values = evidence.watched(policy)
    if values:
        now = f"{policy.metric} is {metric(policy.metric, values[0].value)}, {ago(values[0].recorded_at)}"
        return f"{now}; the limit is {metric(policy.metric, policy.metric_value)}."
    return policies.no_such_figure(policy) or f"There is no {policy.metric} of the champion since its training yet."


def _drift(policy: RetrainingPolicy, kinds: list[str]) -> str:
    rows = DriftCheck.objects.filter(model=policy.model_id, about__in=kinds, status=DriftCheck.Status.COMPLETED)
    last = rows.exclude(moved=None).order_by("-pk").first()
    if last is None:
        return f"No check of {' or '.join(kinds)} for drift has ended yet."
    what = "moved" if last.moved else "as they were"
    return f"{last.get_about_display()} were looked at {ago(last.finished_at)}: {what}."


def _budget(policy: RetrainingPolicy) -> list[str]:
    if policy.budget_jobs is None and policy.budget_device_hours is None:
        return []
    used = bounds.spent(policy)
    lines = []
    if policy.budget_jobs is not None:
        lines.append(f"{number(used.jobs)} of {number(policy.budget_jobs)} trainings of this month are used.")
    if policy.budget_device_hours is not None:
        hours = brief(policy.budget_device_hours)
        lines.append(f"{brief(used.device_hours)} of {hours} device hours of this month are used.")
    return lines


def _unit(dataset: Dataset) -> str:
    return "rows" if dataset.modality == Modality.TABLE else "items"


def figures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The comparisons of a report, those of groups last."""
    return sorted(report.get("compared", []), key=lambda one: one["group"] is not None)
