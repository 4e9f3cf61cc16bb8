"""How models do: figures of versions over time."""

from __future__ import annotations

from django.db import models

from registry.models import Model, ModelVersion


class MetricRecord(models.Model):
    """One figure of one version at one time: from its evaluation, or from the world."""

    class Source(models.TextChoices):
        EVALUATION = "evaluation", "Evaluation at the end of training"
        REPORTED = "reported", "Reported by a program"
        LOGGED = "logged", "From logged predictions"

    class Bucket(models.TextChoices):
        HOUR = "hour", "An hour"
        DAY = "day", "A day"

    model = models.ForeignKey(Model, models.CASCADE, related_name="metric_records")
    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="metric_records")
    name = models.CharField(max_length=100)
    value = models.FloatField()
    source = models.CharField(max_length=12, choices=Source)
    recorded_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    # Of figures from logged predictions: the period that ends at `recorded_at`, and what they rest on.
    since = models.DateTimeField(null=True)
    count = models.PositiveIntegerField(null=True)
    bucket = models.CharField(max_length=4, choices=Bucket, blank=True, help_text="How long that period is.")
    group = models.CharField(max_length=100, blank=True, help_text="Empty: of all.")
    estimated = models.BooleanField(default=False, help_text="Reckoned without knowing the truth.")

    class Meta:
        ordering = ["recorded_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "name"],
                condition=models.Q(source="evaluation"),
                name="metric_evaluation_once_per_version",
            ),
            models.UniqueConstraint(
                # What is estimated stands beside what is known.
                fields=["version", "bucket", "since", "name", "group", "estimated"],
                condition=models.Q(source="logged"),
                name="metric_logged_once_per_period",
            ),
            models.CheckConstraint(
                condition=~models.Q(source="logged")
                | models.Q(since__isnull=False, count__isnull=False, bucket__in=["hour", "day"]),
                name="metric_logged_has_period",
            ),
        ]
        indexes = [
            # Those of use are many more than all others, which must be found as if those were not there.
            models.Index(
                fields=["model", "name", "recorded_at"], condition=~models.Q(source="logged"), name="metric_trend"
            ),
            models.Index(
                fields=["model", "bucket", "name", "group", "since"],
                condition=models.Q(source="logged"),
                name="metric_of_use",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.version}"
