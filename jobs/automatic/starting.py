"""A fine-tuning that starts by itself: once for each threshold that is reached, whoever looks and whatever dies.

The examples are put into the dataset, and it is frozen, before anything is locked: both may take a while, and both can
be done again. One transaction then makes the job and marks the examples that it takes in.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from psycopg.errors import LockNotAvailable

from common.errors import ConflictError, InvalidInputError, ProblemError
from common.outages import database_is_away
from common.push import publish
from common.wording import number as in_digits
from datasets.models import DatasetVersion, Subject
from jobs import blueprints, conflicts, creation, limits, runs, schedules
from jobs.automatic import mail, threshold
from jobs.generation import saving
from jobs.lifecycle import record
from jobs.models import AutomaticTraining, FineTuning, GeneratedExample, Job, OutboxMessage
from jobs.outbox import wake_on_commit
from jobs.states import ACTIVE
from registry.models import Model

log = logging.getLogger(__name__)

STARTED = "fine_tuning_started"  # the topic for the history, and the event of the job that generated
RETRY = timedelta(seconds=15)  # after what passes by itself, and between two tries that are refused
LOCK_TRIES, LOCK_SECONDS = 40, 0.05
NAME = "Fine-tuning {number}"
DATA = ("dataset", "dataset_version", "validation_fraction", "test_fraction", "split_by", "split_key")


@dataclass(frozen=True)
class Ready:
    """What a fine-tuning would take in: examples that lie in the dataset, as it was frozen with them."""

    examples: list[int]
    version: DatasetVersion
    request: dict[str, Any]


def start_all(rule_id: int) -> int:
    """Start what the rule's new examples complete; how many fine-tunings."""
    AutomaticTraining.objects.filter(pk=rule_id).update(asked_at=None)
    made = 0
    while start(rule_id):
        made += 1
    return made


def start(rule_id: int) -> FineTuning | None:
    """One fine-tuning, when there are enough examples; None when there is nothing to start, or not now."""
    rule = threshold.due().select_related("owner", "dataset", "template", "subject").filter(pk=rule_id).first()
    if rule is None or not threshold.reached(rule):
        return None
    try:
        ready = _ready(rule)
        return _begin_when_free(rule, ready) if ready else None
    except ConflictError as problem:  # passes by itself: a busy model, a limit, an import that is at work
        _put_off(rule, f"{problem.message} {problem.hint}")
    except ProblemError as problem:
        _refuse(rule, f"{problem.message} {problem.hint}")
    except (OperationalError, InterfaceError) as error:
        if database_is_away(error):
            raise  # the next sweep tries again
        log.exception("rule %s can't start its fine-tuning now", rule_id)
        _put_off(rule, "The database took too long. It is tried again.")
    except Exception as error:
        log.exception("rule %s can't start its fine-tuning", rule_id)
        _put_off(rule, f"An error in TrainHub: {type(error).__name__}. The worker's log says more.")
    return None


def request_of(rule: AutomaticTraining) -> dict[str, Any]:
    """What the rule's fine-tunings are asked for, as `jobs.blueprints` keeps it."""
    given: dict[str, Any] = {"dataset": rule.dataset_id}
    if rule.subject_id:
        given["subject"] = rule.subject_id
    if rule.template is not None:
        kept = {"name": NAME} | rule.template.request
        return {key: value for key, value in blueprints.altered(kept, given).items() if key != "save_to"}
    if rule.base_version_id:
        given["base_version"] = rule.base_version_id
    return {"recipe": rule.recipe, "name": NAME, "config": {}} | given


def _ready(rule: AutomaticTraining) -> Ready | None:
    if not rule.owner.is_active:
        raise InvalidInputError(
            f"The account of {rule.owner.get_username()} is switched off.", "An administrator can switch it on."
        )
    request = request_of(rule)
    _check_free(rule, request)
    for job in Job.objects.filter(pk__in=threshold.uncounted(rule).filter(item=None).order_by().values("job")):
        saving.save(job)
    saved = list(threshold.uncounted(rule).filter(item__dataset=rule.dataset_id).values_list("pk", flat=True))
    if len(saved) < rule.threshold:
        return None  # someone else takes them just now
    split = {name: request.get(name) for name in DATA[2:]}
    config = creation.check_config(request["recipe"], request.get("config", {}))
    frozen = creation.freeze(
        rule.owner, request["recipe"], config, rule.dataset, None, split, creation.check_seed(request.get("seed"))
    )
    if frozen is None:
        raise InvalidInputError(f"The recipe {request['recipe']} learns from no data.", "Choose another one.")
    kept = {key: value for key, value in request.items() if key not in DATA}
    return Ready(saved, frozen, kept | {"dataset_version": frozen.pk})


@transaction.atomic
def _check_free(rule: AutomaticTraining, request: dict[str, Any]) -> None:
    """ConflictError for what may be in the way for hours, before the dataset is frozen for nothing."""
    model = Model.objects.filter(pk=request.get("model")).first()
    subject = Subject.objects.filter(pk=request.get("subject") or rule.dataset.subject_id).first()
    limits.check_room(rule.owner, subject)
    active = Job.objects.filter(status__in=ACTIVE)
    if (model and active.filter(model=model).exists()) or (
        subject and active.filter(subject=subject, recipe=request["recipe"]).exists()
    ):
        raise conflicts.busy(model, subject, request["recipe"])


