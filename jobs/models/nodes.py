"""The machines of a hub: their one home, and the slots that run jobs, one at a time each."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class SharedHome(models.Model):
    """The one home that holds this hub's files. Every machine of the hub must see it, and share its secret key."""

    identity = models.CharField(max_length=36)
    secret_digest = models.CharField(max_length=64, help_text="Tells another secret key, without telling the key.")

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="one_shared_home")]

    def __str__(self) -> str:
        return self.identity


class Node(models.Model):
    """A machine with workers."""

    class State(models.TextChoices):
        """What its manager says; whether it may take jobs is also for people to say, see `draining`."""

        ACTIVE = "active", "Active"
        STOPPED = "stopped", "Stopped"

    name = models.CharField(max_length=100, unique=True)
    host = models.CharField(max_length=200)
    boot_id = models.CharField(max_length=64, blank=True)
    manager_pid = models.PositiveIntegerField(default=0)
    manager_start = models.BigIntegerField(default=0, help_text="Clock ticks since boot: tells a reused pid.")
    instance = models.UUIDField(default=uuid.uuid4, help_text="The manager that holds this name now.")
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    draining = models.BooleanField(default=False, help_text="Finishes what runs, takes nothing more.")
    failures_in_a_row = models.JSONField(default=list, help_text="Jobs whose attempts died here before a step.")
    set_aside_until = models.DateTimeField(null=True, blank=True, help_text="Takes nothing until then.")
    set_aside_reason = models.CharField(max_length=300, blank=True)
    labels = models.JSONField(default=list, help_text="Words by which jobs can ask for this node.")
    version = models.CharField(max_length=40, blank=True)
    versions = models.JSONField(default=dict, help_text="Python, torch, driver …: name → version.")
    devices = models.JSONField(default=list)
    figures = models.JSONField(default=dict, help_text="Latest use of the machine and its devices.")
    started_at = models.DateTimeField()
    heartbeat_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=(Q(set_aside_until__isnull=True) & Q(set_aside_reason=""))
                | (Q(set_aside_until__isnull=False) & ~Q(set_aside_reason="")),
                name="node_set_aside_has_reason",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def heard_of(cls) -> models.QuerySet[Node]:
        """Those that were heard of lately by the database's clock, which decides; `is_up` is there to be shown."""
        fresh = Now() - timedelta(seconds=settings.LEASE_SECONDS)
        return cls.objects.filter(state=cls.State.ACTIVE, heartbeat_at__gt=fresh)

    @property
    def is_up(self) -> bool:
        """Whether it has been heard of lately."""
        fresh = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS)
        return self.state != self.State.STOPPED and self.heartbeat_at > fresh

    @property
    def is_set_aside(self) -> bool:
        return self.set_aside_until is not None and self.set_aside_until > timezone.now()

    @property
    def takes_jobs(self) -> bool:
        return self.is_up and not self.draining and not self.is_set_aside


class NodeEvent(models.Model):
    """Who did what to a node, and when. Append-only."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=30)  # joined, stopped, drained, resumed, set_aside …
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["node", "-id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.node}"


class Slot(models.Model):
    """A place on a node that runs one job at a time: a GPU, or a share of the CPU."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="slots")
    index = models.PositiveSmallIntegerField()
    device = models.CharField(max_length=20, help_text="cpu, cuda:0 …")
    queue = models.CharField(max_length=150, unique=True, help_text="The name of its django-q2 queue.")
    enabled = models.BooleanField(default=True)
    memory_bytes = models.BigIntegerField(null=True, help_text="Of the device; of the host for a CPU slot.")
    # One column, so that a slot can never be lent twice; a job of several devices holds several slots.
    held_by = models.ForeignKey("Attempt", models.SET_NULL, null=True, blank=True, related_name="held_slots")
    answered_at = models.DateTimeField(null=True, help_text="When a worker last answered a knock.")

    class Meta:
        ordering = ["node", "index"]
        constraints = [models.UniqueConstraint(fields=["node", "index"], name="slot_once_per_node")]

    def __str__(self) -> str:
        return f"{self.node} / {self.device} #{self.index}"
