"""What happened: one record of each finished training or generation run."""

from __future__ import annotations

import uuid
from datetime import date

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from datasets.models import Subject
from jobs.models import Job
from registry.models import ModelVersion

EARLIEST = date(2000, 1, 1)  # a run before that day is one of a clock that is wrong


class Session(models.Model):
    """One finished run. A field that does not apply to a run is empty; nothing is guessed."""

    class Kind(models.TextChoices):
        TRAINING = "training", "Training"
        GENERATION = "generation", "Generation"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="training_sessions", db_index=False)
    session_id = models.UUIDField(unique=True, default=uuid.uuid4)
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.TRAINING)
    name = models.CharField(max_length=200, blank=True)
    recipe = models.CharField(max_length=50, blank=True)
    outcome = models.CharField(max_length=12, blank=True, help_text="completed, failed or cancelled")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="sessions")
    model_version = models.ForeignKey(ModelVersion, models.SET_NULL, null=True, blank=True, related_name="sessions")
    subject = models.ForeignKey(
        Subject, models.SET_NULL, null=True, blank=True, related_name="sessions", db_index=False
    )
    modality = models.CharField(max_length=10, blank=True, help_text="What its recipe's data is: text, image, …")
    # The recipe's own figure of a good run, so that lists and trends need not look into `metrics`.
    metric = models.CharField(max_length=100, blank=True)
    metric_value = models.FloatField(null=True)
    estimated_seconds = models.FloatField(null=True, help_text="What was expected when the job was made.")
    cost = models.FloatField(null=True, help_text="By the price of a device hour when the job was made.")
    currency = models.CharField(max_length=10, blank=True)

    # A person's own words about it; all else is as it was recorded.
    note = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    starred = models.BooleanField(default=False)

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
        # Each ends in the id: a list goes on behind a row, and reads the ids of a page from the index alone.
        indexes = [
            models.Index(fields=["-started_at", "-id"], name="session_started"),
            models.Index(fields=["user", "-started_at", "-id"], name="session_user_started"),
            models.Index(fields=["user", "outcome", "-started_at", "-id"], name="session_user_outcome"),
            models.Index(fields=["user", "recipe", "-started_at", "-id"], name="session_user_recipe"),
            models.Index(fields=["user", "modality", "-started_at", "-id"], name="session_user_modality"),
            models.Index(fields=["user", "kind", "-started_at", "-id"], name="session_user_kind"),
            models.Index(
                fields=["subject", "-started_at", "-id"],
                # What trends by subject add up: read from the index alone.
                include=["user", "kind", "outcome", "modality", "recipe", "metric", "metric_value", "quality_average"],
                condition=Q(subject__isnull=False), name="session_by_subject",
            ),
            models.Index(fields=["user", "-started_at", "-id"], condition=Q(starred=True), name="session_starred"),
            models.Index(fields=["user", "-started_at", "-id"], condition=~Q(tags=[]), name="session_tagged"),
            GinIndex(fields=["tags"], name="session_tags"),
            models.Index(fields=["user", "name", "id"], name="session_by_name"),
            models.Index(
                fields=["user", "total_seconds", "id"],
                condition=Q(total_seconds__isnull=False), name="session_by_time",
            ),
            models.Index(
                fields=["user", "quality_average", "id"],
                condition=Q(quality_average__isnull=False), name="session_by_quality",
            ),
            models.Index(
                fields=["user", "examples_successful", "id"],
                condition=Q(examples_successful__isnull=False), name="session_by_examples",
            ),
            models.Index(fields=["user", "cost", "id"], condition=Q(cost__isnull=False), name="session_by_cost"),
            # The same orders of everyone's, for administrators.
            models.Index(fields=["name", "id"], name="session_all_by_name"),
            models.Index(
                fields=["total_seconds", "id"], condition=Q(total_seconds__isnull=False), name="session_all_by_time"
            ),
            models.Index(
                fields=["quality_average", "id"],
                condition=Q(quality_average__isnull=False), name="session_all_by_quality",
            ),
            models.Index(
                fields=["examples_successful", "id"],
                condition=Q(examples_successful__isnull=False), name="session_all_by_examples",
            ),
            models.Index(fields=["cost", "id"], condition=Q(cost__isnull=False), name="session_all_by_cost"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name or str(self.session_id)

    @property
    def examples_there_already(self) -> int | None:
        """What a run of the hub kept that its dataset had before; None where it was not saved."""
        kept, made = self.examples_successful, self.saved_count
        known = self.job_id and self.saved_to_database and kept is not None and made is not None
        return max(0, kept - made) if known else None

    @property
    def examples_untried(self) -> int | None:
        """What a run that ended early did not come to; None where that is not known."""
        asked, kept, failed = self.examples_requested, self.examples_successful, self.examples_failed
        return None if asked is None or kept is None or failed is None else max(0, asked - kept - failed)


class SessionDay(models.Model):
    """What one person's sessions of a day (UTC) and kind add up to, written with each session; see history.daily."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    kind = models.CharField(max_length=12)
    recipe = models.CharField(max_length=50, blank=True)
    modality = models.CharField(max_length=10, blank=True)
    outcome = models.CharField(max_length=12, blank=True)
    metric = models.CharField(max_length=100, blank=True)
    currency = models.CharField(max_length=10, blank=True)

    sessions = models.BigIntegerField(default=0)
    fine_tuning = models.BigIntegerField(default=0)
    examples = models.BigIntegerField(default=0)
    saved = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    cost = models.FloatField(default=0)
    # Of those that have one: how many, and the sum.
    priced = models.BigIntegerField(default=0)
    rated = models.BigIntegerField(default=0)
    quality = models.FloatField(default=0)
    measured = models.BigIntegerField(default=0)
    metric_sum = models.FloatField(default=0)
    # Completed runs that had been estimated.
    estimated = models.BigIntegerField(default=0)
    estimated_seconds = models.FloatField(default=0)
    estimated_took = models.FloatField(default=0)

    class Meta:
        ordering = ["-day", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "day", "kind", "recipe", "modality", "outcome", "metric", "currency"],
                name="session_day_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sessions} sessions on {self.day}"


class SessionDayShare(models.Model):
    """A genre, or a generating model, in one person's sessions of a day (UTC)."""

    class What(models.TextChoices):
        GENRE = "genre", "Genre"
        GENERATOR = "generator", "Generating model"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False)
    day = models.DateField()
    what = models.CharField(max_length=10, choices=What)
    name = models.CharField(max_length=200)
    sessions = models.BigIntegerField(default=0)
    count = models.BigIntegerField(default=0, help_text="Examples of the genre, or wins of the model.")
    rated = models.BigIntegerField(default=0)
    quality = models.FloatField(default=0, help_text="The sum of the sessions' averages.")

    class Meta:
        ordering = ["-day", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "what", "day", "name"], name="session_share_once")]

    def __str__(self) -> str:
        return f"{self.name} on {self.day}"


class SavedView(models.Model):
    """Filters and an order of the history that a person gave a name."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="history_views")
    name = models.CharField(max_length=100)
    filters = models.JSONField(default=dict, help_text="As an address has them: name → text.")
    sort = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="saved_view_name_once")]

    def __str__(self) -> str:
        return self.name
