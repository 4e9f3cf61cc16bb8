"""Whether a job can fit into any device of the hub: what can't is refused when it is made, and not after hours in the
queue. Only what is sure counts: what its weights need at the very least, or what the very same run took before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidInputError
from common.wording import size
from datasets.models import Dataset, DatasetVersion
from engine import catalogue, memory, weights
from engine.config import Facts
from jobs import bases, estimates, measurements
from jobs.models import Attempt, Job, Slot
from jobs.needs import Needs
from jobs.states import Status
from registry.bases import find
from registry.models import ModelVersion


@dataclass(frozen=True)
class Room:
    """A place where a job may run. `memory` in bytes; None where its node does not say."""

    kind: str  # cpu or cuda
    memory: int | None
    name: str


@dataclass(frozen=True)
class Taken:
    """Bytes that a run takes on a kind of device, and the settings to change, the most helpful first."""

    memory: int
    measured: bool
    cures: tuple[str, ...]


def check(
    recipe: str,
    config: Mapping[str, Any],
    needs: Needs,
    *,
    base_version: ModelVersion | None = None,
    dataset: Dataset | None = None,
    version: DatasetVersion | None = None,
) -> None:
    """InvalidInputError, at the setting to change, when no device that may run this complete configuration has the
    memory for it. Where no node is known, or one does not say what it has, nothing is refused."""
    rooms = list(_rooms(needs))
    if not rooms or any(room.memory is None for room in rooms):
        return
    known = {kind: _taken(recipe, config, kind, needs, base_version, dataset, version) for kind in _kinds(rooms)}
    for room in rooms:
        taken = known[room.kind]
        if taken is None or taken.memory <= (room.memory or 0):
            return
    largest = max(rooms, key=lambda room: room.memory or 0)
    raise _refused(recipe, config, known[largest.kind], largest)  # type: ignore[arg-type]


def _refused(recipe: str, config: Mapping[str, Any], taken: Taken, largest: Room) -> InvalidInputError:
    takes = f"A run with these settings took {size(taken.memory)}" if taken.measured else (
        f"It takes at least {size(taken.memory)} of memory"
    )  # fmt: skip
    message = f"{takes}, and the largest device that may run it has {size(largest.memory)} ({largest.name})."
    settings = catalogue.config_class(recipe)
    hint = memory.cure(settings, config, taken.cures) or memory.LAST_RESORT.capitalize()
    field = next(iter(memory.cures(settings, config, taken.cures)), "")
    return InvalidInputError(message, hint, fields={f"config.{field}" if field else "resources": [f"{message} {hint}"]})


def _rooms(needs: Needs) -> Iterable[Room]:
    """Every slot that may be given to such a job, of nodes that are down now too: it would wait for them."""
    for slot in Slot.objects.filter(enabled=True).select_related("node"):
        node = slot.node
        if not set(needs.labels) <= set(node.labels) or not needs.fits(slot.device, slot.memory_bytes):
            continue
        kind = slot.device.partition(":")[0]
        if needs.device == "cpu" and kind != "cpu":
            yield Room("cpu", _host_memory(node.devices), node.name)
        else:
            yield Room(kind, slot.memory_bytes, f"{slot.device} of {node.name}")


def _host_memory(devices: list[dict[str, Any]]) -> int | None:
    return next((one.get("memory_bytes") for one in devices if one.get("kind") == "cpu"), None)


def _kinds(rooms: Iterable[Room]) -> set[str]:
    return {room.kind for room in rooms}


def _taken(
    recipe: str,
    config: Mapping[str, Any],
    kind: str,
    needs: Needs,
    base_version: ModelVersion | None,
    dataset: Dataset | None,
    version: DatasetVersion | None,
) -> Taken | None:
    """The larger of what is known; None where nothing is."""
    found = [_at_least(recipe, config, kind, base_version)]
    # A GPU's figure is of what was set aside, which shrinks with the parts of a batch where these are 'auto'.
    if kind == "cpu" or config.get("accumulate") != "auto":
        found.append(_measured(recipe, config, kind, needs, version.dataset if version else dataset, base_version))
    if kind == "cpu":
        found.append(_ran(recipe, config, version, base_version))
    return max((one for one in found if one), key=lambda one: one.memory, default=None)


def _at_least(recipe: str, config: Mapping[str, Any], kind: str, base_version: ModelVersion | None) -> Taken | None:
    """What the weights need, by the recipe's own account."""
    facts: Facts = {"device": "cuda" if kind == "cuda" else "cpu"}
    name = config.get(bases.SETTING)
    if base_version is not None:
        return None  # its files may be an adapter's, or lie elsewhere
    if name:
        if (held := weights.held(find(name).folder)) is None:
            return None
        facts |= {"base_numbers": held.numbers, "base_bytes": held.bytes}
    least = catalogue.config_class(recipe).model_validate(dict(config)).least_memory(facts)
    return Taken(least, False, memory.CURES_OF_BASES if name else memory.CURES_OF_SIZE) if least else None


def _measured(
    recipe: str,
    config: Mapping[str, Any],
    kind: str,
    needs: Needs,
    dataset: Dataset | None,
    base_version: ModelVersion | None,
) -> Taken | None:
    """What a trial on some of the same data took, where it was one of these very settings."""
    if dataset is None:
        return None
    base = measurements.beginning(config, base_version.pk if base_version else None)
    found = measurements.find(recipe, measurements.exact(config, dataset.pk), kind, needs.devices, base)
    return Taken(found.memory, True, memory.CURES) if found else None


def _ran(
    recipe: str, config: Mapping[str, Any], version: DatasetVersion | None, base_version: ModelVersion | None
) -> Taken | None:
    """The least that runs of the very same took on a CPU."""
    if version is None:
        return None
    past = Job.objects.filter(
        recipe=recipe, config=dict(config), dataset_version=version, base_version=base_version, status=Status.COMPLETED
    ).order_by("-created_at")
    peaks = [
        int(peak)
        for pk, peak in past.values_list("pk", f"figures__{estimates.PEAK}")[:20]
        if peak and set(Attempt.objects.filter(job=pk).values_list("devices__0", flat=True)) == {"cpu"}
    ]
    return Taken(min(peaks), True, memory.CURES) if peaks else None
