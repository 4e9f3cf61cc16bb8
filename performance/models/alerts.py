"""What is watched, what was found to be wrong, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from registry.models import Model


class Severity(models.TextChoices):
    INFO = "info", "Notice"
    WARNING = "warning", "Warning"
    CRITICAL = "critical", "Critical"


class AlertRule(models.Model):
    """What somebody wants to hear of. `performance.alerts.rules` alone writes it."""

    class Kind(models.TextChoices):
        METRIC = "metric", "A figure of a model"
        DRIFT = "drift", "Drift of what a model meets"
        JOB_FAILED = "job_failed", "Jobs that fail"
        JOBS_WAITING = "jobs_waiting", "Jobs that wait long"
        NODE_SILENT = "node_silent", "A machine that is silent"
        DISK = "disk", "A disk that fills up"
        ARTIFACT_DAMAGED = "artifact_damaged", "Files of a version that are damaged"

    class Comparison(models.TextChoices):
        ABOVE = "above", "rises above"
        BELOW = "below", "falls below"

    OF_MACHINES = (Kind.NODE_SILENT, Kind.DISK)  # of the hub itself, so for administrators

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="alert_rules",
        help_text="Null: the hub's, which administrators look after.",
    )  # fmt: skip
    default = models.CharField(max_length=30, blank=True, help_text="Of one that the hub made: which.")
    name = models.CharField(max_length=100)
    enabled = models.BooleanField(default=True)
    kind = models.CharField(max_length=20, choices=Kind)
    model = models.ForeignKey(
        Model, models.CASCADE, null=True, related_name="alert_rules", help_text="Null: all that its owner sees."
    )
    metric = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=12, blank=True, help_text="Empty: from wherever.")
    group = models.CharField(max_length=100, blank=True, help_text="Empty: the figure of all.")
    comparison = models.CharField(max_length=5, choices=Comparison, default=Comparison.ABOVE)
    # In the kind's own unit, see performance.alerts.kinds.
    threshold = models.FloatField(null=True)
    clear_threshold = models.FloatField(null=True, help_text="It is over only on this side of it.")
    in_a_row = models.PositiveSmallIntegerField(default=1, help_text="So many figures or checks, one after another.")
    minutes = models.PositiveIntegerField(default=60, help_text="The time that is looked at.")
    minimum_count = models.PositiveIntegerField(default=0, help_text="What rests on less says nothing.")
    cool_down_minutes = models.PositiveIntegerField(default=5, help_text="It must be well for so long to be over.")
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.WARNING)
    channels = models.ManyToManyField("Channel", blank=True, related_name="rules")
    told_at = models.DateTimeField(null=True, help_text="When its channels were told last.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "default"],
                condition=~Q(default=""),
                nulls_distinct=False,
                name="alert_rule_default_once",
            ),
            models.CheckConstraint(
                condition=~Q(kind="metric") | (~Q(metric="") & Q(threshold__isnull=False)),
                name="alert_rule_of_figure_names_it",
            ),
        ]
        indexes = [models.Index(fields=["enabled", "kind"], name="alert_rule_kinds")]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One thing that is wrong, from the moment it was found until it is over, however often it is seen meanwhile.

    `performance.alerts` alone changes it, each time by one guarded update with its event.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        RESOLVED = "resolved", "Resolved"

    OPEN = (Status.ACTIVE, Status.ACKNOWLEDGED)

    # A rule may go; what it found stays. Its owner, name and kind are as they were.
    rule = models.ForeignKey(AlertRule, models.SET_NULL, null=True, related_name="alerts")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="alerts")
    rule_name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=AlertRule.Kind)
    severity = models.CharField(max_length=8, choices=Severity)
    model = models.ForeignKey(Model, models.CASCADE, null=True, related_name="alerts")
    target = models.CharField(max_length=200, help_text="What it is about, as a key.")
    title = models.CharField(max_length=300)
    words = models.CharField(max_length=1000)
    value = models.FloatField(null=True)
    threshold = models.FloatField(null=True)
    evidence = models.JSONField(default=dict)
    mark = models.CharField(max_length=100, blank=True, help_text="Tells one finding from the next.")
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    times_seen = models.PositiveIntegerField(default=1)
    well_since = models.DateTimeField(null=True, help_text="Since when it has looked well.")
    snoozed_until = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    resolved_at = models.DateTimeField(null=True)
    resolved_by_hand = models.BooleanField(default=False)
    told = models.CharField(max_length=8, blank=True, help_text="What channels know of: opened, resolved, or nothing.")
    told_at = models.DateTimeField(null=True)
    reminders = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "target"], condition=Q(status__in=["active", "acknowledged"]), name="alert_open_once"
            ),
            models.CheckConstraint(
                condition=Q(status="resolved", resolved_at__isnull=False)
                | (~Q(status="resolved") & Q(resolved_at__isnull=True)),
                name="alert_resolved_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="acknowledged") | Q(acknowledged_at__isnull=False),
                name="alert_acknowledged_has_time",
            ),
        ]
        indexes = [
            models.Index(F("owner"), condition=Q(status__in=["active", "acknowledged"]), name="alert_open_of_owner"),
            models.Index(fields=["owner", "-id"], name="alert_of_owner"),
            models.Index(fields=["rule", "target", "-id"], name="alert_of_rule"),
        ]

    def __str__(self) -> str:
        return self.title


class AlertEvent(models.Model):
    """What happened to an alert. Only added to; a trigger refuses changes."""

    class Kind(models.TextChoices):
        OPENED = "opened", "Opened"
        ACKNOWLEDGED = "acknowledged", "Acknowledged"
        SNOOZED = "snoozed", "Snoozed"
        RESOLVED = "resolved", "Resolved"
        TOLD = "told", "Told"

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind)
    at = models.DateTimeField()
    by = models.CharField(max_length=150, blank=True, help_text="Who; empty: the hub by itself.")
    words = models.CharField(max_length=1000, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.alert_id}"
