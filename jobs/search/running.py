"""How a search goes on: what its trials have come to is written down, those behind are ended, new ones are made.

Any process may die between two lines, so a search goes on by looking: at its rows, under its lock. A task knocks when
a trial ends, a sweep knocks again for searches at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django_q.models import OrmQ

from common.background import QUEUE, put
from common.errors import ConflictError, InvalidInputError, ProblemError
from common.files import store
from common.numbers import finite
from common.references import remove_unreferenced
from engine import catalogue
from jobs import control, creation
from jobs.models import Job, JobEvent, MetricSeries, ProgressRow, Search, Trial
from jobs.outbox import ADVANCE
from jobs.search import sampling
from jobs.search.sampling import CANCELLED
from jobs.search.verbs import end, locked, promote, settle
from jobs.states import ACTIVE, TERMINAL, Status

HOPELESS = 5  # trials that fail in a row before any has completed: the search ends
NO_METRIC = "It reported no "  # a trial that ran well without the search's metric: the others would not have it either
SWEEP_SECONDS = 3
POINTS = 2000


def advance(search_id: int) -> None:
    """Take a search as far as it goes now. What to try is thought about between transactions, none is held for it."""
    search = _look(search_id)
    while search is not None and (number := _next(search)):
        trials = list(search.trials.all())
        params = sampling.suggest(search, trials, number)
        if not _place(search_id, number, params):
            return
        search.refresh_from_db()
    if search is not None:
        _weigh(search)
        _finish(search_id)


def keep(job: Job, files: list[dict[str, Any]], metrics: dict[str, Any]) -> bool:
    """Write down what a completed job came to, in the transaction that completes it, if it is a trial. The files of
    the best trial so far are kept, others are not."""
    trial = Trial.objects.filter(job=job).first()
    if trial is None:
        return False
    search = locked(trial.search_id)
    trial.refresh_from_db(fields=["state"])
    if trial.state == Trial.State.PRUNED:
        return True  # it ended well before it could be ended early
    value = finite(metrics.get(search.metric))
    if not isinstance(value, int | float):
        known = ", ".join(sorted(metrics)) or "none"
        _close(trial, Trial.State.FAILED, reason=f"{NO_METRIC}'{search.metric}'. It reported: {known}.")
        return True
    trial.value = float(value)
    _close(trial, Trial.State.COMPLETED)
    best = search.best
    if best is None or best.value is None or _better(search, trial.value, best.value):
        Trial.objects.filter(pk=trial.pk).update(artifact=files)
        Search.objects.filter(pk=search.pk).update(best=trial)
        if best is not None and best.artifact:
            dropped = [file["sha256"] for file in best.artifact]
            Trial.objects.filter(pk=best.pk).update(artifact=[])
            transaction.on_commit(lambda: remove_unreferenced(store(), dropped), robust=True)
    return True


def sweep() -> None:
    """Knock for each search at work, now and then: trials that fall behind are seen, and lost knocks made good."""
    left = Search.objects.filter(status=Search.Status.CANCELLED, trials__state=Trial.State.RUNNING).values("pk")
    running = Search.objects.filter(Q(status=Search.Status.RUNNING) | Q(pk__in=left))
    fresh = Now() - timedelta(seconds=SWEEP_SECONDS)
    waiting = OrmQ.objects.filter(key=QUEUE)
    due = running.filter(Q(looked_at__isnull=True) | Q(looked_at__lt=fresh))
    for pk in list(due.values_list("pk", flat=True)[:20]):
        # Of several nodes that sweep, one knocks; while other work waits in the queue nobody does.
        if not waiting.exists() and due.filter(pk=pk).update(looked_at=Now()):
            put(QUEUE, ADVANCE, pk)


def needed(addresses: list[str]) -> set[str]:
    """Which of these files of the store belong to a trial; the store asks before it deletes one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT file->>'sha256' FROM jobs_trial, jsonb_array_elements(artifact) AS file"
            " WHERE file->>'sha256' = ANY(%s)",
            [addresses],
        )
        return {row[0] for row in cursor.fetchall()}


def _look(search_id: int) -> Search | None:
    """Write down what became of the trials and end those behind; the search when it may go on."""
    with transaction.atomic():
        search = locked(search_id)
        cancelled = search.status == Search.Status.CANCELLED
        if search.status != Search.Status.RUNNING and not cancelled:
            return None
        trials = list(search.trials.select_related("job"))
        _settle(trials)
        hopeless = not cancelled and _hopeless(search, trials)
        behind = [] if hopeless or cancelled else [*_left_running(trials), *_behind(search, trials)]
    if cancelled:
        settle(search, search.owner)  # whoever cancelled it may have died before its jobs were
        return None
    for job in behind:
        _end_early(job, search)
    return None if hopeless else search


def _settle(trials: Sequence[Trial]) -> None:
    """Trials whose jobs ended otherwise than well."""
    for trial in trials:
        if trial.state != Trial.State.RUNNING or trial.job is None or trial.job.status not in TERMINAL:
            continue
        if trial.job.status == Status.FAILED:
            _close(trial, Trial.State.FAILED, reason=trial.job.failure_message or "It failed.")
        elif trial.job.status == Status.CANCELLED:
            _close(trial, Trial.State.FAILED, reason=CANCELLED)


