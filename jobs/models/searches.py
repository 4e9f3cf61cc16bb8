"""Searches for good settings of a recipe, and their trials, each of which is a job of the queue."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from datasets.models import DatasetVersion
from registry.models import ModelVersion


class Search(models.Model):
    """Many runs of one recipe on one frozen version, each with other settings, to find the best ones."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETED = "completed", "Completed"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    class Sampler(models.TextChoices):
        TPE = "tpe", "Learns from the trials so far (TPE)"
        RANDOM = "random", "At random"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="searches")
    name = models.CharField(max_length=200)
    recipe = models.CharField(max_length=50)
    config = models.JSONField(default=dict, help_text="The settings that all trials share.")
    # Setting → {"low", "high", "log", "whole"} or {"values"}, see jobs.search.space.
    space = models.JSONField(help_text="The settings that are searched, and where.")
    metric = models.CharField(max_length=100, help_text="What tells a good trial, by the weights it kept.")
    higher_is_better = models.BooleanField(default=False)
    wanted = models.PositiveIntegerField(help_text="How many trials it makes.")
    at_once = models.PositiveSmallIntegerField(help_text="How many run at a time, at most.")
    prune = models.BooleanField(default=True, help_text="Trials that fall behind are ended early.")
    sampler = models.CharField(max_length=10, choices=Sampler, default=Sampler.TPE)
    seed = models.BigIntegerField(default=0)
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, blank=True, related_name="searches")
    base_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, blank=True, related_name="+")
    resources = models.JSONField(default=dict, blank=True)
    priority = models.SmallIntegerField(default=0)

    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    reason = models.CharField(max_length=500, blank=True, help_text="Why it failed, or why it does not go on now.")
    best = models.ForeignKey("Trial", models.SET_NULL, null=True, blank=True, related_name="+")
    version = models.ForeignKey(
        ModelVersion, models.SET_NULL, null=True, blank=True, related_name="+", help_text="Made of the best trial."
    )
    importances = models.JSONField(default=dict, blank=True, help_text="Setting → share of the differences, 0–1.")
    looked_at = models.DateTimeField(null=True, blank=True, help_text="When a sweep last knocked for it.")
    weighed = models.PositiveIntegerField(default=0, help_text="Trials that the importances were found from.")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        verbose_name_plural = "searches"
        constraints = [
            models.CheckConstraint(
                condition=Q(status="running", ended_at__isnull=True)
                | (~Q(status="running") & Q(ended_at__isnull=False)),
                name="search_ended_has_time",
            ),
            models.CheckConstraint(
                condition=Q(wanted__gte=1) & Q(at_once__gte=1) & Q(at_once__lte=F("wanted")),
                name="search_has_trials",
            ),
            models.CheckConstraint(condition=~Q(status="failed") | ~Q(reason=""), name="search_failed_has_reason"),
        ]
        indexes = [
            models.Index(fields=["owner", "-created_at", "-id"], name="search_owner_newest"),
            models.Index(fields=["-created_at", "-id"], name="search_newest"),
            models.Index(fields=["id"], condition=Q(status="running"), name="search_running"),
        ]

    def __str__(self) -> str:
        return self.name


class Trial(models.Model):
    """One set of settings that was tried."""

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        COMPLETED = "completed", "Completed"
        PRUNED = "pruned", "Ended early"
        FAILED = "failed", "Failed"

    search = models.ForeignKey(Search, models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField(help_text="From 1.")
    params = models.JSONField(default=dict, help_text="The searched settings of this trial.")
    job = models.OneToOneField("jobs.Job", models.PROTECT, null=True, blank=True, related_name="trial")
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    value = models.FloatField(null=True, blank=True, help_text="The metric, by the weights that were kept.")
    # [{"name", "sha256", "bytes"}] of the best trial so far; others keep no files.
    artifact = models.JSONField(default=list, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["search", "number"]
        constraints = [
            models.UniqueConstraint(fields=["search", "number"], name="trial_number_once"),
            models.CheckConstraint(
                condition=~Q(state="completed") | Q(value__isnull=False), name="trial_completed_has_value"
            ),
            models.CheckConstraint(condition=~Q(state="running") | Q(job__isnull=False), name="trial_runs_as_a_job"),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(reason=""), name="trial_failed_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.search} #{self.number}"


class SearchEvent(models.Model):
    """Who did what to a search, and when. Append-only."""

    search = models.ForeignKey(Search, models.CASCADE, related_name="events")
    at = models.DateTimeField(auto_now_add=True)
    kind = models.CharField(max_length=30)  # created, completed, cancelled, failed, extended, promoted
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["search", "-id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.search}"
