"""Models that run elsewhere, and are asked over the network."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Endpoint(models.Model):
    """An address that speaks as OpenAI's chat completions do, and the model there."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="endpoints")
    name = models.CharField(max_length=50, help_text="Small letters, digits and dashes; settings name it so.")
    url = models.CharField(max_length=500, help_text="Up to and with /v1.")
    model = models.CharField(max_length=200, help_text="What the server calls it.")
    sealed_key = models.TextField(blank=True, editable=False)
    timeout_seconds = models.FloatField(default=60.0)
    retries = models.PositiveSmallIntegerField(default=3)
    requests_per_minute = models.PositiveIntegerField(default=0, help_text="0: as many as it takes.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="endpoint_name_once"),
            models.CheckConstraint(
                condition=Q(timeout_seconds__gt=0, timeout_seconds__lte=3600), name="endpoint_timeout_in_range"
            ),
            models.CheckConstraint(condition=Q(retries__lte=10), name="endpoint_retries_in_range"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_key(self) -> bool:
        return bool(self.sealed_key)
