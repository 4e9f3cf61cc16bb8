"""Versions in a format for use elsewhere, made in the background."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from registry.models.lines import ModelVersion


class Export(models.Model):
    """A version in another format (`registry.exporting`). Asked again after a failure it is tried anew."""

    class Format(models.TextChoices):
        ONNX = "onnx", "ONNX"

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Exporting"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    OPEN = (Status.QUEUED, Status.RUNNING)

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="exports")
    format = models.CharField(max_length=10, choices=Format)
    # [{"name", "sha256", "bytes"}] in the store.
    files = models.JSONField(default=list)
    difference = models.FloatField(null=True, help_text="The largest from the model's own outputs.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    message = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveIntegerField(default=0)  # the fence, as of an import
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["version", "format"], name="export_once_of_version"),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="export_finished_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} as {self.get_format_display()}"
