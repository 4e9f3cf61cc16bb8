"""Whether what a model meets has changed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from datasets.models import DatasetVersion
from registry.models import Model, ModelVersion


class DriftCheck(models.Model):
    """Recent data of a model beside a reference, in the background. `performance.drift` alone writes what was found."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Looking"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    class Subject(models.TextChoices):
        INPUTS = "inputs", "Inputs"
        PREDICTIONS = "predictions", "Predictions"
        ERRORS = "errors", "Errors"

    model = models.ForeignKey(Model, models.CASCADE, related_name="drift_checks")
    version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+", help_text="Null: all.")
    about = models.CharField(max_length=12, choices=Subject)
    # Against the data that a version learned from, or else against logged predictions of an earlier time.
    reference_data = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, related_name="+")
    reference_from = models.DateTimeField(null=True)
    reference_until = models.DateTimeField(null=True)
    recent_from = models.DateTimeField()
    recent_until = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    moved = models.BooleanField(null=True, help_text="Null until it is known, or when there is too little to say.")
    findings = models.JSONField(default=list, help_text="Of each test, the one that moved most first.")
    reference_count = models.PositiveIntegerField(null=True)
    recent_count = models.PositiveIntegerField(null=True)
    message = models.CharField(max_length=500, blank=True, help_text="The verdict, or why there is none, in words.")
    hint = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveIntegerField(default=0)  # the fence, as of an import
    alpha = models.FloatField(default=0.01, help_text="How often all tests together may be wrong where nothing moved.")
    # Of one that a stream of outcomes or scores asked for: what was seen, and where.
    evidence = models.JSONField(default=dict)
    # Of one that a monitor asked for: its how many-th look.
    monitor = models.ForeignKey("DriftMonitor", models.SET_NULL, null=True, related_name="checks")
    look = models.PositiveIntegerField(null=True)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="drift_finished_has_time",
            ),
            models.CheckConstraint(
                condition=Q(moved__isnull=True) | Q(status="completed"), name="drift_verdict_when_completed"
            ),
            # Two that look at the same time make one check.
            models.UniqueConstraint(
                fields=["monitor", "about", "look"], condition=Q(monitor__isnull=False), name="drift_look_once"
            ),
        ]
        indexes = [
            models.Index(fields=["model", "-id"], name="drift_of_model"),
            # The newest verdicts of each subject, as rules and policies ask for them.
            models.Index(
                fields=["model", "about", "-id"],
                condition=Q(status="completed", moved__isnull=False),
                name="drift_verdicts",
            ),
            models.Index(fields=["status"], condition=Q(status__in=["queued", "running"]), name="drift_open"),
        ]

    def __str__(self) -> str:
        return f"drift of {self.about} of {self.model}"


def everything() -> list[str]:
    return [str(subject) for subject in DriftCheck.Subject]


class DriftMonitor(models.Model):
    """What is looked at of a model by itself, and when. Changed by `performance.drift.monitors` alone."""

    class Reference(models.TextChoices):
        AUTO = "auto", "Inputs beside the training data where it can be read, else an earlier time"
        EARLIER = "earlier", "All beside an earlier time"

    model = models.OneToOneField(Model, models.CASCADE, related_name="drift_monitor")
    enabled = models.BooleanField(default=True)
    about = models.JSONField(default=everything, help_text="Some of inputs, predictions, errors.")
    reference = models.CharField(max_length=10, choices=Reference, default=Reference.AUTO)
    window = models.PositiveIntegerField(default=1000, help_text="So many of the newest are looked at.")
    alpha = models.FloatField(default=0.01, help_text="Of all looks together, however many there will be.")
    every_hours = models.PositiveIntegerField(null=True, default=24)
    every_predictions = models.PositiveIntegerField(null=True)
    streams = models.BooleanField(default=True, help_text="Each outcome and score is followed as it comes.")
    # `looks` numbers all looks; the level of each depends on how many there were since the reference was another one.
    looks = models.PositiveIntegerField(default=0)
    since_look = models.PositiveIntegerField(default=0)
    version = models.ForeignKey(ModelVersion, models.SET_NULL, null=True, related_name="+")
    # Up to where predictions and outcomes were looked at.
    seen = models.UUIDField(null=True)
    seen_outcome_at = models.DateTimeField(null=True)
    # Predictions since then are counted on, and never anew.
    fresh = models.PositiveBigIntegerField(default=0, help_text="Since the last look, up to `counted`.")
    counted = models.UUIDField(null=True)
    next_at = models.DateTimeField(null=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(alpha__gt=0, alpha__lte=0.2), name="drift_monitor_alpha"),
            models.CheckConstraint(condition=Q(window__gte=30), name="drift_monitor_window"),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(enabled=True), name="drift_monitor_due"),
            models.Index(
                fields=["id"], condition=Q(enabled=True, every_predictions__isnull=False), name="drift_monitor_counts"
            ),
        ]

    def __str__(self) -> str:
        return f"drift monitor of {self.model}"


class DriftStream(models.Model):
    """One row of numbers of a version, followed as they come: where it stands, as plain numbers."""

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="drift_streams")
    about = models.CharField(max_length=12, choices=DriftCheck.Subject)
    # The last one that was taken. Each is taken once, in order.
    taken_at = models.DateTimeField(null=True)
    taken_id = models.UUIDField(null=True)
    count = models.PositiveBigIntegerField(default=0, help_text="All that were taken.")
    # What the detectors are made of anew: the numbers since the last change, eight bytes each, and their times.
    values = models.BinaryField(default=bytes)
    times = models.BinaryField(default=bytes)
    changes = models.PositiveIntegerField(default=0)
    changed_at = models.DateTimeField(null=True, help_text="Where the last change lay.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "about"], name="drift_stream_once")]

    def __str__(self) -> str:
        return f"stream of {self.about} of {self.version}"
