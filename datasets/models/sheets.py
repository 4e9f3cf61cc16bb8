"""From tables to training pairs: templates over named columns, and the renderings that they make."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from datasets.models.data import Dataset


class Template(models.Model):
    """Prompt and completion with named columns, in a syntax that can run no code (`datasets.rendering.templating`)."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="sheet_templates")
    name = models.CharField(max_length=200)
    system = models.TextField(blank=True)
    prompt = models.TextField()
    completion = models.TextField()
    chat = models.BooleanField(default=False, help_text="Pairs become chat messages.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="template_name_once")]

    def __str__(self) -> str:
        return self.name


class Rendering(models.Model):
    """One run of a template over the rows of a sheet (a table dataset) into a training sheet (a text dataset)."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Rendering"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    OPEN = (Status.QUEUED, Status.RUNNING)

    sheet = models.ForeignKey(Dataset, models.PROTECT, related_name="renderings")
    template = models.ForeignKey(Template, models.PROTECT, related_name="renderings")
    # The template as it was: changing it later changes nothing that was rendered.
    rendered_by = models.JSONField(default=dict, help_text="system, prompt, completion, chat.")
    target = models.ForeignKey(Dataset, models.CASCADE, related_name="rendered_from")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    made = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
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
            models.CheckConstraint(condition=Q(done=F("made") + F("failed")), name="rendering_counts_add_up"),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="rendering_finished_has_time",
            ),
            models.UniqueConstraint(
                fields=["target"], condition=Q(status__in=["queued", "running"]), name="rendering_one_open_per_target"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template_id} over {self.sheet_id}"


class RenderError(models.Model):
    """A row that made no pair, and why."""

    rendering = models.ForeignKey(Rendering, models.CASCADE, related_name="errors")
    row = models.BigIntegerField()
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ["row"]
        constraints = [models.UniqueConstraint(fields=["rendering", "row"], name="render_error_once")]

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}"
