"""What follows a comparison, as other parts of the hub do it: names, promotions, tests. All calls to them are here."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import BigIntegerField, QuerySet
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from common.errors import ConflictError, ForbiddenError
from performance.experiments import verbs as experiments
from performance.models import Experiment, Retraining
from registry.models import Alias, Model, ModelVersion, PromotionEvidence, PromotionRequest, RouteArm
from registry.models.aliases import Name
from registry.promotion import aliases
from registry.promotion import verbs as promotion
from registry.promotion.evidence import note as note_evidence

CONTROL, TREATMENT = "champion", "challenger"


def name_challenger(version: ModelVersion, reason: str, evidence: dict[str, Any]) -> None:
    """Call a version its model's challenger. Raises what `registry.promotion.aliases.assign` raises."""
    aliases.assign(version.model, Name.CHALLENGER, version, None, kind="set", reason=reason, evidence=evidence)


def note_same_rows(row: Retraining, compared: dict[str, Any], passed: bool) -> None:
    """Leave to promotion what champion and challenger did on the same held-out rows: the figures of their trainings are
    mostly of different data, as a retraining learns from newer ones."""
    assert row.challenger is not None
    evidence = {
        "retraining": row.pk, "words": compared["words"], "rows": compared["n"],
        "figures": {name: {"champion": a, "version": b} for name, (a, b) in compared["figures"].items()},
    }  # fmt: skip
    note_evidence(row.challenger, PromotionEvidence.Kind.SAME_ROWS, passed, evidence, against=row.champion)


def promote(version: ModelVersion, by: AbstractBaseUser | None, reason: str, evidence: dict[str, Any]) -> bool:
    """Promote a version; `by` None: the hub, by a policy. False when its model asks for approvals first, and a request
    for these was made. Raises what `registry.promotion.verbs.promote` raises."""
    promotion.promote(version, by, reason=reason, evidence=evidence)
    return is_champion(version)


def open_request(version: ModelVersion) -> PromotionRequest | None:
    """What waits for people's approval about a version; None when nothing does."""
    return PromotionRequest.objects.filter(version=version, status=PromotionRequest.Status.OPEN).first()


def where(version: ModelVersion) -> str:
    """The page on which a version's promotion is approved."""
    request = open_request(version)
    return f"/promotions/{request.pk}" if request else f"/versions/{version.pk}"


def agree(version: ModelVersion, by: AbstractBaseUser, note: str) -> bool:
    """Somebody who approved a retraining's result has approved its promotion, too, where they may: one word of theirs
    is enough, and counts once. Whether the version is the champion by that."""
    request = open_request(version)
    with suppress(ForbiddenError, ConflictError):
        if request is not None:
            promotion.approve(request, by, note)
    return is_champion(version)


def call_off(version: ModelVersion, note: str) -> None:
    """Take back the promotion that the hub asked for, if it still waits."""
    promotion.call_off(version, note)


def refused(row: Retraining) -> str:
    """How the promotion that a retraining waits for was turned down, in words; '' when it was not."""
    found = turned_down(row.pk, row.waits_since).select_related("decided_by").order_by("-pk").first()
    if found is None:
        return ""
    how = "refused" if found.status == PromotionRequest.Status.REFUSED else "withdrawn"
    who = f" by {found.decided_by.get_username()}" if found.decided_by else ""
    return f"Its promotion was {how}{who}{f': {found.note}' if found.note else ''}"


def turned_down(retraining: Any, since: Any) -> QuerySet[PromotionRequest]:
    """Promotions that the hub asked for by a retraining, and that were refused or taken back since. Both may be
    references to an outer query."""
    ended = (PromotionRequest.Status.REFUSED, PromotionRequest.Status.WITHDRAWN)
    rows = PromotionRequest.objects.filter(asked_by=None, status__in=ended, decided_at__gte=since)
    return rows.annotate(of=Cast(KT("evidence__retraining"), BigIntegerField())).filter(of=retraining)


def hold(model: Model) -> None:
    """Let nobody give names of this model to others until the caller's transaction ends."""
    aliases.hold(model.pk)


def is_champion(version: ModelVersion) -> bool:
    """Whether a version is its model's champion now."""
    return Alias.objects.filter(model=version.model_id, name=Name.CHAMPION, version=version).exists()


def champion(model: Model) -> ModelVersion | None:
    """The version that is called champion; None where none is."""
    return (
        ModelVersion.objects.select_related("model").filter(aliases__model=model, aliases__name=Name.CHAMPION).first()
    )


def start_test(model: Model, kind: str, champion: ModelVersion, challenger: ModelVersion, numbers: bool) -> int:
    """Start a test of two versions ("ab" or "shadow") by the truth that is told; the id of the experiment. `numbers`:
    they answer with numbers, and not with classes. Raises what `performance.experiments.verbs.start` raises."""
    arms = [{"version": champion, "name": CONTROL}, {"version": challenger, "name": TREATMENT}]
    metric = "error_mean" if numbers else "correct"
    return int(experiments.start(model, None, kind=kind, arms=arms, control=champion, metric=metric).pk)


def test_result(experiment_id: int | None, challenger: ModelVersion) -> tuple[bool, bool, str] | None:
    """(whether the challenger won, whether it was decided at all, in words); None while the test goes on."""
    row = Experiment.objects.filter(pk=experiment_id).first() if experiment_id else None
    if row is None:
        return False, False, "The test is gone."
    if row.status == Experiment.Status.RUNNING:
        return None
    won = RouteArm.objects.filter(pk=row.winner_id, version=challenger).exists()
    return won, row.status == Experiment.Status.DECIDED, row.words or row.get_status_display()
