"""Requests for jobs that are kept, and those that come again by the calendar."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from jobs.models.job import Job


class JobTemplate(models.Model):
    """A request for a job that was saved under a name. What it holds: see jobs.blueprints."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="job_templates")
    name = models.CharField(max_length=200)
    request = models.JSONField(help_text="What jobs.creation is asked for; rows are named by their ids.")
    required = models.JSONField(default=list, blank=True, help_text="What is asked for anew, see jobs.template_rules.")
    locked = models.JSONField(default=list, blank=True, help_text="What can't be changed by whoever starts from it.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="job_template_name_once_per_owner")]

    def __str__(self) -> str:
        return self.name


class Schedule(models.Model):
    """A request for a job that comes again by a calendar rule. `jobs.firing` makes its jobs."""

    class Overlap(models.TextChoices):
        """What happens at a time at which an earlier job of the schedule has not ended."""

        SKIP = "skip", "Leave this time out"
        QUEUE = "queue", "Queue one more job"

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="job_schedules")
    name = models.CharField(max_length=200)
    # RESTRICT: with its owner all goes, alone a template that is used stays.
    template = models.ForeignKey(JobTemplate, models.RESTRICT, null=True, blank=True, related_name="schedules")
    request = models.JSONField(default=dict, blank=True, help_text="As a template's; empty where it has a template.")
    rule = models.JSONField(help_text="When, see jobs.rules.")
    zone = models.CharField(max_length=64, help_text="The IANA time zone that the rule is read in.")
    overlap = models.CharField(max_length=10, choices=Overlap, default=Overlap.SKIP)

    enabled = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True, help_text="When one of its times was last served.")
    last_job = models.ForeignKey(Job, models.SET_NULL, null=True, blank=True, related_name="+")
    last_error = models.CharField(max_length=500, blank=True, help_text="Why its last time made no job.")
    failures_in_a_row = models.PositiveIntegerField(default=0, help_text="Times whose request could not be used.")
    runs = models.PositiveIntegerField(default=0, help_text="Jobs made, those by hand included.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(enabled=True, next_at__isnull=False) | Q(enabled=False, next_at__isnull=True),
                name="schedule_enabled_has_next_time",
            ),
            models.CheckConstraint(
                condition=Q(template__isnull=True) ^ Q(request={}), name="schedule_has_template_or_request"
            ),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(enabled=True), name="schedule_due")]

    def __str__(self) -> str:
        return self.name


class ScheduleEvent(models.Model):
    """What a schedule did at its times, and who did what to it. The newest are kept, see jobs.schedules."""

    schedule = models.ForeignKey(Schedule, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=30)  # created, changed, paused, resumed, started, skipped, refused, switched_off
    due = models.DateTimeField(null=True, help_text="The time of the rule that was served.")
    job = models.ForeignKey(Job, models.SET_NULL, null=True, related_name="+", db_index=False)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    message = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.schedule_id}"
