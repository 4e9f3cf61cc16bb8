"""Names go from version to version here, and nowhere else: one transaction writes the name, its history and the audit.

Whoever changes a name holds the model's row first, so two changes of one model follow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.push import publish
from registry.models import Alias, AliasChange, Model, ModelVersion
from registry.models.aliases import Name
from registry.versions import listed

Kind = AliasChange.Kind
REASON_LENGTH = 1000
# What the audit trail says of each kind of change.
VERBS = {
    Kind.SET: "named", Kind.PROMOTED: "promoted", Kind.OVERRIDDEN: "promoted against its policy",
    Kind.ROLLED_BACK: "rolled back", Kind.REMOVED: "took a name away",
}  # fmt: skip


def topic(model_id: int) -> str:
    """What open pages of a model listen to."""
    return f"model.{model_id}"


def champion(model: Model) -> ModelVersion | None:
    """The version in use; None when there is none."""
    return _holder(model, Name.CHAMPION)


def challenger(model: Model) -> ModelVersion | None:
    """The version that may take the champion's place; None when there is none."""
    return _holder(model, Name.CHALLENGER)


def of(models: Iterable[Model | int]) -> dict[int, dict[str, Alias]]:
    """Model's id → name → who has it, with the version; one query. Models without names are left out."""
    keys = [model if isinstance(model, int) else model.pk for model in models]
    found: dict[int, dict[str, Alias]] = {}
    for alias in Alias.objects.filter(model__in=keys).select_related("version").order_by("name"):
        found.setdefault(alias.model_id, {})[alias.name] = alias
    return found


def history(model: Model) -> QuerySet[AliasChange]:
    """Every change of the model's names, the newest first, with the rows that lists show."""
    rows = AliasChange.objects.filter(model=model).select_related("before", "after", "actor", "model")
    return rows.defer("actor__password").order_by("-id")


def why_not(version: ModelVersion) -> str:
    """Why a version can't have a name, as a sentence; '' when it can."""
    status = ModelVersion.Status
    if version.status == status.DELETED:
        return f"{version} was deleted: its files are gone."
    if version.damaged_at is not None:
        return f"{version} is damaged: its files are not what was trained."
    if version.status != status.READY:
        return f"{version} is not ready: {version.get_status_display().lower()}."
    if version.archived_at is not None:
        return f"{version} is archived, and archived versions are not used anew."
    return ""


def hold(model_id: int) -> Model:
    """The model, held until the end of the caller's transaction; NotFoundError when it is gone."""
    # `no_key`: rows that point at the model can be written meanwhile.
    held = Model.objects.select_for_update(no_key=True).filter(pk=model_id).first()
    if held is None:
        raise NotFoundError("The model is gone.", "Go back to the list of models.")
    return held


@transaction.atomic
def assign(
    model: Model,
    name: str,
    version: ModelVersion,
    by: AbstractBaseUser | None,
    kind: str = Kind.SET,
    reason: str = "",
    evidence: dict[str, Any] | None = None,
) -> AliasChange:
    """Give a name to a version of this model; `by` None: a policy of the hub does.

    It asks nobody and checks no policy: see `registry.promotion.verbs` for that. ConflictError when the version has
    the name already, or can have none; a challenger that becomes the champion is the challenger no longer.
    """
    held = hold(model.pk)
    # Held too, so that it is neither deleted nor archived between the look and the name.
    version = _held_version(held, version.pk)
    present = Alias.objects.filter(model=held, name=name).select_related("version").first()
    _refuse(held, name, version, present)
    if name == Name.CHAMPION:
        _leave_challenge(held, version, by)
    now = timezone.now()
    if present is None:
        Alias.objects.create(model=held, name=name, version=version, since=now)
    else:
        Alias.objects.filter(pk=present.pk, version=present.version_id).update(version=version, since=now)
    return _put_down(held, name, kind, present.version if present else None, version, by, reason, evidence)


@transaction.atomic
def remove(model: Model, name: str, by: AbstractBaseUser | None, reason: str = "") -> AliasChange:
    """Take a name away: no version has it then. NotFoundError when none has."""
    held = hold(model.pk)
    present = Alias.objects.filter(model=held, name=known(name)).select_related("version").first()
    if present is None:
        raise NotFoundError(f"{held} has no {name}.", "There is nothing to take away.")
    present.delete()
    return _put_down(held, name, Kind.REMOVED, present.version, None, by, reason, None)