def _hopeless(search: Search, trials: Sequence[Trial]) -> bool:
    """Whether no trial is made because the first ones all failed: the settings, or the data, are wrong. The search ends
    when those that still run have failed too."""
    tried = [trial for trial in trials if trial.reason != CANCELLED]  # such a trial says nothing of the settings
    failed = [trial for trial in tried if trial.state == Trial.State.FAILED]
    well = any(trial.state in (Trial.State.COMPLETED, Trial.State.PRUNED) for trial in trials)
    unknown = next((trial for trial in failed if trial.reason.startswith(NO_METRIC)), None)
    if well or (len(failed) < min(HOPELESS, search.wanted) and unknown is None):
        return False
    if len(failed) == len(tried):
        reason = (
            unknown.reason if unknown else f"The first {len(failed)} trials failed. The last one: {failed[-1].reason}"
        )
        end(search, Search.Status.FAILED, None, reason)
    return True


def _next(search: Search) -> int | None:
    """The number of the next trial; None while all places are taken or all trials are made."""
    states = list(search.trials.values_list("state", flat=True))
    if search.status != Search.Status.RUNNING or len(states) >= search.wanted:
        return None
    return len(states) + 1 if states.count(Trial.State.RUNNING) < search.at_once else None


def _place(search_id: int, number: int, params: dict[str, Any]) -> bool:
    """Make the trial, unless another worker was faster; False when something stands in the way for now."""
    with transaction.atomic():
        search = locked(search_id)
        if _next(search) != number:
            return True
        reason = ""
        try:
            _start(search, number, params)
        except InvalidInputError as problem:
            # These settings contradict each other: as bad as a trial can be, and nothing to run.
            Trial.objects.create(
                search=search, number=number, params=params, state=Trial.State.FAILED, reason=problem.message[:500]
            )
        except ConflictError as problem:
            reason = problem.message[:500]
        if search.reason != reason:
            Search.objects.filter(pk=search.pk).update(reason=reason)
    return not reason


def _finish(search_id: int) -> None:
    """End a search whose trials are all made and over, and make a version of its best."""
    with transaction.atomic():
        search = locked(search_id)
        open_ones = search.trials.filter(state=Trial.State.RUNNING).exists()
        if search.status != Search.Status.RUNNING or open_ones or search.trials.count() < search.wanted:
            return
        end(search, Search.Status.COMPLETED, None)
        if search.best_id and not catalogue.recipe(search.recipe).simulator:
            promote(search, None)


def _start(search: Search, number: int, params: dict[str, Any]) -> Trial:
    with transaction.atomic():
        job, _ = creation.create_job(
            search.owner,
            recipe=search.recipe,
            dataset_version=search.dataset_version,
            name=f"{search.name} #{number}"[:200],
            config=search.config | params,
            seed=search.seed,
            priority=search.priority,
            base_version=search.base_version,
            resources=search.resources,
            alone=False,
        )
        return Trial.objects.create(search=search, number=number, params=params, job=job)


def _behind(search: Search, trials: Sequence[Trial]) -> list[Job]:
    """Jobs of running trials that are worse than the median was at the same place."""
    running = [t for t in trials if t.state == Trial.State.RUNNING and t.job and t.job.status == Status.RUNNING]
    ended = [t for t in trials if t.state in (Trial.State.COMPLETED, Trial.State.PRUNED) and t.job]
    if not search.prune or not running or len(ended) < sampling.COMPARED_FROM:
        return []
    curves = _curves(search.metric, [*running, *ended])
    others = [(curves.get(t.job_id or 0, []), t.job.total_steps or 1) for t in ended if t.job]
    found = []
    for trial in running:
        assert trial.job is not None
        curve = curves.get(trial.job.pk, [])
        if curve and sampling.behind(search, curve, trial.job.total_steps or 1, others):
            trial.value = curve[-1][1]
            _close(trial, Trial.State.PRUNED, reason="It fell behind the median of the others.")
            found.append(trial.job)
    return found


def _left_running(trials: Sequence[Trial]) -> list[Job]:
    """Jobs of trials that were ended early by a process that died before it said so to them."""
    active = [t.job for t in trials if t.state == Trial.State.PRUNED and t.job and t.job.status in ACTIVE]
    told = set(JobEvent.objects.filter(job__in=active, kind__startswith="cancel").values_list("job_id", flat=True))
    return [job for job in active if job.pk not in told]


def _curves(metric: str, trials: Sequence[Trial]) -> dict[int, list[tuple[int, float]]]:
    """The metric of each trial's job over its steps, in two queries."""
    series = dict(
        MetricSeries.objects.filter(job__in=[t.job_id for t in trials], name=metric).values_list("pk", "job_id")
    )
    found: dict[int, list[tuple[int, float]]] = {}
    rows = ProgressRow.objects.filter(series__in=series, value__isnull=False).order_by("series_id", "step")
    for key, step, value in rows.values_list("series_id", "step", "value")[: POINTS * max(1, len(series))]:
        found.setdefault(series[key], []).append((step, value))
    return found


def _end_early(job: Job, search: Search) -> None:
    try:
        control.cancel(job, search.owner, "Its search ended it: it fell behind the other trials.")
    except ProblemError:
        pass  # it has just ended by itself; its trial stays one that was ended early


def _weigh(search: Search) -> None:
    """Which settings mattered, whenever more trials have completed."""
    trials = list(search.trials.filter(state=Trial.State.COMPLETED))
    if len(trials) > search.weighed:
        weights = sampling.importances(search, trials)
        Search.objects.filter(pk=search.pk).update(importances=weights, weighed=len(trials))


def _close(trial: Trial, state: str, reason: str = "") -> None:
    """A trial that is ended early stays so, whatever its job still comes to; a failed one may yet complete."""
    trial.state, trial.reason = Trial.State(state), reason[:500]
    Trial.objects.filter(pk=trial.pk).exclude(state__in=["completed", "pruned"]).update(
        state=state, reason=trial.reason, value=trial.value
    )


def _better(search: Search, value: float, than: float) -> bool:
    return value > than if search.higher_is_better else value < than
