"""How good data is: runs of the checks, what they found, and the fingerprints that they compare."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from datasets.models.data import Dataset, Item


class QualityRun(models.Model):
    """One look at a dataset's items by all checks that suit it; done in the background, item by item."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Checking"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="quality_runs")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    phase = models.CharField(max_length=40, blank=True, help_text="What it does now, in words.")
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    score = models.FloatField(null=True)
    # Of the dataset as a whole: {"counts": {code: n}, "labels": {…}, "findings": [{"code", "points", "reason"}], …}
    summary = models.JSONField(default=dict)
    message = models.CharField(max_length=500, blank=True)
    hint = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveIntegerField(default=0)  # the fence, as of an import
    again = models.BooleanField(default=False, help_text="Something changed while it ran: another run follows it.")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(status__in=["queued", "running"]), name="quality_one_open_run"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="quality_run_finished_has_time",
            ),
            models.CheckConstraint(condition=Q(done__lte=F("total")), name="quality_run_counts"),
            models.CheckConstraint(
                condition=Q(score__isnull=True) | Q(score__gte=0, score__lte=100), name="quality_run_score"
            ),
        ]
        indexes = [models.Index(fields=["dataset", "-id"], name="quality_run_newest")]

    def __str__(self) -> str:
        return f"Quality run {self.pk} of {self.dataset_id}"


class Finding(models.Model):
    """One reason why an item, or a row of a table, is worth less than 100."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="findings", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="findings", db_index=False)
    row = models.BigIntegerField(null=True, help_text="Of a table's file, from 0; empty: the item itself.")
    code = models.CharField(max_length=40)  # duplicate, near_duplicate, leak, blurred, clipped, personal_data …
    points = models.PositiveSmallIntegerField(help_text="That it takes from 100.")
    reason = models.CharField(max_length=500)
    cluster = models.BigIntegerField(null=True, help_text="Items found to be alike share the lowest item's id.")
    details = models.JSONField(default=dict, blank=True)
    dismissed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    dismissed_at = models.DateTimeField(null=True, help_text="A person said that it is no fault.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "code", "row"], nulls_distinct=False, name="finding_once_per_item_and_code"
            ),
            models.CheckConstraint(condition=Q(points__lte=100), name="finding_points"),
        ]
        indexes = [
            models.Index(fields=["dataset", "code", "id"], name="finding_code"),
            models.Index(fields=["dataset", "cluster"], condition=Q(cluster__isnull=False), name="finding_cluster"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class Fingerprint(models.Model):
    """What a check computed of some content, kept so that it is computed once: features, hashes, measures."""

    sha256 = models.CharField(max_length=64)
    kind = models.CharField(max_length=20)  # image, text, audio, video, table
    version = models.PositiveSmallIntegerField(help_text="Of the code that computed it.")
    facts = models.JSONField(default=dict)
    value = models.BinaryField(default=bytes)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sha256", "kind", "version"], name="fingerprint_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.sha256[:12]}"
