"""What a run reports: figures by step, samples, log lines, checkpoints."""

from __future__ import annotations

from django.db import models

from jobs.models.job import Job


class MetricSeries(models.Model):
    """One metric of one job, such as train/loss."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="series")
    name = models.CharField(max_length=100)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="metric_series_once")]
        verbose_name_plural = "metric series"

    def __str__(self) -> str:
        return self.name


class ProgressRow(models.Model):
    """The value of one metric at one step. Written by COPY, in batches; each step once."""

    pk = models.CompositePrimaryKey("series_id", "step")
    series = models.ForeignKey(MetricSeries, models.CASCADE, related_name="rows", db_index=False)
    step = models.BigIntegerField()
    value = models.FloatField(null=True, help_text="Null where the value was not a finite number.")
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["series", "step"]


class ProgressSummary(models.Model):
    """Extremes of a metric over 512 steps, kept beside the rows, so that a chart of a million points opens at once."""

    pk = models.CompositePrimaryKey("series_id", "bucket")
    series = models.ForeignKey(MetricSeries, models.CASCADE, related_name="summaries", db_index=False)
    bucket = models.BigIntegerField(help_text="step // 512")
    rows = models.PositiveIntegerField()
    low_step = models.BigIntegerField()
    low = models.FloatField()
    high_step = models.BigIntegerField()
    high = models.FloatField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["series", "bucket"]


class JobSample(models.Model):
    """What the model made at a step. The latest few of a job are kept, see jobs.samples."""

    class Kind(models.TextChoices):
        TEXT = "text", "Text"
        IMAGE = "image", "Picture"

    job = models.ForeignKey(Job, models.CASCADE, related_name="samples", db_index=False)
    step = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.TextField(blank=True)
    data = models.BinaryField(null=True, help_text="The picture's file.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["job", "-step"]
        constraints = [models.UniqueConstraint(fields=["job", "step"], name="job_sample_step_once")]

    def __str__(self) -> str:
        return f"{self.kind} at step {self.step}"


class LogLine(models.Model):
    """A line that a trainer or its supervisor wrote. `number` counts from 1 over all attempts."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="logs", db_index=False)
    number = models.PositiveIntegerField()
    at = models.DateTimeField()
    level = models.CharField(max_length=10, default="info")
    text = models.TextField()

    class Meta:
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="log_line_number_once")]

    def __str__(self) -> str:
        return self.text


class Checkpoint(models.Model):
    """A checkpoint that a trainer reported. The file itself lies in the job's work folder."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="checkpoints")
    step = models.PositiveBigIntegerField()
    attempt_number = models.PositiveIntegerField()
    name = models.CharField(max_length=100)
    bytes = models.BigIntegerField()
    available = models.BooleanField(default=True, help_text="Whether it still lies in the job's work folder.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["job", "-step"]
        constraints = [models.UniqueConstraint(fields=["job", "step"], name="checkpoint_step_once")]

    def __str__(self) -> str:
        return self.name
