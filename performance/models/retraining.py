"""When a model is trained again, and everything that came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from datasets.models import Dataset
from jobs.models import Job, JobTemplate
from performance.models.drift import DriftCheck
from performance.models.figures import MetricRecord
from registry.models import Model, ModelVersion, Prediction


class RetrainingPolicy(models.Model):
    """What starts a training of a model again, on which data, and what becomes of the version that comes of it.

    Any of its triggers starts one: a calendar rule, new items, a figure beyond a limit, a drift. None of a column means
    that there is no such trigger, or no such limit.
    """

    class Window(models.TextChoices):
        ALL = "all", "All of the dataset"
        DAYS = "days", "Items of the last days"
        ITEMS = "items", "The newest items"
        SINCE = "since", "What came since the champion's data"
        DRIFT = "drift", "What came since the drift began that started it"

    class After(models.TextChoices):
        NOTHING = "none", "Nothing"
        REPORT = "report", "Compare it with the champion, and leave the rest to people"
        AB = "ab", "Start an A/B test against the champion"
        SHADOW = "shadow", "Let it answer in the shadow of the champion"
        PROMOTE = "promote", "Promote it when it is better"

    class Direction(models.TextChoices):
        BELOW = "below", "below"
        ABOVE = "above", "above"

    model = models.OneToOneField(Model, models.CASCADE, related_name="retraining_policy")
    enabled = models.BooleanField(default=False, help_text="Off: nothing starts by itself.")

    # Triggers.
    rule = models.JSONField(null=True, blank=True, help_text="When, see jobs.rules; null: not by the calendar.")
    zone = models.CharField(max_length=64, default="UTC", help_text="The IANA time zone that the rule is read in.")
    new_items = models.PositiveIntegerField(null=True, blank=True, help_text="Since the data of the champion.")
    metric = models.CharField(max_length=100, blank=True, help_text="The figure that is watched; empty: none.")
    metric_source = models.CharField(max_length=12, choices=MetricRecord.Source, blank=True, help_text="Empty: any.")
    metric_group = models.CharField(max_length=100, blank=True, help_text="Empty: of all.")
    metric_direction = models.CharField(max_length=5, choices=Direction, default=Direction.BELOW)
    metric_value = models.FloatField(null=True, blank=True)
    metric_periods = models.PositiveSmallIntegerField(default=1, help_text="So many of its values in a row.")
    metric_count = models.PositiveIntegerField(default=0, help_text="What each value must rest on, at least.")
    drift_inputs = models.BooleanField(default=False)
    drift_predictions = models.BooleanField(default=False)
    drift_errors = models.BooleanField(default=False)

    # Limits.
    cooldown_hours = models.PositiveIntegerField(default=24, help_text="Between two trainings.")
    budget_jobs = models.PositiveIntegerField(null=True, blank=True, default=4, help_text="In a calendar month, UTC.")
    budget_device_hours = models.FloatField(null=True, blank=True, help_text="In a calendar month, UTC.")

    # Data, and how it is trained.
    dataset = models.ForeignKey(
        Dataset, models.SET_NULL, null=True, blank=True, related_name="+", help_text="None: that of the champion."
    )
    window = models.CharField(max_length=5, choices=Window, default=Window.ALL)
    window_count = models.PositiveIntegerField(null=True, blank=True, help_text="Days or items.")
    collect = models.BooleanField(
        default=False, help_text="Predictions whose truth is known become rows of the dataset first."
    )
    # RESTRICT: a template that is used stays.
    template = models.ForeignKey(
        JobTemplate, models.RESTRICT, null=True, blank=True, related_name="retraining_policies",
        help_text="None: as the champion was trained.",
    )  # fmt: skip

    # What people are asked for, and what follows.
    approvals_start = models.PositiveSmallIntegerField(default=1)
    approvals_promotion = models.PositiveSmallIntegerField(default=1)
    after = models.CharField(max_length=7, choices=After, default=After.REPORT)

    # Where it stands.
    next_at = models.DateTimeField(null=True, blank=True, help_text="Of the rule; null while there is none.")
    refusal = models.CharField(max_length=500, blank=True, help_text="Why what was seen last started nothing.")
    refused_at = models.DateTimeField(null=True, blank=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["model"]
        verbose_name_plural = "retraining policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(approvals_start__lte=1, approvals_promotion__lte=1), name="retraining_approvals_0_or_1"
            ),
            models.CheckConstraint(
                condition=Q(window__in=["days", "items"], window_count__gte=1)
                | Q(window__in=["all", "since", "drift"], window_count__isnull=True),
                name="retraining_window_has_count",
            ),
            models.CheckConstraint(
                condition=Q(metric="", metric_value__isnull=True) | ~Q(metric="") & Q(metric_value__isnull=False),
                name="retraining_metric_has_limit",
            ),
            models.CheckConstraint(
                condition=Q(next_at__isnull=True) | Q(enabled=True, rule__isnull=False),
                name="retraining_next_time_by_a_rule",
            ),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(enabled=True), name="retraining_due")]

    def __str__(self) -> str:
        return f"Retraining of {self.model}"

    @property
    def drift_kinds(self) -> list[str]:
        """Of which kinds a drift starts a training."""
        kinds = DriftCheck.Subject
        wanted = ((kinds.INPUTS, self.drift_inputs), (kinds.PREDICTIONS, self.drift_predictions))
        return [str(kind) for kind, on in (*wanted, (kinds.ERRORS, self.drift_errors)) if on]


class Retraining(models.Model):
    """One time that a model is trained again: from what started it to what became of the version.
    `performance.retraining` alone moves it."""

    class Kind(models.TextChoices):
        MANUAL = "manual", "By hand"
        SCHEDULE = "schedule", "Schedule"
        NEW_ITEMS = "new_items", "New items"
        THRESHOLD = "threshold", "Figure beyond its limit"
        DRIFT = "drift", "Drift"

    class Status(models.TextChoices):
        AWAITING_APPROVAL = "awaiting_approval", "Waits for approval"
        QUEUED = "queued", "Queued"  # its job is made, or will be as soon as what is in its way has gone
        TRAINING = "training", "Training"
        EVALUATING = "evaluating", "Being compared"
        CHALLENGER = "challenger", "Waits for a decision"  # compared; a person decides whether it is promoted
        TESTING = "testing", "In a test"
        PROMOTED = "promoted", "Promoted"
        KEPT = "kept", "Champion stays"
        FAILED = "failed", "Failed"
        REFUSED = "refused", "Declined"
        EXPIRED = "expired", "Expired"  # nobody decided in time

    OPEN = (
        Status.AWAITING_APPROVAL, Status.QUEUED, Status.TRAINING, Status.EVALUATING, Status.CHALLENGER, Status.TESTING,
    )  # fmt: skip

    model = models.ForeignKey(Model, models.PROTECT, related_name="retrainings")
    policy = models.ForeignKey(RetrainingPolicy, models.SET_NULL, null=True, related_name="retrainings")
    kind = models.CharField(max_length=10, choices=Kind)
    evidence = models.JSONField(default=dict, help_text="What started it: the figure, check or count, as it was.")
    reason = models.CharField(max_length=1000, blank=True)
    # What the policy wanted when it started; changes of the policy count from the next one on.
    plan = models.JSONField(default=dict)
    status = models.CharField(max_length=17, choices=Status)
    message = models.CharField(max_length=500, blank=True, help_text="Where it stands, in words.")
    hint = models.CharField(max_length=500, blank=True, help_text="What to do next.")
    champion = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+")
    job = models.OneToOneField(Job, models.SET_NULL, null=True, related_name="retraining")
    challenger = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="retrainings")
    report = models.JSONField(default=dict, help_text="The challenger beside the champion, see performance.retraining.")
    experiment_id = models.BigIntegerField(null=True, help_text="The test that was started.")
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    idempotency_key = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    waits_since = models.DateTimeField(help_text="Since when it is in its present status.")
    ended_at = models.DateTimeField(null=True)
    # The worker that compares: as of an import.
    attempt = models.PositiveIntegerField(default=0)
    heartbeat_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True, help_text="Not before, after a try that something stood in the way of.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model"],
                condition=Q(status__in=[
                    "awaiting_approval", "queued", "training", "evaluating", "challenger", "testing",
                ]),
                name="retraining_one_open_per_model",
            ),
            models.UniqueConstraint(
                fields=["asked_by", "idempotency_key"], condition=~Q(idempotency_key=""), name="retraining_request_once"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["promoted", "kept", "failed", "refused", "expired"], ended_at__isnull=False)
                | Q(
                    status__in=["awaiting_approval", "queued", "training", "evaluating", "challenger", "testing"],
                    ended_at__isnull=True,
                ),
                name="retraining_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(kind="manual") | Q(asked_by__isnull=False), name="retraining_by_hand_has_asker"
            ),
            models.CheckConstraint(
                condition=Q(challenger__isnull=False)
                | ~Q(status__in=["evaluating", "challenger", "testing", "promoted"]),
                name="retraining_compared_has_challenger",
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(fields=["model", "-id"], name="retraining_of_model"),
            models.Index(
                fields=["status"],
                condition=Q(status__in=[
                    "awaiting_approval", "queued", "training", "evaluating", "challenger", "testing",
                ]),
                name="retraining_open",
            ),
            # Whose job may be tried again.
            models.Index(
                fields=["job"], condition=Q(status="failed", job__isnull=False), name="retraining_failed_job"
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"Retraining {self.pk} of {self.model}"

    @property
    def state(self) -> str:
        """Its state as a sentence goes on: 'is queued'."""
        return STATES[self.status]


STATES = {
    Retraining.Status.AWAITING_APPROVAL: "waits for approval", Retraining.Status.QUEUED: "is queued",
    Retraining.Status.TRAINING: "is training", Retraining.Status.EVALUATING: "is being compared",
    Retraining.Status.CHALLENGER: "waits for a decision", Retraining.Status.TESTING: "is in a test",
    Retraining.Status.PROMOTED: "has ended: its version was promoted",
    Retraining.Status.KEPT: "has ended: the champion stays", Retraining.Status.FAILED: "has failed",
    Retraining.Status.REFUSED: "was declined", Retraining.Status.EXPIRED: "has expired",
}  # fmt: skip


class RetrainingEvent(models.Model):
    """What happened to a retraining, or to a model's policy. Only added to: a trigger refuses changes."""

    model = models.ForeignKey(Model, models.PROTECT, related_name="retraining_events")
    retraining = models.ForeignKey(Retraining, models.PROTECT, null=True, related_name="events")
    at = models.DateTimeField()
    kind = models.CharField(max_length=30)  # triggered, also_triggered, approved, job_made, compared, promoted …
    # What was seen, such as "drift:12": nothing that was seen starts a training, or is told of, twice.
    key = models.CharField(max_length=100, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    message = models.CharField(max_length=1000)
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["model", "key"], condition=~Q(key=""), name="retraining_evidence_once")
        ]
        indexes = [models.Index(fields=["model", "-id"], name="retraining_event_of_model")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.message[:60]}"


class CollectedPrediction(models.Model):
    """A prediction whose truth was put into a dataset: each goes into each dataset once."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="collected_predictions")
    # No constraint in the database: predictions are kept for a while, rows of datasets for good.
    prediction = models.ForeignKey(Prediction, models.DO_NOTHING, db_constraint=False, related_name="+")
    import_id = models.BigIntegerField(help_text="The import that brought it in.")
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["dataset", "prediction"], name="collected_prediction_once"),
        ]

    def __str__(self) -> str:
        return f"{self.prediction_id} in dataset {self.dataset_id}"
