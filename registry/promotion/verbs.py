"""How a version becomes the champion: at once, after people agreed, or against the rules with a reason; and back again.

Every verb holds the model's row from its first look to its end, so of two people at the same moment one sees what the
other did. `by` None: a policy of the hub acts.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from accounts import audit
from common.errors import ConflictError, ForbiddenError, InvalidInputError
from common.push import publish
from registry.access import Action, require
from registry.models import AliasChange, Approval, Model, ModelVersion, PromotionPolicy, PromotionRequest
from registry.models.aliases import Name
from registry.promotion import aliases, approvers, checks, policy
from registry.promotion.aliases import Kind, checked_reason, hold, topic
from registry.promotion.checks import Verdict
from registry.versions import listed

Status = PromotionRequest.Status
Who = AbstractBaseUser | None


@transaction.atomic
def promote(
    version: ModelVersion,
    by: Who,
    *,
    reason: str = "",
    override: bool = False,
    evidence: dict[str, Any] | None = None,
) -> AliasChange | PromotionRequest:
    """Make a version the champion if its model's policy lets it: at once, or as a request that people approve.

    Asked again while the request is open, it is the same request. ConflictError names each rule that failed, with
    `checks` beside it, and says when it is the champion already. `override` goes against the rules, and asks nobody:
    for people who may, with a reason (ForbiddenError, InvalidInputError).
    """
    if by is not None:
        require(by, Action.PROMOTE, version.model)
    model, version, reason = _held(version, checked_reason(reason))
    _refuse_champion(model, version)
    rules = policy.of(model)
    verdict = checks.check(version, rules)
    if override and not (verdict.passed and not rules.approvals):
        return _override(model, version, by, reason, verdict, evidence or {})
    if not verdict.passed:
        raise refusal(version, verdict)
    if rules.approvals:
        request = _ask(model, version, by, reason, verdict, evidence or {})
        if _enough(request, rules):  # the policy asks for fewer by now than have agreed already
            return _decide(model, request, by, rules).change or request
        return request
    return _name(model, version, by, Kind.PROMOTED, reason, _known(verdict, rules, evidence))


@transaction.atomic
def approve(request: PromotionRequest, by: AbstractBaseUser, note: str = "") -> PromotionRequest:
    """One person's yes. With the last one that is needed the checks are made again, and the version becomes the
    champion; the request is refused when it no longer passes them.

    ForbiddenError for whoever asked, and whoever has not the role; ConflictError when it is decided, or was approved by
    this person already.
    """
    model, held = _held_request(request)
    rules = policy.of(model)
    approvers.require_approver(by, held, rules)
    _approve_once(held, by, checked_reason(note))
    audit.write(by, "approved a promotion", model, request=held.pk, version=held.version.number, note=note.strip())
    publish(topic(model.pk))
    return _decide(model, held, by, rules) if _enough(held, rules) else held


@transaction.atomic
def reject(request: PromotionRequest, by: AbstractBaseUser, note: str = "") -> PromotionRequest:
    """One person's no, which ends the request. Raises what `approve` raises, but may be said after one's own yes."""
    model, held = _held_request(request)
    approvers.require_approver(by, held, policy.of(model))
    return _end(model, held, Status.REFUSED, by, checked_reason(note), "refused a promotion")


@transaction.atomic
def withdraw(request: PromotionRequest, by: AbstractBaseUser, note: str = "") -> PromotionRequest:
    """Take a request back: whoever asked, and whoever may promote versions of the model."""
    model, held = _held_request(request)
    if held.asked_by_id != by.pk:
        require(by, Action.PROMOTE, model)
    return _end(model, held, Status.WITHDRAWN, by, checked_reason(note), "withdrew a promotion")


@transaction.atomic
def call_off(version: ModelVersion, note: str) -> None:
    """Withdraw what the hub itself asked for about a version, since it was decided otherwise."""
    model = hold(version.model_id)
    own = PromotionRequest.objects.filter(model=model, version=version, asked_by=None, status=Status.OPEN)
    for held in own.select_related("version"):
        _end(model, held, Status.WITHDRAWN, None, note[:1000], "withdrew a promotion")


@transaction.atomic
def roll_back(model: Model, by: Who, reason: str = "", *, leaving: int | None = None) -> AliasChange:
    """Back to the champion before, whoever still can be; again, further back. No policy is asked.

    `leaving` is the id of the champion that is meant: ConflictError when it is another by now, so that a second click
    does nothing; also when there is nobody to go back to.
    """
    if by is not None:
        require(by, Action.PROMOTE, model)
    held = hold(model.pk)
    present = aliases.champion(held)
    if leaving is not None and (present is None or present.pk != leaving):
        now = f"{present} is" if present else "Nobody is"
        raise ConflictError(f"{now} the champion by now.", "Look at the model again before you roll back.")
    before = aliases.before(held)
    if before is None:
        raise ConflictError(
            f"{held} has no earlier champion that can be used.",
            "Promote another version, or take the name away.",
        )
    return _name(held, before, by, Kind.ROLLED_BACK, checked_reason(reason), {})


@transaction.atomic
def challenge(version: ModelVersion, by: Who, reason: str = "") -> AliasChange:
    """Make a version the challenger. Raises what `aliases.assign` raises."""
    if by is not None:
        require(by, Action.PROMOTE, version.model)
    return aliases.assign(version.model, Name.CHALLENGER, version, by, Kind.SET, reason)


@transaction.atomic
def take_away(model: Model, name: str, by: AbstractBaseUser, reason: str = "") -> AliasChange:
    """Let no version have a name. A champion under a policy is taken away by those who may go against it, with a
    reason: the next one would have nobody to be compared with."""
    require(by, Action.PROMOTE, model)
    if name == Name.CHAMPION and policy.of(hold(model.pk)).pk:
        require(by, Action.OVERRIDE, model)
        _need_reason(reason)
    return aliases.remove(model, name, by, reason)


def refusal(version: ModelVersion, verdict: Verdict) -> ConflictError:
    """Each failed rule in words, with all checks beside them."""
    words = " ".join(check.words for check in verdict.failed)
    hint = " ".join(dict.fromkeys(check.hint for check in verdict.failed if check.hint))
    return ConflictError(f"{version} can't become the champion. {words}", hint, checks=verdict.as_json())


def _held(version: ModelVersion, reason: str) -> tuple[Model, ModelVersion, str]:
    model = hold(version.model_id)
    return model, listed().get(pk=version.pk), reason


def _held_request(request: PromotionRequest) -> tuple[Model, PromotionRequest]:
    """The model's row first, as everywhere; then the request as it is now, which must be open."""
    model = hold(request.model_id)
    held = PromotionRequest.objects.select_related("version__model").get(pk=request.pk)
    if held.status != Status.OPEN:
        what = held.get_status_display().lower()
        raise ConflictError(f"The {held} is decided already: {what}.", "There is nothing left to decide.")
    return model, held