def known(name: str) -> str:
    """The name, if it is one; else NotFoundError."""
    if name not in Name.values:
        raise NotFoundError(f"'{name[:40]}' is no name of versions.", f"Names are: {', '.join(Name.values)}.")
    return name


def refuse_other(model: Model, version: ModelVersion) -> None:
    """InvalidInputError when the version is another model's."""
    if version.model_id != model.pk:
        raise InvalidInputError(
            f"{version} is no version of {model}.",
            "Name one of its own versions.",
            fields={"version": ["Is a version of another model."]},
        )


def checked_reason(reason: str) -> str:
    """The reason without spaces around it; InvalidInputError when it is too long."""
    reason = reason.strip()
    if len(reason) > REASON_LENGTH:
        message = f"Write at most {REASON_LENGTH:,} characters."
        raise InvalidInputError("The reason is too long.", message, fields={"reason": [message]})
    return reason


def stack(changes: Sequence[tuple[str, int | None]]) -> tuple[list[int], bool]:
    """From a name's changes, (kind, version) and the oldest first: the versions that had it, one on the other, and
    whether the uppermost still has it. Who was rolled back from is taken off, wherever it stands: going back again goes
    further back, not to and fro."""
    line: list[int] = []
    has = False
    for kind, after in changes:
        has = after is not None
        if after is None:
            continue
        if kind == Kind.ROLLED_BACK:
            left: set[int] = set()
            while line and line[-1] != after:
                left.add(line.pop())
            line = [one for one, _ in groupby(one for one in line if one not in left)]
        if not line or line[-1] != after:
            line.append(after)
    return line, has


def before(model: Model) -> ModelVersion | None:
    """The champion before the present one, or the last one where there is none now; versions that can't be used are
    passed over. None when there is nobody to go back to."""
    changes = AliasChange.objects.filter(model=model, alias=Name.CHAMPION).order_by("id").values_list("kind", "after")
    line, has = stack(list(changes))
    present = line.pop() if has and line else None
    versions = {version.pk: version for version in listed().filter(pk__in=line)}
    fit = (versions[key] for key in reversed(line) if key != present and not why_not(versions[key]))
    return next(fit, None)


def _holder(model: Model, name: str) -> ModelVersion | None:
    return listed().filter(aliases__model=model, aliases__name=name).first()


def _held_version(model: Model, pk: int) -> ModelVersion:
    version = ModelVersion.objects.select_for_update(of=("self",), no_key=True).select_related("model").get(pk=pk)
    refuse_other(model, version)
    return version


def _refuse(model: Model, name: str, version: ModelVersion, present: Alias | None) -> None:
    if present and present.version_id == version.pk:
        raise ConflictError(f"{version} is the {known(name)} already.", "There is nothing to change.")
    if reason := why_not(version):
        raise ConflictError(reason, f"Choose another version of {model}.")
    if name == Name.CHALLENGER and Alias.objects.filter(version=version, name=Name.CHAMPION).exists():
        raise ConflictError(f"{version} is the champion.", "A challenger is another version: choose one.")
    known(name)


def _leave_challenge(model: Model, version: ModelVersion, by: AbstractBaseUser | None) -> None:
    gone, _ = Alias.objects.filter(model=model, version=version, name=Name.CHALLENGER).delete()
    if gone:
        _put_down(model, Name.CHALLENGER, Kind.REMOVED, version, None, by, "It became the champion.", None)


def _put_down(
    model: Model,
    name: str,
    kind: str,
    before: ModelVersion | None,
    after: ModelVersion | None,
    by: AbstractBaseUser | None,
    reason: str,
    evidence: dict[str, Any] | None,
) -> AliasChange:
    change = AliasChange.objects.create(
        model=model, alias=name, kind=kind, before=before, after=after, actor=by,
        reason=checked_reason(reason), evidence=evidence or {}, at=timezone.now(),
    )  # fmt: skip
    numbers = {"before": before.number if before else None, "after": after.number if after else None}
    audit.write(by, VERBS[Kind(kind)], model, alias=name, reason=change.reason, change=change.pk, **numbers)
    publish(topic(model.pk))
    return change
