"""What the pages of nodes show: the state of each in words, its devices and their use, what its slots run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string

from common import wording
from jobs import presentation
from jobs.models import Attempt, Job, Node, NodeEvent, Slot

RECENT_EVENTS = 5  # on the card of a node
EVENTS = 50
ATTEMPTS = 30


@dataclass(frozen=True)
class State:
    """A node's state: colour, icon and word of its badge, and a sentence where the word is not enough."""

    colour: str
    icon: str
    word: str
    sentence: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Bar:
    """A share from 0 to 100 with its text."""

    label: str
    percent: float
    text: str


@dataclass
class Device:
    """A device and its use now; what the node does not report is absent."""

    title: str
    name: str
    facts: list[str] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """A slot; `job` is None when it is free, and when it runs a job that the viewer may not see (`busy`)."""

    device: str
    index: int
    busy: bool
    job: Job | None
    others: int = 0  # slots that the same job holds besides this one


@dataclass
class Card:
    """A node as a card shows it."""

    node: Node
    state: State
    devices: list[Device]
    places: list[Place]
    actions: list[presentation.Action]
    events: list[NodeEvent]


DRAIN = presentation.Action("drain", "Drain", "player-pause", asks=True)
RESUME = presentation.Action("resume", "Resume", "player-play", "btn-primary")
FORGET = presentation.Action("forget", "Forget", "trash", "btn-red", asks=True)


def machines(user: Any) -> dict[str, Any]:
    """What the page of all nodes shows."""
    found = list(Node.objects.order_by("name"))
    cards = _cards(found, user)
    free = sum(not place.busy for card in cards if card.node.takes_jobs for place in card.places)
    busy = sum(place.busy for card in cards for place in card.places)
    up = sum(node.is_up for node in found)
    return {
        "cards": cards, "up": up, "free": free, "busy": busy, "administrator": user.is_staff,
        "embedded": settings.TRAINHUB_EMBEDDED,
    }  # fmt: skip


def machine(node: Node, user: Any) -> dict[str, Any]:
    """What the page of one node shows."""
    (card,) = _cards([node], user)
    attempts = Attempt.objects.filter(slot__node=node).select_related("job", "slot").order_by("-pk")[:ATTEMPTS]
    return {
        "card": card,
        "node": node,
        "administrator": user.is_staff,
        "events": list(node.events.select_related("actor").order_by("-pk")[:EVENTS]),
        "attempts": [(attempt, _may_see(attempt.job, user)) for attempt in attempts],
    }


def machine_parts(node: Node, user: Any) -> dict[str, str]:
    """{id of an element: its content} of the page of one node."""
    context = machine(node, user)
    names = {"node-head": "_node_head", "node-use": "_node_use", "node-events": "_node_events",
             "node-attempts": "_node_attempts"}  # fmt: skip
    return {key: render_to_string(f"jobs/{name}.html", context) for key, name in names.items()}


def running_on(node: Node) -> int:
    """Jobs that hold slots of it."""
    return Slot.objects.filter(node=node).exclude(held_by=None).values("held_by").distinct().count()


def state_of(node: Node, running: int) -> State:
    """In one word, whether it takes jobs, and in a sentence why not."""
    if node.state == Node.State.STOPPED:
        return State("secondary", "stop", "Stopped", "It was stopped in order.")
    if not node.is_up:
        return State(
            "red", "alert-triangle", "Not heard of",
            "It is silent, so other nodes take up its jobs. If it is gone for good, forget it.",
        )  # fmt: skip
    if node.draining:
        left = f"finishes {running} running {'job' if running == 1 else 'jobs'} and" if running else "runs nothing and"
        return State("yellow", "player-pause", "Draining" if running else "Drained", f"It {left} takes nothing more.")
    if node.is_set_aside:
        reason = node.set_aside_reason.rstrip(".")
        return State(
            "yellow", "alert-triangle", "Set aside", f"Takes nothing, because {reason}.", until=node.set_aside_until
        )
    return State("green", "check", "Up")


def _cards(found: list[Node], user: Any) -> list[Card]:
    """Three queries for any number of nodes."""
    slots: dict[int, list[Slot]] = defaultdict(list)
    for slot in Slot.objects.filter(node__in=found, enabled=True).select_related("held_by__job").order_by("index"):
        slots[slot.node_id].append(slot)
    events: dict[int, list[NodeEvent]] = defaultdict(list)
    for node in found:
        events[node.pk] = []
    newest = NodeEvent.objects.filter(node__in=found).select_related("actor").order_by("-pk")
    for event in newest[: RECENT_EVENTS * max(1, len(found)) * 4]:
        if len(events[event.node_id]) < RECENT_EVENTS:
            events[event.node_id].append(event)
    return [_card(node, slots[node.pk], events[node.pk], user) for node in found]


def _card(node: Node, slots: list[Slot], events: list[NodeEvent], user: Any) -> Card:
    running = len({slot.held_by_id for slot in slots} - {None})
    return Card(
        node, state_of(node, running), list(_devices(node)), [_place(slot, slots, user) for slot in slots],
        _actions(node, running) if user.is_staff else [], events,
    )  # fmt: skip


def _actions(node: Node, running: int) -> list[presentation.Action]:
    if not node.is_up:
        return [] if running else [FORGET]
    return [RESUME] if node.draining or node.is_set_aside else [DRAIN]


def _place(slot: Slot, slots: Iterable[Slot], user: Any) -> Place:
    attempt = slot.held_by
    if attempt is None:
        return Place(slot.device, slot.index, False, None)
    others = sum(other.held_by_id == attempt.pk for other in slots) - 1
    return Place(slot.device, slot.index, True, attempt.job if _may_see(attempt.job, user) else None, others)


def _may_see(job: Job, user: Any) -> bool:
    return bool(user.is_staff) or job.owner_id == user.pk


def _devices(node: Node) -> Iterable[Device]:
    """Figures of a node that is silent are old, so they are left out."""
    figures: dict[str, float] = node.figures if node.is_up else {}
    for device in node.devices:
        gpu = device.get("kind") == "gpu"
        bars, more = _gpu(figures, device.get("index", 0)) if gpu else _host(figures)
        total = device.get("memory_bytes")
        facts = [wording.size(total)] if total and not any(bar.label == "Memory" and gpu for bar in bars) else []
        if cores := device.get("cores"):
            facts.append(f"{cores} {'core' if cores == 1 else 'cores'}")
        yield Device(f"GPU {device.get('index', 0)}" if gpu else "CPU", device.get("name", ""), facts + more, bars)


def _gpu(figures: dict[str, float], index: int) -> tuple[list[Bar], list[str]]:
    given = {name: figures.get(f"gpu/{index}/{name}") for name in (
        "utilization_percent", "memory_used_bytes", "memory_total_bytes", "temperature_celsius", "power_watts"
    )}  # fmt: skip
    use, used, total, heat, power = given.values()
    bars = [] if use is None else [Bar("Use", use, f"{use:.0f} %")]
    if used is not None and total:
        bars.append(Bar("Memory", 100 * used / total, f"{wording.size(used)} of {wording.size(total)}"))
    facts = [] if heat is None else [f"{heat:.0f} °C"]
    return bars, facts + ([] if power is None else [f"{power:.0f} W"])


def _host(figures: dict[str, float]) -> tuple[list[Bar], list[str]]:
    named = (("Use", "system/cpu_percent"), ("Memory", "system/host_memory_percent"))
    return [Bar(label, figures[key], f"{figures[key]:.0f} %") for label, key in named if key in figures], []