def _refuse_champion(model: Model, version: ModelVersion) -> None:
    if aliases.champion(model) == version:
        raise ConflictError(f"{version} is the champion already.", "There is nothing to change.", champion=version.pk)


def _need_reason(reason: str) -> None:
    if not reason.strip():
        words = "Say why: it stays in the history."
        raise InvalidInputError("A reason is needed to go against the policy.", words, fields={"reason": [words]})


def _override(
    model: Model, version: ModelVersion, by: Who, reason: str, verdict: Verdict, evidence: dict[str, Any]
) -> AliasChange:
    if by is None:
        raise ForbiddenError("Only a person can go against a policy.", "Ask somebody of the role Release managers.")
    require(by, Action.OVERRIDE, model)
    _need_reason(reason)
    if why := aliases.why_not(version):
        raise ConflictError(why, f"Choose another version of {model}.")
    rules = policy.of(model)
    known = _known(verdict, rules, evidence) | ({"approvals_left_out": rules.approvals} if rules.approvals else {})
    return _name(model, version, by, Kind.OVERRIDDEN, reason, known)


def _ask(
    model: Model, version: ModelVersion, by: Who, reason: str, verdict: Verdict, evidence: dict[str, Any]
) -> PromotionRequest:
    """The open request about this version, or a new one."""
    present = PromotionRequest.objects.filter(model=model, status=Status.OPEN).select_related("version__model").first()
    if present and present.version_id == version.pk:
        return present
    if present:
        raise ConflictError(
            f"{present.version} waits for approval already.",
            "Approve, refuse or withdraw that request first.",
            request=present.pk,
        )
    made = PromotionRequest.objects.create(
        model=model, version=version, asked_by=by, reason=reason, checks=verdict.as_json(), evidence=evidence,
        asked_at=timezone.now(),
    )  # fmt: skip
    audit.write(by, "asked for a promotion", model, request=made.pk, version=version.number, reason=reason)
    publish(topic(model.pk))
    return made


