"""Which version answers: the one that has the name, or, while versions are compared, the one whose turn it is."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Subquery

from common.errors import ConflictError
from registry.artifacts import damaged_base
from registry.models import Alias, Model, ModelVersion, RouteArm
from registry.models.aliases import Name

log = logging.getLogger(__name__)

# What of versions can be long, and says nothing about who answers.
LONG = [
    f"{path}__{name}"
    for path in ("version", "version__base_version", "version__base_version__base_version")
    for name in ("config", "metrics", "code", "environment")
]
SAID_SECONDS = 60.0  # that an arm can't answer is said this often, not at each request
_said: dict[int, float] = {}


@dataclass(frozen=True)
class Choice:
    """Who answers. `arm` None: no comparison, or it counts for nobody. `shadows` get a copy, and their answers are
    only logged."""

    version: ModelVersion
    arm: RouteArm | None = None
    shadows: Sequence[RouteArm] = ()


def choose(model: Model, key: str, alias: str = Name.CHAMPION) -> Choice:
    """Who answers a request to a model. `key` is what the traffic is divided by ('' divides by chance).

    An open route divides what is asked of the champion. It is read anew each time, one small query, so nothing is given
    to an arm once its route has ended. ConflictError when nobody has the name.
    """
    arms = open_arms(model) if alias == Name.CHAMPION else []
    if arms and not overtaken(arms):
        arm = taken(arms, key)
        if answers(arm):
            return Choice(arm.version, arm, [shadow for shadow in arms if shadow.shadow and answers(shadow)])
        # The control answers instead. It does not count: keys that moved would make the two sides unlike each other.
        _say(arm)
        control = next(arm for arm in arms if arm.control)
        if answers(control):
            return Choice(control.version)
    return Choice(_named(model, alias))


def open_arms(model: Model) -> list[RouteArm]:
    """The arms of the model's open route with their versions, in their order; none when there is no route."""
    rows = RouteArm.objects.filter(route__model=model, route__ended_at=None)
    arms = rows.select_related("route", "version__model", "version__base_version__base_version")
    champion = Alias.objects.filter(model=model, name=Name.CHAMPION).values("version")[:1]
    return list(arms.defer(*LONG).annotate(champion=Subquery(champion)).order_by("id"))


def overtaken(arms: Sequence[RouteArm]) -> bool:
    """Whether another version than the control was promoted since: it answers at once, whatever is being compared."""
    champion = arms[0].champion  # type: ignore[attr-defined]
    return champion is not None and all(arm.version_id != champion for arm in arms if arm.control)


def taken(arms: Sequence[RouteArm], key: str) -> RouteArm:
    """The arm that a key belongs to, always the same one of a route; of the key '' one by chance."""
    weighed = [arm for arm in arms if not arm.shadow]
    place = share(arms[0].route.salt, key) * sum(arm.weight for arm in weighed)
    for arm in weighed:
        place -= arm.weight
        if place < 0:
            return arm
    return weighed[-1]


def share(salt: str, key: str) -> float:
    """Where a key lies between 0 and 1, evenly and for good."""
    whole = hashlib.sha256(f"{salt}{key}".encode()).digest() if key else secrets.token_bytes(8)
    return int.from_bytes(whole[:6]) / 2**48  # six bytes: below 1 as a float, too


def answers(arm: RouteArm) -> bool:
    """Whether an arm can answer now: its version is ready, neither it nor what it lies on is damaged, and it was not
    withdrawn."""
    version = arm.version
    whole = version.status == ModelVersion.Status.READY and not version.damaged_at
    return whole and not arm.withdrawn_at and damaged_base(version) is None


def named(model: Model) -> dict[str, int]:
    """The versions that have a name now: name → id."""
    return dict(Alias.objects.filter(model=model).values_list("name", "version"))


def _named(model: Model, alias: str) -> ModelVersion:
    named = ModelVersion.objects.filter(aliases__model=model, aliases__name=alias)
    version = named.select_related("model").first()
    if version is None:
        raise ConflictError(
            f"{model} has no {alias}.", f"Promote a version to {alias} first, or ask one version by its number."
        )
    return version


def _say(arm: RouteArm) -> None:
    now = time.monotonic()
    if arm.withdrawn_at is None and now - _said.get(arm.pk, -SAID_SECONDS) >= SAID_SECONDS:
        _said[arm.pk] = now
        log.warning("%s (%s) can't answer: the control answers in its place", arm.version, arm.name)
