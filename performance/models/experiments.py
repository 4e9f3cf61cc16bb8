"""Versions compared on what a model is really asked: who takes part, what was counted, and what was said of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from performance.experiments.metrics import Metric
from registry.models import Model, Route, RouteArm


class Experiment(models.Model):
    """A comparison of versions with the one in use. Changed by `performance.experiments.verbs` alone.

    What the statistics rest on (metric, expected, minimum, alpha, margin) is fixed when it begins: whoever chose it
    later, with outcomes in sight, would find what they look for.
    """

    class Kind(models.TextChoices):
        AB = "ab", "A/B test"  # each version answers its share
        SHADOW = "shadow", "Shadow test"  # the control answers all, the others get copies

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DECIDED = "decided", "Decided"
        STOPPED = "stopped", "Stopped"
        EXPIRED = "expired", "Ran out of time"

    class Verdict(models.TextChoices):
        BETTER = "better", "Better"
        WORSE = "worse", "Worse"
        NO_DIFFERENCE = "no_difference", "No relevant difference"
        NOT_YET = "not_yet", "Not yet known"
        UNTRUSTED = "untrusted", "Can't be trusted"

    route = models.OneToOneField(Route, models.PROTECT, related_name="experiment")
    model = models.ForeignKey(Model, models.PROTECT, related_name="experiments")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=8, choices=Kind)
    metric = models.CharField(max_length=20, choices=Metric)
    higher_is_better = models.BooleanField()
    expected = models.PositiveIntegerField(help_text="Outcomes in all, at which the intervals are at their best.")
    minimum = models.PositiveIntegerField(help_text="Outcomes of each before one is called better, or none of them.")
    max_days = models.PositiveSmallIntegerField()
    alpha = models.FloatField(help_text="How often, at most, a difference is seen where there is none.")
    margin = models.FloatField(help_text="Differences below this matter to nobody; 0: each one matters.")
    status = models.CharField(max_length=8, choices=Status, default=Status.RUNNING)
    verdict = models.CharField(max_length=14, choices=Verdict, default=Verdict.NOT_YET)
    words = models.TextField(blank=True, help_text="The verdict, with what it rests on.")
    winner = models.ForeignKey(RouteArm, models.PROTECT, null=True, blank=True, related_name="+")
    # Null: a policy did.
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(help_text="When it is looked at next.")
    looked_at = models.DateTimeField(null=True)
    counted_until = models.DateTimeField(help_text="Answers until then are counted in the sums.")
    idempotency_key = models.CharField(max_length=200, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["model"], condition=Q(status="running"), name="experiment_one_running_per_model"
            ),
            models.UniqueConstraint(
                fields=["started_by", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="experiment_request_once",
            ),
            models.CheckConstraint(
                condition=Q(status="running", ended_at__isnull=True) | ~Q(status="running") & Q(ended_at__isnull=False),
                name="experiment_ended_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="decided") | Q(verdict__in=["better", "worse", "no_difference"]) & ~Q(words=""),
                name="experiment_decided_has_verdict",
            ),
            models.CheckConstraint(
                condition=Q(winner__isnull=True) | Q(status="decided", verdict="better"),
                name="experiment_winner_is_better",
            ),
            models.CheckConstraint(
                condition=Q(alpha__gt=0, alpha__lt=1, margin__gte=0, expected__gt=0, minimum__gt=0, max_days__gt=0),
                name="experiment_plan_makes_sense",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(status="running"), name="experiment_due"),
            models.Index(fields=["model", "-id"], name="experiment_of_model"),
        ]

    def __str__(self) -> str:
        return self.name


class ArmSum(models.Model):
    """What was counted of one arm; all that pages and verdicts need, however many outcomes there are.

    A *unit* is what chance gave to an arm: a key with all of its outcomes, or a request without key. It counts once, by
    the mean of its outcomes, since what one customer does ten times is not ten independent findings.
    """

    arm = models.OneToOneField(RouteArm, models.CASCADE, related_name="sums", primary_key=True)
    answers = models.PositiveBigIntegerField(default=0, help_text="Predictions.")
    keys = models.PositiveBigIntegerField(default=0, help_text="Different keys among the first answers of the route.")
    outcomes = models.PositiveBigIntegerField(default=0)
    units = models.PositiveBigIntegerField(default=0)
    # Of the units; in a shadow test of the differences between the shadow's figure and the control's.
    mean = models.FloatField(default=0)
    variance = models.FloatField(default=0)
    bins = models.JSONField(default=dict, help_text="Of ranks: how many units lie in each step of values.")
    # As people read it: the figure of this arm, and that of the control on the same inputs (shadow tests).
    figure = models.FloatField(null=True)
    beside = models.FloatField(null=True)
    above = models.PositiveBigIntegerField(default=0, help_text="Pairs in which the shadow's figure is higher.")
    below = models.PositiveBigIntegerField(default=0)
    compared = models.PositiveBigIntegerField(default=0, help_text="Pairs of answers to the same input.")
    agreed = models.PositiveBigIntegerField(default=0, help_text="Of these, with the same answer.")
    latency_ms = models.FloatField(null=True, help_text="Mean of the shadow's answers.")
    control_latency_ms = models.FloatField(null=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"sums of {self.arm_id}"


class Look(models.Model):
    """What was known at one moment. Never changed and never deleted: a trigger refuses both."""

    experiment = models.ForeignKey(Experiment, models.PROTECT, related_name="looks")
    at = models.DateTimeField()
    # One for each arm but the control: {"arm", "theirs", "ours", "figure", "beside", "value", "low", "high", "p_value",
    # "fixed_p_value", "test", "verdict", "more"}; what is not known yet is null.
    arms = models.JSONField()
    ratio_p_value = models.FloatField(null=True, help_text="That keys were divided by the weights; shadows: null.")
    verdict = models.CharField(max_length=14, choices=Experiment.Verdict)
    words = models.TextField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["experiment", "-id"], name="look_of_experiment")]

    def __str__(self) -> str:
        return f"look {self.pk} at {self.experiment_id}"
