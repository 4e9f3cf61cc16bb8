"""Who may run where, now: the one place that decides, for the claim and for the sentence that explains the wait.

`Picture` is what the decision depends on besides the job: nodes with their slots, and how much each user and
subject already runs. It is read with two or three queries, whatever the length of the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from jobs.models import Job, Limit, Node, Slot
from jobs.needs import Needs
from jobs.states import Status


@dataclass(frozen=True)
class Place:
    """A slot as the decision sees it."""

    pk: int
    device: str
    memory_bytes: int | None
    free: bool

    @property
    def kind(self) -> str:
        return self.device.partition(":")[0]


@dataclass
class Machine:
    """A living node. `closed` says in words why it takes nothing; empty when it takes jobs."""

    pk: int
    name: str
    labels: frozenset[str]
    closed: str
    places: list[Place] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)  # free slots that wait for a job which needs more than are free

    def fitting(self, needs: Needs) -> list[Place]:
        """The slots that would do; for a job of several all of one kind, that with the most free among those enough.

        A GPU with several slots counts once for such a job: its processes can't share a device.
        """
        if not self.labels.issuperset(needs.labels):
            return []
        will_do = [place for place in self.places if needs.fits(place.device, place.memory_bytes)]
        if needs.devices == 1:
            return will_do
        kinds: dict[str, dict[str | int, Place]] = {}
        for place in sorted(will_do, key=lambda place: (not place.free, place.pk in self.kept)):
            device = place.device if place.kind == "cuda" and needs.device != "cpu" else place.pk
            kinds.setdefault(place.kind, {}).setdefault(device, place)
        return max(
            (list(some.values()) for some in kinds.values()),
            key=lambda some: (len(some) >= needs.devices, sum(place.free for place in some), len(some)),
            default=[],
        )

    def usable(self, needs: Needs) -> list[Place]:
        """Those of the fitting slots that are free and kept for nobody."""
        return [place for place in self.fitting(needs) if place.free and place.pk not in self.kept]

    def keep(self, needs: Needs) -> None:
        """Keep every fitting slot, also those that become free, for a job with these needs."""
        self.kept.update(place.pk for place in self.fitting(needs))


class Answer(StrEnum):
    """Why a job can, or can't, start now."""

    NOW = "now"
    USER_LIMIT = "user_limit"
    SUBJECT_LIMIT = "subject_limit"
    NOWHERE = "nowhere"  # no living node has what it needs
    CLOSED = "closed"  # one has, and takes nothing
    BUSY = "busy"  # the devices are there, and not free


@dataclass(frozen=True)
class Verdict:
    """`machine` is the one to run on (NOW), the nearest to it (BUSY), or the one that is closed (CLOSED)."""

    answer: Answer
    machine: Machine | None = None
    free: int = 0  # fitting slots of `machine` that are free, those kept for another job included
    limit: int = 0
    running: int = 0  # of those that the limit counts; more than allowed when it was lowered


