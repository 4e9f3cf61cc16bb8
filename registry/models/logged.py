"""What is kept of logged predictions, and which of their figures must be reckoned anew."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from registry.models.lines import Model, ModelVersion


class LogPolicy(models.Model):
    """What is put down of a model's predictions, and for how long. A model without one has the defaults."""

    class Keep(models.TextChoices):
        NONE = "none", "Nothing"
        HASH = "hash", "Its hash"
        FULL = "full", "All of it"

    model = models.OneToOneField(Model, models.CASCADE, primary_key=True, related_name="log_policy")
    keep = models.CharField(max_length=4, choices=Keep, default=Keep.HASH, help_text="What is kept of the input.")
    share = models.FloatField(default=1.0, help_text="The share of predictions that is put down, from 0 to 1.")
    days = models.PositiveSmallIntegerField(default=90, help_text="For how many days they are kept.")
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "log policies"
        constraints = [
            models.CheckConstraint(condition=Q(share__gte=0, share__lte=1), name="log_policy_share_is_one"),
            models.CheckConstraint(condition=Q(days__gte=1, days__lte=3650), name="log_policy_days_in_range"),
            models.CheckConstraint(condition=Q(keep__in=["none", "hash", "full"]), name="log_policy_keep_is_known"),
        ]

    def __str__(self) -> str:
        return f"what is logged of {self.model}"


class Touched(models.Model):
    """A mark: predictions or outcomes of this period are new, so its figures must be reckoned anew.

    Marks are only ever added, in the transaction of what they tell of, and taken away by whoever reckons in the
    transaction that reckons: a change that it does not see leaves its mark.
    """

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="+", db_index=False)
    since = models.DateTimeField(help_text="The beginning of the hour, or of the day, in UTC.")
    day = models.BooleanField(default=False, help_text="A day, whose hours have been reckoned.")
    at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "touched"
        indexes = [models.Index(fields=["day", "since", "version"], name="touched_period")]

    def __str__(self) -> str:
        return f"{'day' if self.day else 'hour'} from {self.since} of version {self.version_id}"
