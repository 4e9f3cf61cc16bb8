"""The challenger report: both versions are asked for the same rows, in the background."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from common.background import enqueue
from common.errors import ProblemError, UnavailableError
from engine.catalogue import recipe
from engine.protocol import EngineError
from performance.models import Retraining
from performance.retraining import judging, next_steps, samples
from performance.retraining.samples import Sample
from registry import prediction
from registry.models import ModelVersion

log = logging.getLogger(__name__)

TASK = "performance.tasks.report_challenger"
STALE = timedelta(seconds=300)  # without a sign of life for so long, a worker is taken for dead
AGAIN = timedelta(seconds=30)
MOST_TRIES = 8  # then it goes on without the answers of both
ITEMS_OF_A_REQUEST = 16
Status = Retraining.Status


class LostError(Exception):
    """Another worker took it over, or it moved on."""


def report(retraining_id: int) -> dict[str, Any] | None:
    """Compare the challenger with the champion; None when somebody else does, or it is not to be done now.

    `{"verdict", "words", "compared": [...], "problem"}`: of each comparison title, figure, n, both values, the
    difference with its interval, and the verdict. What can't be compared is told and hinders nothing.
    """
    row = _claim(retraining_id)
    if row is None:
        return None
    try:
        made = _made(row)
    except UnavailableError as problem:
        if row.attempt < MOST_TRIES:
            _later(row, problem)
            return None
        made = _without(row, f"{problem.message} {problem.hint}")
    except (ProblemError, EngineError) as problem:
        made = _without(row, f"{problem.message} {problem.hint}")
    except LostError:
        return None
    except DatabaseError:
        raise  # its heartbeat stops, and the sweep has it taken up again
    except Exception as error:
        log.exception("retraining %s can't be compared", retraining_id)
        made = _without(row, f"An error in TrainHub: {type(error).__name__}. The worker's log says more.")
    return made if _kept(row, made) else None


@transaction.atomic
def _kept(row: Retraining, made: dict[str, Any]) -> bool:
    """Put the report down; and, for the promotion policy of the model, what both did on the same held-out rows."""
    if not _alive(row, report=made, heartbeat_at=None):
        return False
    whole = [one for one in made["compared"] if one["title"] == samples.HELD_OUT and one["group"] is None]
    if whole and whole[0]["n"] >= judging.LEAST and row.champion and row.challenger:
        next_steps.note_same_rows(row, whole[0], made["verdict"] != judging.WORSE)
    return True


def sweep() -> int:
    """Have reports made that nobody makes, and those whose worker died; how many were asked for."""
    due = _free().filter(report={}).values_list("pk", flat=True)
    asked = list(due.order_by("pk")[:20])
    Retraining.objects.filter(pk__in=asked).update(retry_at=Now() + AGAIN)
    for pk in asked:
        enqueue(TASK, pk)
    return len(asked)


def _free() -> Any:
    unheld = Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=Now() - STALE)
    due = Q(retry_at__isnull=True) | Q(retry_at__lte=Now())
    return Retraining.objects.filter(unheld, due, status=Status.EVALUATING)


def _claim(retraining_id: int) -> Retraining | None:
    unheld = Q(heartbeat_at__isnull=True) | Q(heartbeat_at__lt=Now() - STALE)
    free = Retraining.objects.filter(unheld, pk=retraining_id, status=Status.EVALUATING, report={})
    if not free.update(attempt=F("attempt") + 1, heartbeat_at=Now(), retry_at=None):
        return None
    related = (
        "model",
        "champion__model",
        "champion__dataset_version",
        "challenger__model",
        "challenger__dataset_version",
    )
    return Retraining.objects.select_related(*related).get(pk=retraining_id)


def _alive(row: Retraining, **values: Any) -> bool:
    mine = Retraining.objects.filter(pk=row.pk, status=Status.EVALUATING, attempt=row.attempt)
    return bool(mine.update(**{"heartbeat_at": Now()} | values))


def _later(row: Retraining, problem: ProblemError) -> None:
    from performance.retraining import story

    _alive(row, heartbeat_at=None, retry_at=Now() + AGAIN)
    story.say(row, f"It can't be compared now: {problem.message}", f"{problem.hint} It is tried again.")


def _made(row: Retraining) -> dict[str, Any]:
    champion, challenger = row.champion, row.challenger
    assert challenger is not None
    if champion is None or champion.pk == challenger.pk:
        return _without(row, "There is no champion to compare it with.")
    if not samples.can_be_compared(challenger) or not prediction.can_be_tried(champion):
        return _recorded(champion, challenger)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for gather in (lambda: samples.held_out(champion, challenger), lambda: samples.recent(row)):
        title = "The rows"
        try:
            sample = gather()
            title = sample.title
            found += _compared(row, sample, champion, challenger)
        except UnavailableError:
            raise
        except (ProblemError, EngineError) as problem:
            problems.append(f"{title}: {problem.message}")
        except (ValueError, TypeError, KeyError):  # a truth that is no number, rows of another table
            problems.append(f"{title}: the answers and what is true can't be compared.")
    verdict, words = judging.together(found)
    return {"verdict": verdict, "words": words, "compared": found, "problem": " ".join(problems)}


def _compared(
    row: Retraining, sample: Sample, champion: ModelVersion, challenger: ModelVersion
) -> list[dict[str, Any]]:
    theirs, ours = _answers(row, champion, sample), _answers(row, challenger, sample)
    whole = judging.compare(sample.title, sample.truths, theirs, ours, notes=sample.notes)
    parts = judging.by_group(sample.title, sample.truths, theirs, ours, sample.groups)
    return [one.stored() for one in (whole, *parts)]


def _answers(row: Retraining, version: ModelVersion, sample: Sample) -> list[dict[str, Any]]:
    """One for each row, by the hub's own way of asking."""
    answers: list[dict[str, Any]] = []
    for batch in sample.batches(ITEMS_OF_A_REQUEST):
        if not _alive(row):
            raise LostError
        outputs = prediction.predict(version, batch).outputs
        answers += outputs[0]["rows"] if sample.rows else outputs
    return answers


def _recorded(champion: ModelVersion, challenger: ModelVersion) -> dict[str, Any]:
    kind = recipe(challenger.model.recipe)
    same = champion.dataset_version_id == challenger.dataset_version_id
    one = judging.recorded(champion.metrics, challenger.metrics, kind.goal, kind.higher_is_better, same)
    return {"verdict": one.verdict, "words": one.words, "compared": [one.stored()], "problem": ""}


def _without(row: Retraining, problem: str) -> dict[str, Any]:
    """A report that says why there is none, with what the trainings themselves recorded."""
    made: dict[str, Any] = {"verdict": judging.UNCLEAR, "words": problem, "compared": [], "problem": problem}
    if row.champion and row.challenger and row.champion_id != row.challenger_id:
        made["compared"] = _recorded(row.champion, row.challenger)["compared"]
    return made
