"""Trainings that are run once more only to see whether the same comes out."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from jobs.models.job import Job
from registry.models import ModelVersion


class Reproduction(models.Model):
    """A job that trains a version again and makes none of its own. What came out is put down as the job completes."""

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="reproductions")
    job = models.OneToOneField(Job, models.CASCADE, related_name="reproduction")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    # See `jobs.reproducing.Result`; null: the job has not completed.
    result = models.JSONField(null=True, blank=True)
    same_metrics = models.BooleanField(null=True, help_text="Whether every figure is the very same.")
    same_weights = models.BooleanField(null=True, help_text="Whether the weights are the same, bit for bit.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(result__isnull=True, same_metrics__isnull=True, same_weights__isnull=True)
                | models.Q(result__isnull=False, same_metrics__isnull=False, same_weights__isnull=False),
                name="reproduction_has_all_of_its_result",
            )
        ]

    def __str__(self) -> str:
        return f"job {self.job_id} reproduces {self.version}"
