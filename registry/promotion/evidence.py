"""What tests against the champion said of versions. Experiments write it when they are decided; policies ask for it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from common.errors import InvalidInputError
from common.push import publish
from registry.models import ModelVersion, PromotionEvidence
from registry.promotion.aliases import champion, topic


@transaction.atomic
def note(
    version: ModelVersion,
    kind: str,
    passed: bool,
    evidence: dict[str, Any],
    *,
    against: ModelVersion | None = None,
) -> PromotionEvidence:
    """Put down how a version did in a test ('ab' or 'shadow'); `against` None: the champion of now.

    'rows' says that both were asked for the same held-out rows: "rows" is how many, and "figures" has by quantity
    (accuracy, mae) what the "champion" and the "version" had of them.
    `evidence` is shown to whoever decides: an "experiment" id and "words" are told first. A later note of the same kind
    and opponent takes the place of an earlier one; both are kept.
    """
    if kind not in PromotionEvidence.Kind.values:
        known = ", ".join(PromotionEvidence.Kind.values)
        raise InvalidInputError(f"'{kind[:40]}' is no kind of test.", f"Use one of: {known}.")
    made = PromotionEvidence.objects.create(
        version=version,
        against=against or champion(version.model),
        kind=kind,
        passed=passed,
        evidence=evidence,
        at=timezone.now(),
    )
    publish(topic(version.model_id))
    return made


def newest(version: ModelVersion, kind: str, against: ModelVersion | None) -> PromotionEvidence | None:
    """The last test of this kind that the version had against this one; None when it had none."""
    found = PromotionEvidence.objects.filter(version=version, kind=kind, against=against)
    return found.select_related("against").order_by("-id").first()
