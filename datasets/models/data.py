"""What models are trained on: datasets, their items, imports into them, edits of them, and frozen versions."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.fields.json import KT

from datasets.models.subjects import Subject


class Modality(models.TextChoices):
    IMAGE = "image", "Images"
    TEXT = "text", "Texts"
    AUDIO = "audio", "Audio"
    VIDEO = "video", "Video"
    TABLE = "table", "Tables"


class Review(models.TextChoices):
    """What people said of an item; the latest round counts."""

    NONE = "none", "Not reviewed"
    APPROVED = "approved", "Approved"
    CHANGE = "change", "Change asked for"
    REJECTED = "rejected", "Rejected"


class Governance(models.TextChoices):
    """What the rules said of an item."""

    UNCHECKED = "unchecked", "Not checked"
    ALLOWED = "allowed", "Allowed"
    REFUSED = "refused", "Refused"


class Dataset(models.Model):
    """Data of one modality, as it grows; jobs train on its frozen versions."""

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
    # {"licence": "CC-BY-4.0", "consent": "given", "source": "…", "personal_data": false, …}; an item's own win.
    metadata = models.JSONField(default=dict, blank=True)
    # The gates that an item must pass to be trained on.
    approvals = models.PositiveSmallIntegerField(default=0, help_text="Reviewers who must approve an item; 0: none.")
    governed = models.BooleanField(default=False, help_text="Only items that the governance rules allow are used.")
    governance_at = models.DateTimeField(
        null=True, help_text="Since when items are marked by the present rules; empty: all must be looked at again."
    )
    governance_asked_at = models.DateTimeField(null=True, help_text="When a worker was last asked to apply the rules.")
    quality = models.FloatField(null=True, help_text="0–100, of the latest check; empty before the first.")
    quality_at = models.DateTimeField(null=True)
    previews_at = models.DateTimeField(null=True, help_text="When previews of items were last made.")
    quality_by_itself = models.BooleanField(default=True, help_text="Checked after each import, without being asked.")
    idempotency_key = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(approvals__lte=5), name="dataset_approvals"),
            models.CheckConstraint(
                condition=Q(quality__isnull=True) | Q(quality__gte=0, quality__lte=100), name="dataset_quality"
            ),
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
        CANCELLED = "cancelled", "Cancelled"

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="imports")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    # [{"name": what the sender called it, "path": spooled file relative to the home, "offset": n, "bytes": n}];
    # emptied when the import ends. Thousands of entries: lists should defer it.
    sources = models.JSONField(default=list)
    # Where the files come from when they are not uploaded: {"kind": "url", "url": …}, {"kind": "s3", …},
    # {"kind": "folder", "path": …}; the worker fetches them into the spool first.
    origin = models.JSONField(default=dict, blank=True)
    # How to read them where guessing was wrong: {"delimiter": ";", "header": false, "encoding": …, "types": {…},
    # "label_column": …, "text_column": …, "group_column": …}.
    options = models.JSONField(default=dict, blank=True)
    # Where a worker stands inside the file number `done`: {"row": n, "byte": n}; empty between files.
    position = models.JSONField(default=dict, blank=True)
    bytes_total = models.BigIntegerField(default=0)
    bytes_done = models.BigIntegerField(default=0)
    total = models.PositiveIntegerField(null=True, help_text="Files to look at; empty until archives were opened.")
    # Files that were looked at to their end. A file of rows gives many items, a list of labels none.
    done = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0, help_text="Items that were added.")
    set_aside = models.PositiveIntegerField(default=0, help_text="Files and rows that were not taken, with a reason.")
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
                condition=Q(status__in=["completed", "failed", "cancelled"], finished_at__isnull=False)
                | Q(status__in=["queued", "running"], finished_at__isnull=True),
                name="import_finished_has_time",
            ),
        ]
        indexes = [
            models.Index(
                fields=["status", "created_at"], condition=Q(status__in=["queued", "running"]), name="import_open"
            )
        ]

    def __str__(self) -> str:
        return f"Import {self.pk} into {self.dataset_id}"

    @property
    def is_again(self) -> bool:
        """Whether it reads files of the dataset once more, with other options."""
        return self.origin.get("kind") == "items"

    @property
    def is_to_be_fetched(self) -> bool:
        """Whether its files are still elsewhere."""
        open_ = self.status in {self.Status.QUEUED, self.Status.RUNNING}
        return open_ and bool(self.origin.get("kind")) and "fetched" not in self.origin

    @property
    def percent(self) -> int:
        """How much has been looked at, 0–100."""
        if self.status == self.Status.COMPLETED:
            return 100
        if self.bytes_total:
            return min(100, int(100 * self.bytes_done / self.bytes_total))
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
    """One file or one row of a dataset.

    A file's bytes lie in the content-addressed store under `sha256`. A row (a pair, a message, a short text) has
    `content` instead, and `sha256` is the hash of its canonical JSON (`datasets.items.rows.address`). A table's file is
    one item; its rows are read from the columnar copy at `facts["parquet"]`, an address in the store.
    """

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="items", db_index=False)
    source = models.ForeignKey(Import, models.SET_NULL, null=True, related_name="items")
    sha256 = models.CharField(max_length=64)
    name = models.CharField(max_length=500, help_text="The path that the sender gave it.")
    label = models.CharField(max_length=200, blank=True, help_text="The class, from folder, column or manifest.")
    caption = models.TextField(blank=True)
    # {"text": …} or {"prompt": …, "completion": …, "system"?: …} or {"messages": [{"role": …, "content": …}, …]}
    content = models.JSONField(null=True, blank=True)
    # What was measured: seconds, sample_rate, channels, codec, frames, fps, rows, columns, language, parquet …
    facts = models.JSONField(default=dict, blank=True)
    metadata = models.JSONField(default=dict, blank=True, help_text="Licence, consent, source … of this item alone.")
    group = models.CharField(max_length=200, blank=True, help_text="Items of one group stay in one part of a split.")
    subject = models.ForeignKey(Subject, models.SET_NULL, null=True, blank=True, related_name="items")
    recorded_at = models.DateTimeField(null=True, blank=True, help_text="When it was taken; for splits by time.")
    # Where a row came from: {"item": id, "row": n, "template": id}.
    origin = models.JSONField(default=dict, blank=True)
    # Made by a model: {"model_version": id, "prompt": …, "judge": …, "score": 0.0–10.0, "session": …}.
    generated = models.JSONField(null=True, blank=True)
    quality = models.PositiveSmallIntegerField(null=True, help_text="0–100; empty before the first check.")
    review = models.CharField(max_length=10, choices=Review, default=Review.NONE)
    review_round = models.PositiveIntegerField(default=1, help_text="Votes of this round count; a change begins one.")
    governance = models.CharField(max_length=10, choices=Governance, default=Governance.UNCHECKED)
    aside = models.CharField(max_length=40, blank=True, help_text="Why it is not trained on: duplicate, by_hand …")
    media_type = models.CharField(max_length=100)
    bytes = models.BigIntegerField()
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    characters = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="item_content_once_per_dataset"),
            models.CheckConstraint(condition=Q(quality__isnull=True) | Q(quality__lte=100), name="item_quality_range"),
        ]
        indexes = [
            models.Index(fields=["dataset", "label", "id"], name="item_label"),
            models.Index(fields=["sha256"], name="item_content"),
            models.Index(fields=["dataset", "id"], name="item_order"),
            models.Index(fields=["dataset", "quality", "id"], name="item_quality"),
            models.Index(fields=["dataset", "review", "id"], name="item_review"),
            models.Index(fields=["dataset", "governance", "id"], name="item_governance"),
            models.Index(fields=["dataset", "aside", "id"], condition=~Q(aside=""), name="item_aside"),
            models.Index(fields=["subject", "id"], condition=Q(subject__isnull=False), name="item_subject"),
            models.Index(fields=["dataset", "group", "id"], condition=~Q(group=""), name="item_group"),
            # Whose columnar copy a file of the store is.
            models.Index(KT("facts__parquet"), condition=Q(facts__has_key="parquet"), name="item_parquet"),
        ]

    def __str__(self) -> str:
        return self.name


class LabelCount(models.Model):
    """How many items of a dataset have a label; kept right by triggers and edits, see `datasets.items.labels`."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="label_counts")
    label = models.CharField(max_length=200, blank=True)
    count = models.BigIntegerField()

    class Meta:
        ordering = ["label"]
        constraints = [models.UniqueConstraint(fields=["dataset", "label"], name="label_count_once")]

    def __str__(self) -> str:
        return f"{self.label}: {self.count}"