def _begin_when_free(rule: AutomaticTraining, ready: Ready) -> FineTuning | None:
    """`_begin`, as soon as nobody holds the jobs that made the examples: a supervisor does so for moments."""
    for _ in range(LOCK_TRIES):
        try:
            return _begin(rule, ready)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        time.sleep(LOCK_SECONDS)
    return None


@transaction.atomic
def _begin(seen: AutomaticTraining, ready: Ready) -> FineTuning | None:
    """Make the job, and mark what it takes in, if nobody else was faster and the settings are still the same."""
    rows = threshold.due().select_for_update(of=("self",), skip_locked=True).select_related("owner", "subject")
    rule = rows.filter(pk=seen.pk, updated_at=seen.updated_at).first()
    if rule is None:
        return None
    limits.take_turns(rule.owner, ready.version.dataset.subject or rule.subject)
    _hold_jobs(rule, ready.examples)
    rest = threshold.uncounted(rule).filter(pk__in=ready.examples).select_related("job")
    found = list(rest.only("pk", "attempt_number", "job__name", "job__owner", "job__attempt_number"))
    taken = _taken(rule, found)
    if len(taken) < rule.threshold:
        return None
    number = (rule.fine_tunings.aggregate(most=Max("number"))["most"] or 0) + 1
    job = blueprints.start(rule.owner, ready.request, schedules.database_now(), number)
    made = _note(rule, number, job, taken)
    AutomaticTraining.objects.filter(pk=rule.pk).update(asked_at=None, retry_at=None, refused_after=None, last_error="")
    mail.tell_started(rule, made)
    return made


def _taken(rule: AutomaticTraining, found: list[GeneratedExample]) -> list[GeneratedExample]:
    """As many as the threshold, however late somebody looks; but of what gathered while nothing could start as many
    thresholds as there are: several jobs would learn from the same data."""
    gathered = sum(one.pk <= (rule.together_until or 0) for one in found) // rule.threshold
    return found[: max(1, gathered) * rule.threshold]


def _hold_jobs(rule: AutomaticTraining, examples: list[int]) -> None:
    """Nothing that waits for these rows holds one that is needed here: whoever else has one is not waited for."""
    makers = threshold.uncounted(rule).filter(pk__in=examples).order_by().values("job")
    held = Job.objects.filter(pk__in=makers).select_for_update(of=("self",), nowait=True)
    list(held.order_by("pk").values_list("pk", flat=True))


def _note(rule: AutomaticTraining, number: int, job: Job, taken: list[GeneratedExample]) -> FineTuning:
    """What started it, wherever somebody may look for it."""
    last = taken[-1]
    maker = last.job
    first = runs.first_attempt(maker.pk, last.attempt_number or maker.attempt_number)
    made = FineTuning.objects.create(
        rule=rule, number=number, job=job, generated_by=maker, session_id=runs.session_id_of(maker.pk, first),
        examples=len(taken), threshold=rule.threshold, at=Now(),
    )  # fmt: skip
    GeneratedExample.objects.filter(pk__in=[one.pk for one in taken]).update(fine_tuning=made)
    count = f"{in_digits(len(taken))} new {'example' if len(taken) == 1 else 'examples'}"
    facts = {"fine_tuning": made.pk, "rule": rule.pk, "session_id": str(made.session_id)}
    record(
        job, "triggered", details=facts | {"generated_by": maker.pk},
        message=f"Fine-tuning {number} was started by {count}; the last came from job {maker.pk} '{maker.name[:100]}'.",
    )  # fmt: skip
    record(
        maker, STARTED, details=facts | {"job": job.pk},
        message=f"Fine-tuning {number} was started by {count}: job {job.pk} '{job.name[:100]}'.",
    )  # fmt: skip
    word = OutboxMessage(topic=STARTED, job=maker, attempt_number=first)  # one for a run is enough
    OutboxMessage.objects.bulk_create([word], ignore_conflicts=True)
    wake_on_commit(evaluated=False)
    return made


def _put_off(rule: AutomaticTraining, why: str) -> None:
    _write_down(rule, why, refused_after=None, together_until=threshold.newest(rule))


def _refuse(rule: AutomaticTraining, why: str) -> None:
    newest = threshold.newest(rule)
    if _write_down(rule, why, refused_after=newest, together_until=newest):
        mail.tell_refused(rule, why)


def _write_down(rule: AutomaticTraining, why: str, **columns: Any) -> int:
    """Unless the settings were changed meanwhile: then it is tried with these. How often it was new."""
    guard = AutomaticTraining.objects.filter(pk=rule.pk, updated_at=rule.updated_at)
    guard.update(asked_at=None, retry_at=Now() + RETRY, **columns)
    publish(f"jobs.{rule.owner_id}")
    return guard.exclude(last_error=why[:500]).update(last_error=why[:500])
