"""What follows once a challenger was compared: a test, a promotion, a person's decision, or that the champion stays.

A policy's rule carries out a decision together with the note of it, in one transaction: whoever looks again finds both
or none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from common.errors import ProblemError, UnavailableError
from performance.models import Retraining, RetrainingPolicy
from performance.retraining import judging, next_steps, story
from registry.models import ModelVersion

UNDECIDED = timedelta(days=14)  # so long an approval or a decision is waited for
DECIDE = "An approver can promote it, or decline."
Status, After = Retraining.Status, RetrainingPolicy.After


def compared(row: Retraining) -> None:
    """The report may be there: go on as the policy said."""
    if not row.report or _is_settled(row):
        return
    verdict, after = row.report.get("verdict"), After(row.plan.get("after") or After.REPORT)
    said = str(row.report.get("words", ""))
    has_other = row.champion is not None and row.champion_id != row.challenger_id
    if verdict == judging.WORSE:
        _keep(row, "compared", said, row.report)
    elif after in {After.AB, After.SHADOW} and has_other:
        _test(row, after, said)
    elif after == After.PROMOTE and verdict == judging.BETTER and not row.plan.get("approvals_promotion"):
        _promote(row, said)
    else:
        _ask(row, "compared", f"{said} {_why_asked(after, verdict)}", row.report)


def tested(row: Retraining) -> None:
    """The test may have ended: promote who won, or let a person decide."""
    assert row.challenger is not None
    if _is_settled(row):
        return
    result = next_steps.test_result(row.experiment_id, row.challenger)
    if result is None:
        return
    details = {"experiment": row.experiment_id}
    won, decided, said = result
    if won and not row.plan.get("approvals_promotion"):
        _promote(row, f"It won its test. {said}")
    elif won:
        _ask(row, "test_ended", f"It won its test. {said}", details)
    elif decided:
        _keep(row, "test_ended", f"The test was lost. {said}", details)
    else:
        _ask(row, "test_ended", f"The test ended without a winner. {said}", details)


def waiting(row: Retraining) -> None:
    """A person decides: here, on the page of the version, or too late."""
    if _is_settled(row):
        return
    if turned_down := next_steps.refused(row):
        message = f"{turned_down.rstrip('.')}. The champion stays."
        hint = f"{row.challenger} can still be promoted on its page."
        story.move(row, Status.KEPT, "promotion_refused", message, hint=hint, expected=[row.status])
    elif too_long(row):
        message = f"Nobody decided for {UNDECIDED.days} days; the champion stays."
        hint = f"{row.challenger} can still be promoted on its page."
        story.move(row, Status.EXPIRED, "expired", message, hint=hint, expected=[row.status])


def evidence_of(row: Retraining) -> dict[str, Any]:
    """What is put beside each decision about a version that came of a retraining."""
    return {
        "retraining": row.pk, "trigger": row.kind, "evidence": row.evidence, "reason": row.reason, "job": row.job_id,
        "champion": row.champion_id, "challenger": row.challenger_id, "verdict": row.report.get("verdict"),
        "report": row.report.get("words"), "experiment": row.experiment_id,
        "approved_by": row.approved_by.get_username() if row.approved_by else None,
    }  # fmt: skip


def too_long(row: Retraining) -> bool:
    """Whether nobody decided for so long that what was seen says little now."""
    since = Retraining.objects.filter(pk=row.pk, status=row.status, waits_since__lt=Now() - UNDECIDED)
    return since.exists()


def _is_settled(row: Retraining) -> bool:
    """Whether somebody else made it champion, or deleted it; then that is its end."""
    challenger = row.challenger
    assert challenger is not None
    if next_steps.is_champion(challenger):
        message = f"{challenger} is the champion now."
        story.move(row, Status.PROMOTED, "promoted", message, expected=[row.status])
        return True
    if challenger.status != ModelVersion.Status.READY:
        message = f"{challenger} is {challenger.get_status_display().lower()}; the champion stays."
        hint = "Start a retraining again when one is wanted."
        story.move(row, Status.KEPT, "kept", message, hint=hint, expected=[row.status])
        return True
    return False


def _why_asked(after: str, verdict: str | None) -> str:
    if after in {After.AB, After.SHADOW}:
        return "There is no champion to test it against."
    if after == After.PROMOTE and verdict == judging.BETTER:
        return "It waits for approval."
    return "A person decides."


def _keep(row: Retraining, kind: str, said: str, details: dict[str, Any]) -> None:
    message = f"{said} The champion stays."
    hint = "Look at the report, and at what the challenger learned from."
    story.move(row, Status.KEPT, kind, message, hint=hint, expected=[row.status], details=details)


def _ask(row: Retraining, kind: str, message: str, details: dict[str, Any], hint: str = DECIDE) -> None:
    story.move(row, Status.CHALLENGER, kind, message, hint=hint, expected=[row.status], details=details)


def _test(row: Retraining, kind: str, said: str) -> None:
    assert row.champion is not None and row.challenger is not None
    words = "An A/B test" if kind == After.AB else "A test in the shadow of the champion"
    try:
        with transaction.atomic():
            key = next_steps.start_test(row.model, kind, row.champion, row.challenger, _numbers(row))
            story.move(
                row, Status.TESTING, "test_started", f"{said} {words} runs.", expected=[row.status],
                details=row.report | {"experiment": key}, experiment_id=key,
                hint=f"See /performance/experiments/{key}.",
            )  # fmt: skip
    except story.MovedOnError:
        raise
    except ProblemError as problem:
        _ask(row, "compared", f"{said} The test could not start: {problem.message}", row.report, problem.hint or DECIDE)


def _numbers(row: Retraining) -> bool:
    """Whether its versions answer with numbers."""
    return any(one["figure"] == judging.NUMBERS for one in row.report.get("compared", []))


def _promote(row: Retraining, said: str) -> None:
    """By the policy; where the model asks for more than this policy does, its request is waited for."""
    assert row.challenger is not None
    try:
        with transaction.atomic():
            next_steps.hold(row.model)
            if (now := next_steps.champion(row.model)) and now.pk != row.champion_id:
                _ask(row, "compared", f"{said} But the champion is another one by now: {now}.", row.report)
                return
            reason = f"Retraining {row.pk}: {said}"[:1000]
            if next_steps.promote(row.challenger, None, reason, evidence_of(row)):
                message, hint = (
                    f"{said} {row.challenger} is the champion now.",
                    "It can be rolled back on its model's page.",
                )
                story.move(
                    row, Status.PROMOTED, "promoted", message, hint=hint, expected=[row.status], details=row.report
                )
            else:
                message = f"{said} Its promotion was asked for, and waits for approval."
                _ask(row, "promotion_asked", message, row.report, f"Approve it at {next_steps.where(row.challenger)}.")
    except (story.MovedOnError, UnavailableError):
        raise
    except ProblemError as problem:
        _ask(row, "compared", f"{said} It was not promoted: {problem.message}", row.report, problem.hint or DECIDE)