class Edit(models.Model):
    """One change by a person to one or many items, which can be undone."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="edits")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    field = models.CharField(max_length=20, help_text="label, caption, group, subject, aside, metadata, content.")
    value = models.JSONField(null=True, help_text="What it was set to.")
    count = models.PositiveIntegerField(default=0)
    undone_at = models.DateTimeField(null=True)
    undone_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["dataset", "-id"], name="edit_newest")]

    def __str__(self) -> str:
        return f"{self.field} of {self.count} items"


class EditedItem(models.Model):
    """What an item was before an edit."""

    edit = models.ForeignKey(Edit, models.CASCADE, related_name="items", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="+")
    before = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["edit", "item"], name="edited_item_once")]

    def __str__(self) -> str:
        return f"item {self.item_id} before {self.edit_id}"


class Upload(models.Model):
    """One file on its way in, piece by piece, so that a connection that breaks costs no more than a piece.

    Its bytes lie in the spool under its id; a finished one becomes a source of an import.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="uploads")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    name = models.CharField(max_length=500, help_text="Relative path, as the sender gave it.")
    bytes = models.BigIntegerField()
    received = models.BigIntegerField(default=0)
    # The import that took it; kept for a day, so that a repeated request gets the same import.
    source = models.ForeignKey(Import, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(bytes__gte=0, received__gte=0, received__lte=F("bytes")), name="upload_received"
            )
        ]
        indexes = [models.Index(fields=["dataset", "updated_at"], name="upload_dataset")]

    def __str__(self) -> str:
        return f"{self.name}: {self.received} of {self.bytes}"


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
    parent = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="children")
    # How it was split: {"by": "content"} (the default), {"by": "group"}, {"by": "stratified"}, {"by": "time"},
    # {"by": "given", "key": of the metadata, "given": ["validation", "test"], "unsaid": n}.
    split_rule = models.JSONField(default=dict, blank=True)
    # Items that were not taken in, by reason: {"set_aside": n, "not_approved": n, "rejected": n, "refused": n}.
    left_out = models.JSONField(default=dict, blank=True)
    left_out_hash = models.CharField(
        max_length=64, blank=True, help_text="Address in the store of the list: a line each with id, name, reason."
    )
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

    @property
    def left_out_count(self) -> int:
        """How many items were not taken in."""
        return sum(self.left_out.values())
