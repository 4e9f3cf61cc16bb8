"""What happened: one record of each finished training or generation run."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from jobs.models import Job
from registry.models import ModelVersion


class Session(models.Model):
    """One finished run. A field that does not apply to a run is empty; nothing is guessed."""

    class Kind(models.TextChoices):
        TRAINING = "training", "Training"
        GENERATION = "generation", "Generation"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="training_sessions")
    session_id = models.UUIDField(unique=True, default=uuid.uuid4)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.TRAINING)
    name = models.CharField(max_length=200, blank=True)
    recipe = models.CharField(max_length=50, blank=True)
    outcome = models.CharField(max_length=12, blank=True, help_text="completed, failed or cancelled")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="sessions")
    model_version = models.ForeignKey(ModelVersion, models.SET_NULL, null=True, blank=True, related_name="sessions")

    examples_requested = models.PositiveIntegerField(null=True)
    examples_successful = models.PositiveIntegerField(null=True)
    examples_failed = models.PositiveIntegerField(null=True)
    genres = models.JSONField(default=list)
    stored_in_memory = models.BooleanField(default=False)
    saved_to_database = models.BooleanField(default=False)
    saved_count = models.PositiveIntegerField(null=True)
    quality_average = models.DecimalField(max_digits=3, decimal_places=1, null=True)
    quality_min = models.DecimalField(max_digits=3, decimal_places=1, null=True)
    quality_max = models.DecimalField(max_digits=3, decimal_places=1, null=True)
    best_model = models.CharField(max_length=200, blank=True)
    performance_by_model = models.JSONField(default=dict)
    genre_distribution = models.JSONField(default=dict)
    total_seconds = models.FloatField(null=True)
    examples_before = models.PositiveIntegerField(null=True)
    examples_after = models.PositiveIntegerField(null=True)
    fine_tuning_triggered = models.BooleanField(default=False)
    metrics = models.JSONField(default=dict)
    request_digest = models.CharField(max_length=64, blank=True)
    started_at = models.DateTimeField()
    completed_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(completed_at__gte=models.F("started_at")), name="session_ends_after_start"
            ),
        ]
        indexes = [
            models.Index(fields=["started_at"], name="session_started"),
            models.Index(fields=["user", "-started_at"], name="session_user_started"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.session_id)
