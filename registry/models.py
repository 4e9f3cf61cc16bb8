"""What came out of training: named lines of models and their versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from datasets.models import DatasetVersion, Subject


class Model(models.Model):
    """A line of versions made by one recipe, about one subject or none."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="models")
    name = models.CharField(max_length=200)
    recipe = models.CharField(max_length=50)
    subject = models.ForeignKey(Subject, models.PROTECT, null=True, blank=True, related_name="models")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="model_name_once")]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """One trained result: artifact, metrics, and where it came from."""

    class Status(models.TextChoices):
        READY = "ready", "Ready"
        PROCESSING = "processing", "Processing"
        FAILED = "failed", "Failed"

    model = models.ForeignKey(Model, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.READY)
    config = models.JSONField(default=dict)
    metrics = models.JSONField(default=dict)
    # [{"name", "sha256", "bytes"}]: the bytes lie in the content-addressed store.
    artifact = models.JSONField(default=list)
    byte_count = models.BigIntegerField(default=0)
    dataset_version = models.ForeignKey(
        DatasetVersion, models.PROTECT, null=True, blank=True, related_name="model_versions"
    )
    base_version = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    # The job that made it. A plain number: this room lies below `jobs`.
    source_job_id = models.BigIntegerField(unique=True, null=True)
    seed = models.BigIntegerField(default=0)
    code = models.JSONField(default=dict, help_text="TrainHub's version and commit.")
    environment = models.JSONField(default=dict, help_text="Python, libraries and device of the run.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="model_version_number_once")]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"
