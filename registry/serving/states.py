"""How deployments are doing: what nodes last said of the versions that they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models.functions import Now

from registry.models import Deployment, ModelVersion, Served
from registry.models.aliases import Name
from registry.serving.reconciling import STALE
from registry.serving.wanted import now_named

WORDS = {
    "ready": ("Ready", "check", "green"),
    "loading": ("Loading", "hourglass", "blue"),
    "unloaded": ("Unloaded", "box", "yellow"),
    "failed": ("Failed", "alert-triangle", "red"),
    "waiting": ("Waiting", "clock", "yellow"),
}


@dataclass(frozen=True)
class InUse:
    """A deployment and its state. `version` None: nobody has the name now."""

    deployment: Deployment
    version: ModelVersion | None
    served: list[Served] = field(default_factory=list)

    @property
    def state(self) -> str:
        """ready, loading, unloaded, failed, or waiting: there is nobody, or nothing, to load it."""
        told = {one.state for one in self.served}
        for state in ("ready", "failed", "unloaded", "loading"):
            if state in told:
                return state
        return "waiting" if self.version is None else "loading"

    @property
    def message(self) -> str:
        """What to know about the state; '' where it speaks for itself."""
        if self.version is None:
            return f"No version is {self.deployment.alias} yet. It is loaded as soon as one is."
        if self.state == "failed":
            return next(one.message for one in self.served if one.state == Served.State.FAILED)
        if self.state == "unloaded":
            return "Other models needed its memory. The next request loads it again."
        return "" if self.served else "No node has taken it up yet."

    @property
    def hint(self) -> str:
        return next((one.hint for one in self.served if one.hint), "") if self.state == "failed" else ""

    @property
    def title(self) -> str:
        return Name(self.deployment.alias).label if self.deployment.alias else f"v{self.deployment.version.number}"

    @property
    def word(self) -> tuple[str, str, str]:
        """Word, icon and colour of the state."""
        return WORDS[self.state]

    @property
    def ready(self) -> int:
        """Replicas that answer."""
        return sum(bool(replica.get("ready")) for one in self.served for replica in one.replicas)

    @property
    def memory_bytes(self) -> int:
        return sum(one.memory_bytes for one in self.served)

    @property
    def requests(self) -> int:
        return sum(one.requests for one in self.served)

    @property
    def restarts(self) -> int:
        return sum(one.restarts for one in self.served)


def in_use(deployments: Iterable[Deployment]) -> list[InUse]:
    """Deployments with their states, in two or three queries however many there are."""
    rows = list(deployments)
    named = now_named({row.model_id for row in rows if row.alias}) if rows else {}
    meant = {row.pk: row.version_id or named.get((row.model_id, row.alias)) for row in rows}
    ids = {version for version in meant.values() if version}
    versions = ModelVersion.objects.select_related("model").in_bulk(ids) if ids else {}
    told: dict[int, list[Served]] = {}
    for served in Served.objects.filter(version__in=ids, heard_at__gt=Now() - STALE).order_by("node") if ids else []:
        told.setdefault(served.version_id, []).append(served)
    return [InUse(row, versions.get(meant[row.pk] or 0), told.get(meant[row.pk] or 0, [])) for row in rows]
