"""How models do: figures of versions over time."""

from __future__ import annotations

from django.db import models

from registry.models import Model, ModelVersion


class MetricRecord(models.Model):
    """One figure of one version at one time: from its evaluation, or from the world."""

    class Source(models.TextChoices):
        EVALUATION = "evaluation", "Evaluation at the end of training"
        REPORTED = "reported", "Reported by a program"

    model = models.ForeignKey(Model, models.CASCADE, related_name="metric_records")
    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="metric_records")
    name = models.CharField(max_length=100)
    value = models.FloatField()
    source = models.CharField(max_length=12, choices=Source)
    recorded_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["recorded_at", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version", "name"],
                condition=models.Q(source="evaluation"),
                name="metric_evaluation_once_per_version",
            )
        ]
        indexes = [models.Index(fields=["model", "name", "recorded_at"], name="metric_trend")]

    def __str__(self) -> str:
        return f"{self.name} of {self.version}"
