"""What models are trained on: datasets, their items, imports into them, and frozen versions."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class Modality(models.TextChoices):
    IMAGE = "image", "Images"
    TEXT = "text", "Texts"


class Subject(models.Model):
    """The person, machine or product that a model is about."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="subjects")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=50, blank=True, help_text="person, machine, product …")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="subject_name_once")]

    def __str__(self) -> str:
        return self.name


class Dataset(models.Model):
    class Status(models.TextChoices):
        EMPTY = "empty", "Empty"  # nothing imported yet
        PROCESSING = "processing", "Processing"  # an import is running or waits for a worker
        ACTIVE = "active", "Active"  # has items, can be trained on
        FAILED = "failed", "Failed"  # the last import kept nothing and there was nothing before

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="datasets")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    modality = models.CharField(max_length=10, choices=Modality)
    subject = models.ForeignKey(Subject, models.SET_NULL, null=True, blank=True, related_name="datasets")
    status = models.CharField(max_length=12, choices=Status, default=Status.EMPTY)
    # Kept beside the items by the import, so that lists need no count per row.
    item_count = models.PositiveIntegerField(default=0)
    byte_count = models.BigIntegerField(default=0)
    idempotency_key = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="dataset_name_once"),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="dataset_request_once"
            ),
            models.CheckConstraint(
                condition=~Q(status="active") | Q(item_count__gt=0), name="dataset_active_has_items"
            ),
        ]
        indexes = [models.Index(fields=["owner", "-created_at"], name="dataset_owner_newest")]

    def __str__(self) -> str:
        return self.name


class Import(models.Model):
    """One upload on its way into a dataset: from the spooled files to items and refusals."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Waiting"
        RUNNING = "running", "Importing"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="imports")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    # [{"name": what the sender called it, "path": spooled file relative to the home, "offset": n, "bytes": n}];
    # emptied when the import ends. Thousands of entries: lists should defer it.
    sources = models.JSONField(default=list)
    total = models.PositiveIntegerField(null=True, help_text="Files to look at; empty until archives were opened.")
    done = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    set_aside = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True, help_text="What happened, in words.")
    hint = models.CharField(max_length=500, blank=True, help_text="What to do next, when it failed.")
    created_at = models.DateTimeField(auto_now_add=True)
    # The fence: a worker whose number is not this one was taken for dead and can write nothing more.
    attempt = models.PositiveIntegerField(default=0)
    started_at = models.DateTimeField(null=True)
    # Of the worker that runs it; while it waits: when a worker was last asked to take it.
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["dataset"], condition=Q(status="running"), name="import_one_running_per_dataset"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["completed", "failed"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="import_finished_has_time",
            ),
            models.CheckConstraint(condition=Q(done=F("accepted") + F("set_aside")), name="import_counts_add_up"),
        ]
        indexes = [
            models.Index(
                fields=["status", "created_at"], condition=Q(status__in=["queued", "running"]), name="import_open"
            )
        ]

    def __str__(self) -> str:
        return f"Import {self.pk} into {self.dataset_id}"

    @property
    def percent(self) -> int:
        """How much has been looked at, 0–100."""
        if self.status == self.Status.COMPLETED:
            return 100
        return int(100 * self.done / self.total) if self.total else 0


class Refusal(models.Model):
    """A file that an import set aside, and why. The good files of the same import are kept."""

    source = models.ForeignKey(Import, models.CASCADE, related_name="refusals")
    name = models.CharField(max_length=500)
    code = models.CharField(max_length=40)  # duplicate, empty, not_an_image, too_many_pixels, bad_encoding …
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


class Item(models.Model):
    """One file of a dataset. Its bytes lie in the content-addressed store under `sha256`."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="items")
    source = models.ForeignKey(Import, models.SET_NULL, null=True, related_name="items")
    sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=500, help_text="The path that the sender gave it.")
    label = models.CharField(max_length=200, blank=True, help_text="The class, from the folder's name.")
    media_type = models.CharField(max_length=50)
    bytes = models.BigIntegerField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    characters = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["dataset", "sha256"], name="item_content_once_per_dataset")]
        indexes = [
            models.Index(fields=["dataset", "label", "id"], name="item_label"),
            models.Index(fields=["sha256"], name="item_content"),
        ]

    def __str__(self) -> str:
        return self.name


class DatasetVersion(models.Model):
    """A frozen state of a dataset with its split. The same content, seed and fractions are one version."""

    dataset = models.ForeignKey(Dataset, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    content_hash = models.CharField(
        max_length=64, help_text="SHA-256 of the manifest, which is also its address in the store."
    )
    seed = models.BigIntegerField(default=0)
    validation_fraction = models.FloatField()
    test_fraction = models.FloatField()
    # {"train": n, "validation": n, "test": n}
    counts = models.JSONField()
    classes = models.JSONField(default=list)
    byte_count = models.BigIntegerField(default=0)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_once"),
            models.UniqueConstraint(fields=["dataset", "content_hash"], name="dataset_version_content_once"),
            models.CheckConstraint(
                condition=Q(validation_fraction__gte=0, test_fraction__gte=0), name="dataset_version_fractions"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"
