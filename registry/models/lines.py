"""What came out of training: named lines of models and their versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

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
        # What a person may do with models of others, given to the groups of `registry.access`.
        permissions = [
            ("promote_model", "Can promote versions and roll back"),
            ("approve_promotion", "Can approve promotions and retraining"),
            ("override_promotion", "Can promote against a policy, with a reason"),
            ("deploy_model", "Can deploy versions"),
            ("see_predictions", "Can see logged predictions"),
        ]

    def __str__(self) -> str:
        return self.name


class ModelVersion(models.Model):
    """One trained result: artifact, metrics, and where it came from."""

    class Status(models.TextChoices):
        READY = "ready", "Ready"
        PROCESSING = "processing", "Processing"
        FAILED = "failed", "Failed"
        DELETED = "deleted", "Deleted"  # its files are gone; that it was, and what it led to, stays

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
    archived_at = models.DateTimeField(null=True, blank=True, help_text="Out of sight, and not to be used anew.")
    damaged_at = models.DateTimeField(null=True, blank=True, help_text="When its bytes were found to be others.")
    damage = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["model", "number"], name="model_version_number_once"),
            models.CheckConstraint(
                condition=~Q(status="deleted") | Q(artifact=[]), name="deleted_version_has_no_files"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"

    @property
    def standing(self) -> str:
        """What it is good for, in one word: its status, or of a ready one that it is damaged or archived."""
        if self.status != self.Status.READY:
            return str(self.status)
        return "damaged" if self.damaged_at else "archived" if self.archived_at else "ready"

    @property
    def usable(self) -> bool:
        """Whether it may be used for something new."""
        return self.standing == "ready"


class Merge(models.Model):
    """An adapter and its base on their way to one whole version, in the background (`registry.merging`).

    Its version stands from the moment it was asked for, and has no files until they are all there. Asked again after a
    failure it is a new row, so that no worker of the old one can write anything, with the same version.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Merging"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    OPEN = (Status.QUEUED, Status.RUNNING)

    # One to one: however often and by whomever it is asked for, an adapter has one merged version.
    adapter = models.OneToOneField(ModelVersion, models.CASCADE, related_name="merge")
    version = models.OneToOneField(ModelVersion, models.CASCADE, related_name="merged_by")
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
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="merge_finished_has_time",
            ),
            models.CheckConstraint(condition=~Q(adapter=models.F("version")), name="merge_makes_another_version"),
        ]

    def __str__(self) -> str:
        return f"{self.adapter} with its base"