@dataclass
class Picture:
    """The hub's devices and who uses them, at one moment."""

    machines: list[Machine]
    users: Counter[int] = field(default_factory=Counter)  # running jobs of each; counted only where a limit is set
    subjects: Counter[int | None] = field(default_factory=Counter)
    user_limits: dict[int | None, int | None] = field(default_factory=dict)  # None: every other user
    subject_limits: dict[int, int] = field(default_factory=dict)
    kept_for: set[Needs] = field(default_factory=set)

    @classmethod
    def take(cls) -> Picture:
        """As the database has it now."""
        picture = cls(_machines())
        for user_id, subject_id, most in Limit.objects.values_list("user_id", "subject_id", "max_running"):
            if subject_id is None:
                picture.user_limits[user_id] = most
            elif most is not None:
                picture.subject_limits[subject_id] = most
        if picture.user_limits or picture.subject_limits:
            running = Job.objects.filter(status=Status.RUNNING).order_by().values_list("owner_id", "subject_id")
            for owner_id, subject_id in running:
                picture.users[owner_id] += 1
                picture.subjects[subject_id] += 1
        return picture

    @property
    def full_subjects(self) -> list[int]:
        return [pk for pk, most in self.subject_limits.items() if self.subjects[pk] >= most]

    def limit_of(self, owner_id: int) -> int | None:
        """How many jobs this user may have running; None: as many as there are devices."""
        return self.user_limits.get(owner_id, self.user_limits.get(None))

    def machine_of(self, slot_id: int) -> Machine | None:
        return next((machine for machine in self.machines for place in machine.places if place.pk == slot_id), None)

    def judge(self, needs: Needs, owner_id: int, subject_id: int | None) -> Verdict:
        """Whether a job with these needs could start now, and if not, why."""
        most = self.limit_of(owner_id)
        if most is not None and self.users[owner_id] >= most:
            return Verdict(Answer.USER_LIMIT, limit=most, running=self.users[owner_id])
        if subject_id is not None and self.subjects[subject_id] >= self.subject_limits.get(subject_id, 1 << 31):
            most, running = self.subject_limits[subject_id], self.subjects[subject_id]
            return Verdict(Answer.SUBJECT_LIMIT, limit=most, running=running)
        able = [machine for machine in self.machines if len(machine.fitting(needs)) >= needs.devices]
        if not able:
            return Verdict(Answer.NOWHERE)
        open_ones = [machine for machine in able if not machine.closed]
        if not open_ones:
            return Verdict(Answer.CLOSED, able[0])
        best = max(open_ones, key=lambda machine: (len(machine.usable(needs)), _free(machine, needs)))
        free = _free(best, needs)
        if len(best.usable(needs)) >= needs.devices:
            return Verdict(Answer.NOW, best, free)
        return Verdict(Answer.BUSY, best, free)

    def slots_for(self, needs: Needs, slot_id: int) -> list[Place]:
        """Free slots for a job that starts on this one, it first; empty when there are too few."""
        machine = self.machine_of(slot_id)
        if machine is None or machine.closed:
            return []
        free = machine.usable(needs)
        own = [place for place in free if place.pk == slot_id]
        if not own or len(free) < needs.devices:
            return []
        return (own + [place for place in free if place.pk != slot_id])[: needs.devices]


def _free(machine: Machine, needs: Needs) -> int:
    return sum(place.free for place in machine.fitting(needs))


def _machines() -> list[Machine]:
    """Nodes that were heard of lately, with their slots; in the database's time."""
    fresh = Now() - timedelta(seconds=settings.LEASE_SECONDS)
    alive = Slot.objects.filter(enabled=True, node__state=Node.State.ACTIVE, node__heartbeat_at__gt=fresh)
    machines: dict[int, Machine] = {}
    aside = ExpressionWrapper(Q(node__set_aside_until__gt=Now()), BooleanField())
    for slot in alive.annotate(aside=aside).select_related("node").order_by("node__name", "index"):
        node = slot.node
        closed = _why_closed(node, slot.aside)
        machine = machines.setdefault(node.pk, Machine(node.pk, node.name, frozenset(node.labels), closed))
        machine.places.append(Place(slot.pk, slot.device, slot.memory_bytes, slot.held_by_id is None))
    return list(machines.values())


def _why_closed(node: Node, aside: bool | None) -> str:
    if node.draining:
        return "takes no new jobs (it is being drained)"
    if aside:
        return f"is set aside: {node.set_aside_reason}"
    return ""


def keep_for(picture: Picture, verdict: Verdict, needs: Needs) -> None:
    """Keep a machine's fitting slots for a job that needs several: smaller ones behind it would starve it.

    One machine for the first of all jobs with the same needs: the next has its turn when that has started.
    """
    if verdict.answer == Answer.BUSY and needs.devices > 1 and verdict.machine and needs not in picture.kept_for:
        picture.kept_for.add(needs)
        verdict.machine.keep(needs)


def lanes_out_of_reach(picture: Picture, lanes: Iterable[str]) -> set[str]:
    """Lanes whose jobs no open node can ever run as things are: they stand in nobody's way."""
    return {
        lane
        for lane in lanes
        if not any(
            len(machine.fitting(needs)) >= needs.devices
            for needs in (Needs.of_lane(lane),)
            for machine in picture.machines
            if not machine.closed
        )
    }
