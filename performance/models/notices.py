"""Where people are told, and what they were told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.identifiers import uuid7


class Channel(models.Model):
    """A way to tell somebody. `performance.notices.channels` alone writes it."""

    class Kind(models.TextChoices):
        MAIL = "mail", "Mail"
        WEBHOOK = "webhook", "Webhook"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="channels")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=8, choices=Kind)
    address = models.CharField(max_length=500, blank=True, help_text="Of mail, empty: that of the owner's account.")
    sealed_secret = models.TextField(blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="channel_name_once"),
            models.CheckConstraint(
                condition=~Q(kind="webhook") | (~Q(address="") & ~Q(sealed_secret="")),
                name="webhook_has_address_and_secret",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One notice to one channel. Its id is told to the receiver, and is the same however often it is tried."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    channel = models.ForeignKey(Channel, models.CASCADE, related_name="deliveries")
    key = models.CharField(max_length=100, help_text="What it tells: each is told once.")
    event = models.CharField(max_length=40)
    payload = models.JSONField()
    tries = models.PositiveIntegerField(default=0)
    most_tries = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    next_at = models.DateTimeField(null=True, help_text="Null when it was delivered, or given up.")
    delivered_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True, help_text="When it was given up.")

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "deliveries"
        constraints = [
            models.UniqueConstraint(fields=["channel", "key"], name="delivery_once"),
            models.CheckConstraint(
                condition=Q(next_at__isnull=False, delivered_at__isnull=True, dead_at__isnull=True)
                | Q(next_at__isnull=True, delivered_at__isnull=False, dead_at__isnull=True)
                | Q(next_at__isnull=True, delivered_at__isnull=True, dead_at__isnull=False),
                name="delivery_waits_or_has_ended",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="delivery_due"),
            models.Index(fields=["channel", "-id"], name="delivery_of_channel"),
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.channel}"


class DeliveryTry(models.Model):
    """One attempt at a delivery, written before it is sent. Without an end: its worker died, or is at it."""

    delivery = models.ForeignKey(Delivery, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    status = models.PositiveIntegerField(null=True, help_text="What a web server answered.")
    milliseconds = models.PositiveIntegerField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["number"]
        verbose_name_plural = "delivery tries"
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="delivery_try_once")]

    def __str__(self) -> str:
        return f"try {self.number} of {self.delivery_id}"
