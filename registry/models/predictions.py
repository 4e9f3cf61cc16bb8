"""What versions answered, and what turned out to be true."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from common.identifiers import uuid7
from datasets.models import Subject
from registry.models.lines import Model, ModelVersion
from registry.models.routes import RouteArm


class Prediction(models.Model):
    """One answer to one input; of a table, one for each row. Written by `registry.logged.writing` alone.

    The id begins with its time, so the newest ones lie together in its index.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField()
    # Indexes are few, since this table takes more writes than all others: `model` leads to `version`.
    model = models.ForeignKey(Model, models.CASCADE, related_name="predictions", db_index=False)
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="predictions", db_index=False)
    arm = models.ForeignKey(RouteArm, models.SET_NULL, null=True, related_name="predictions", db_index=False)
    shadow_of = models.UUIDField(null=True, help_text="The prediction that was given; this one was not.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False)
    subject = models.ForeignKey(Subject, models.SET_NULL, null=True, related_name="+", db_index=False)
    key = models.CharField(max_length=64, blank=True, help_text="SHA-256 of what the traffic is divided by.")
    group = models.CharField(max_length=100, blank=True, help_text="What figures may be told apart by.")
    input_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the input; empty where not kept.")
    input = models.JSONField(null=True, help_text="Null where the policy keeps none.")
    # Few, flat values of the input, by which drift is told: columns of a row, measures of a text, picture or sound.
    features = models.JSONField(default=dict)
    output = models.JSONField(null=True)
    label = models.CharField(max_length=200, blank=True, help_text="The class that was named.")
    score = models.FloatField(null=True, help_text="How sure it was of it; or the number that was predicted.")
    latency_ms = models.FloatField()
    error = models.CharField(max_length=300, blank=True, help_text="Why there is no output.")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["model", "-id"], name="prediction_of_model"),
            models.Index(fields=["version", "-id"], name="prediction_of_version"),
            models.Index(fields=["arm", "-id"], condition=Q(arm__isnull=False), name="prediction_of_arm"),
            models.Index(fields=["shadow_of"], condition=Q(shadow_of__isnull=False), name="prediction_shadows"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Outcome(models.Model):
    """What became of a prediction: the truth, or what somebody thought of it. Sent later, by the prediction's id.

    What figures need of the prediction stands here too: sums over a period then read this table alone.
    """

    # No constraint in the database: predictions are kept for a while, outcomes of an experiment to its end.
    prediction = models.OneToOneField(
        Prediction, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="outcome"
    )
    model = models.ForeignKey(Model, models.CASCADE, related_name="+", db_index=False)
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="+", db_index=False)
    arm = models.ForeignKey(RouteArm, models.SET_NULL, null=True, related_name="outcomes", db_index=False)
    # Of what took part in a comparison the database copies it (a trigger, see `registry/migrations/_sql.py`), so that
    # outcomes of one key can be taken together when the prediction is long gone.
    key = models.CharField(max_length=64, blank=True, help_text="As of its prediction.")
    group = models.CharField(max_length=100, blank=True)
    predicted_at = models.DateTimeField()
    at = models.DateTimeField(help_text="When it was told.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", db_index=False)
    truth = models.JSONField(null=True, help_text="The class or number that was right.")
    correct = models.BooleanField(null=True, help_text="Of classes: whether the named one is the true one.")
    error = models.FloatField(null=True, help_text="Predicted less true; of a forecast by how much, on average.")
    value = models.FloatField(null=True, help_text="Feedback: 1 or 0, a rating, an amount.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(truth__isnull=False) | Q(value__isnull=False), name="outcome_says_something"
            )
        ]
        indexes = [
            models.Index(fields=["model", "at"], name="outcome_of_model"),
            models.Index(fields=["version", "at"], name="outcome_of_version"),
            # Of predictions by whether they were right: these are looked for from here.
            models.Index(fields=["model", "-prediction"], name="outcome_by_prediction"),
            models.Index(fields=["arm", "at"], condition=Q(arm__isnull=False), name="outcome_of_arm"),
        ]

    def __str__(self) -> str:
        return f"outcome of {self.prediction_id}"
