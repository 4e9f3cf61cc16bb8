"""Who may agree to promotions, and what waits for whom."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser, Group
from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet

from common.access import User
from common.errors import ForbiddenError, NotFoundError
from registry.access import Action, may, models_for, require
from registry.models import Approval, Model, PromotionPolicy, PromotionRequest

NAMED = 5  # people who are named; more are counted
BACKEND = "django.contrib.auth.backends.ModelBackend"
PERMISSION = f"registry.{Action.APPROVE}"


def requests_for(user: User) -> QuerySet[PromotionRequest]:
    """The requests about models that somebody may see, newest first, with what lists show."""
    rows = PromotionRequest.objects.filter(model__in=models_for(user, Model.objects.order_by().values("pk")))
    related = ("model__owner", "model__promotion_policy__role", "version__model", "asked_by", "decided_by", "change")
    hidden = (f"{path}__password" for path in ("model__owner", "asked_by", "decided_by"))
    return rows.select_related(*related).defer(*hidden).prefetch_related(Prefetch("approvals", given()))


def get_request(user: User, pk: int) -> PromotionRequest:
    """The request, if its model exists for this person; else NotFoundError."""
    found = requests_for(user).filter(pk=pk).first()
    if found is None:
        raise NotFoundError(f"There is no promotion {pk} for you.", "Look at the list of promotions.")
    return found


def waiting_for(user: User) -> QuerySet[PromotionRequest]:
    """The open requests that this very person can approve now."""
    rows = requests_for(user).filter(status=PromotionRequest.Status.OPEN)
    if not may(user, Action.APPROVE, Model()):
        return rows.none()
    mine = user.groups.order_by().values("pk")
    said = Approval.objects.filter(request=OuterRef("pk"), by=user)
    role = Q(model__promotion_policy__role=None) | Q(model__promotion_policy__role__in=mine)
    # Those of the hub have no asker.
    others = Q(asked_by=None) | ~Q(asked_by=user)
    return rows.filter(role, others).exclude(Exists(said))


def require_approver(by: AbstractBaseUser, request: PromotionRequest, rules: PromotionPolicy) -> None:
    """ForbiddenError in words for whoever asked for it, and whoever has not the role."""
    if request.asked_by_id == by.pk:
        raise ForbiddenError(
            "You asked for this promotion yourself.", "Somebody else decides; you can withdraw your request."
        )
    require(by, Action.APPROVE, request.model)
    if rules.role and not by.groups.filter(pk=rules.role_id).exists():
        raise ForbiddenError(
            f"The policy of {request.model} asks for people of the role {rules.role.name}.",
            "You are none of them; an administrator gives roles.",
        )


def may_approve(user: User, request: PromotionRequest, rules: PromotionPolicy) -> bool:
    """Whether somebody could approve this request, and has not yet."""
    try:
        require_approver(user, request, rules)
    except ForbiddenError:
        return False
    return request.status == PromotionRequest.Status.OPEN and not request.approvals.filter(by=user).exists()


def people(rules: PromotionPolicy, request: PromotionRequest | None = None) -> QuerySet[Any]:
    """The active people who may approve, by name; of a request, those who have not yet and did not ask."""
    found = get_user_model().objects.with_perm(PERMISSION, backend=BACKEND)
    if rules.role_id:
        found = found.filter(groups=rules.role_id)
    if request is not None:
        found = found.exclude(pk=request.asked_by_id).exclude(pk__in=request.approvals.values("by"))
    return found.only("pk", "username").order_by("username")


def whom(rules: PromotionPolicy, request: PromotionRequest | None = None) -> str:
    """Who is waited for, in words: 'bob or carol' where one of them is enough, 'bob and carol' where both are needed,
    'any 2 of bob, carol and dora'."""
    needed = max(1, rules.approvals - (len(counting(request)) if request else 0))
    names = [user.get_username() for user in people(rules, request)[: NAMED + 1]]
    if not names:
        return "people who may approve; there is nobody who may yet: an administrator gives the role"
    if len(names) < needed:
        more = f"{needed - len(names)} more, whom an administrator has to give the role"
        return _listed([*names, more])
    if len(names) > NAMED:
        names[NAMED:] = ["others"]
    elif len(names) == needed:
        return _listed(names)
    return f"any {needed} of {_listed(names)}" if needed > 1 else _listed(names, "and" if "others" in names else "or")


def _listed(names: list[str], word: str = "and") -> str:
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def given() -> QuerySet[Approval]:
    """Approvals in their order, with whoever gave them and what `why_not` asks about."""
    policy_role = "request__model__promotion_policy__role"
    may = get_user_model().objects.with_perm(PERMISSION, backend=BACKEND).filter(pk=OuterRef("by"))
    of_role = Group.objects.filter(user=OuterRef("by"), pk=OuterRef(policy_role))
    rows = Approval.objects.select_related("by").defer("by__password").order_by("id")
    return rows.annotate(
        status=F("request__status"), role=F(f"{policy_role}__name"), by_may=Exists(may), by_has_role=Exists(of_role)
    )


def why_not(approval: Any) -> str:
    """Why an approval of an open request counts no more, for a row of `given`: who gave it could not give it now.
    Empty while it counts, and once the request is decided."""
    name = approval.by.get_username()
    if approval.status != PromotionRequest.Status.OPEN:
        return ""
    if not approval.by.is_active:
        return f"It counts no more: the account of {name} was deactivated."
    if not approval.by_may:
        return f"It counts no more: {name} may not approve promotions any longer."
    if approval.role and not approval.by_has_role:
        return f"It does not count: {name} has not the role {approval.role}, which the policy asks for."
    return ""


def counting(request: PromotionRequest) -> list[Approval]:
    """The approvals of those who may still approve."""
    return [row for row in given().filter(request=request) if not why_not(row)]


def told(request: PromotionRequest) -> dict[str, Any]:
    """Who agreed, when, with which words, and whose approval does not count, as JSON: the evidence of a decision."""
    rows = list(given().filter(request=request))
    agreed = [
        {"by": row.by.get_username(), "at": row.at.isoformat(), "note": row.note} for row in rows if not why_not(row)
    ]
    lapsed = [why for row in rows if (why := why_not(row))]
    return {"approvals": agreed} | ({"approvals_not_counted": lapsed} if lapsed else {})