def _approve_once(held: PromotionRequest, by: AbstractBaseUser, note: str) -> None:
    _, new = Approval.objects.get_or_create(request=held, by=by, defaults={"note": note, "at": timezone.now()})
    if not new:
        raise ConflictError(f"You have approved the {held} already.", "It waits for somebody else.")


def _enough(held: PromotionRequest, rules: PromotionPolicy) -> bool:
    """Whether as many agreed as the policy asks for, of those who may approve at this moment."""
    return len(approvers.counting(held)) >= rules.approvals


def _decide(model: Model, held: PromotionRequest, by: Who, rules: PromotionPolicy) -> PromotionRequest:
    """Enough people agreed: the version becomes the champion, if it still passes."""
    version = listed().get(pk=held.version_id)
    verdict = checks.check(version, rules)
    held.checks = verdict.as_json()
    if not verdict.passed:
        words = "It no longer passes its checks. " + " ".join(check.words for check in verdict.failed)
        return _end(model, held, Status.REFUSED, by, words[:1000], "refused a promotion")
    known = _known(verdict, rules, held.evidence) | {"request": held.pk} | approvers.told(held)
    # The decision is the asker's, with those who agreed as evidence.
    held.change = aliases.assign(model, Name.CHAMPION, version, held.asked_by, Kind.PROMOTED, held.reason, known)
    return _end(model, held, Status.GRANTED, by, "", "granted a promotion")


def _end(model: Model, held: PromotionRequest, status: str, by: Who, note: str, verb: str) -> PromotionRequest:
    ended = {"status": status, "decided_by": by, "decided_at": timezone.now(), "note": note, "checks": held.checks,
             "change": held.change}  # fmt: skip
    if not PromotionRequest.objects.filter(pk=held.pk, status=Status.OPEN).update(**ended):
        raise ConflictError(f"The {held} is decided already.", "Look at it again.")
    for name, value in ended.items():
        setattr(held, name, value)
    audit.write(by, verb, model, request=held.pk, version=held.version.number, note=note)
    publish(topic(model.pk))
    return held


def _name(
    model: Model, version: ModelVersion, by: Who, kind: str, reason: str, evidence: dict[str, Any]
) -> AliasChange:
    """The version is the champion now; a request that still waited for that has nothing left to ask."""
    change = aliases.assign(model, Name.CHAMPION, version, by, kind, reason, evidence)
    for moot in PromotionRequest.objects.filter(model=model, version=version, status=Status.OPEN):
        _end(model, moot, Status.WITHDRAWN, by, "It became the champion without it.", "withdrew a promotion")
    return change


def _known(verdict: Verdict, rules: PromotionPolicy, more: dict[str, Any] | None) -> dict[str, Any]:
    """What was known when it was decided. The rules stand beside the checks: they can change."""
    return {**(more or {}), "checks": verdict.as_json(), "policy": policy.values(rules) if rules.pk else None}
