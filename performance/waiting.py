"""What waits for one person's decision: versions that may become champions, and trainings of models again."""

from __future__ import annotations

from typing import Any

from common.access import User
from performance.retraining.decisions import WAITING
from performance.retraining.overview import retrainings_for
from registry.access import Action, may
from registry.models import Model, PromotionRequest
from registry.promotion import approvers

MOST = 5  # of each kind on the dashboard
COUNTED = 99  # more are counted no further


def promotions(user: User) -> int:
    """How many promotions this person can approve now, up to 100. On every page: one query where none is open."""
    if not user.is_authenticated or not PromotionRequest.objects.filter(status=PromotionRequest.Status.OPEN).exists():
        return 0
    return len(approvers.waiting_for(user).order_by().values_list("pk", flat=True)[: COUNTED + 1])


def shown(user: User) -> dict[str, Any]:
    """The newest of what this person can decide now; `more_decisions` says that there is more."""
    asked = list(approvers.waiting_for(user).order_by("-pk")[: MOST + 1])
    mine = may(user, Action.APPROVE, Model())
    found = list(retrainings_for(user).filter(status__in=WAITING).exclude(asked_by=user.pk)[: MOST + 1]) if mine else []
    return {"promotions": asked[:MOST], "retrainings": found[:MOST], "more_promotions": len(asked) > MOST,
            "more_retrainings": len(found) > MOST}  # fmt: skip
