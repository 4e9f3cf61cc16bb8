"""What a person wants to happen with examples by itself, and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from datasets.models import Dataset, Subject
from jobs.models.job import Job
from jobs.models.schedules import JobTemplate
from registry.models import ModelVersion

THRESHOLD = 50


class AutomaticTraining(models.Model):
    """How a person generates examples, where they go, and when enough of them start a fine-tuning; beside it one more
    for each subject, if wanted. `jobs.automatic` acts on it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="automatic_trainings")
    subject = models.ForeignKey(
        Subject, models.CASCADE, null=True, blank=True, related_name="automatic_trainings",
        help_text="None: of all examples of the owner.",
    )  # fmt: skip
    enabled = models.BooleanField(default=False, help_text="Off: examples are counted, and start nothing.")

    # What a run that generates is asked for, as its recipe's settings have them.
    genres = models.TextField()
    prompts = models.TextField()
    generators = models.TextField(blank=True)
    judge = models.CharField(max_length=200)
    minimum_quality = models.FloatField()
    examples = models.PositiveIntegerField()
    dataset = models.ForeignKey(
        Dataset, models.SET_NULL, null=True, blank=True, related_name="automatic_trainings",
        help_text="None: examples stay with their run, and are not counted.",
    )  # fmt: skip

    threshold = models.PositiveIntegerField(default=THRESHOLD, help_text="New examples that start a fine-tuning.")
    # RESTRICT: with its owner all goes, alone a template that is used stays.
    template = models.ForeignKey(
        JobTemplate, models.RESTRICT, null=True, blank=True, related_name="automatic_trainings"
    )
    recipe = models.CharField(max_length=50, default="text-generation", help_text="Where there is no template.")
    base_version = models.ForeignKey(ModelVersion, models.SET_NULL, null=True, blank=True, related_name="+")
    tell_by_mail = models.BooleanField(default=False)

    # Where it stands. A try that was refused waits for newer examples than `refused_after`, or for other settings.
    asked_at = models.DateTimeField(null=True, blank=True, help_text="When a worker was last asked to look.")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="Not before, after a try that made no job.")
    refused_after = models.BigIntegerField(null=True, blank=True, help_text="The newest example at that time.")
    together_until = models.BigIntegerField(
        null=True, blank=True, help_text="Examples up to this one gathered while nothing could start: for one job."
    )
    last_error = models.CharField(max_length=500, blank=True, help_text="Why the last try made no job.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["owner", "id"]
        constraints = [
            # NULLs count as equal: one row of each person is about no subject.
            models.UniqueConstraint(fields=["owner", "subject"], name="automatic_once", nulls_distinct=False),
            # Each example counts for one of them.
            models.UniqueConstraint(
                fields=["owner", "dataset"], condition=Q(dataset__isnull=False), name="automatic_dataset_once"
            ),
            models.CheckConstraint(condition=Q(threshold__gte=1), name="automatic_threshold_positive"),
            models.CheckConstraint(condition=Q(examples__gte=1), name="automatic_examples_positive"),
            models.CheckConstraint(
                condition=Q(minimum_quality__gte=0, minimum_quality__lte=10), name="automatic_quality_in_range"
            ),
        ]
        verbose_name = "automatic training"

    def __str__(self) -> str:
        return f"Automatic training of {self.subject.name}" if self.subject else "Automatic training"


class FineTuning(models.Model):
    """A fine-tuning that new examples have started."""

    # SET_NULL: what it took in is never counted again.
    rule = models.ForeignKey(AutomaticTraining, models.SET_NULL, null=True, related_name="fine_tunings")
    number = models.PositiveIntegerField()
    job = models.OneToOneField(Job, models.CASCADE, related_name="fine_tuning")
    generated_by = models.ForeignKey(
        Job, models.SET_NULL, null=True, related_name="fine_tunings", help_text="Its example reached the threshold."
    )
    session_id = models.UUIDField(help_text="Of the run that made this example.")
    examples = models.PositiveIntegerField(help_text="New examples that it took in.")
    threshold = models.PositiveIntegerField()
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["rule", "number"], name="fine_tuning_number_once"),
            models.CheckConstraint(condition=Q(examples__gte=models.F("threshold")), name="fine_tuning_reached"),
        ]
        indexes = [models.Index(fields=["session_id"], name="fine_tuning_session")]

    def __str__(self) -> str:
        return f"Fine-tuning {self.number}"


class Letter(models.Model):
    """Word to a person by mail, written in the transaction of what it tells, sent later. See jobs.automatic.mail."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="letters")
    key = models.CharField(max_length=100, help_text="What it tells: each is told once.")
    title = models.CharField(max_length=300)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    next_at = models.DateTimeField(null=True, blank=True, help_text="Null when it was sent, or given up.")
    sent_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["owner", "key"], name="letter_once")]
        indexes = [models.Index(fields=["next_at"], condition=Q(next_at__isnull=False), name="letter_due")]

    def __str__(self) -> str:
        return self.title
