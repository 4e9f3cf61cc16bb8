"""What a version must fulfil before it is put in use, and who agreed to it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q

from registry.models.aliases import AliasChange
from registry.models.lines import Model, ModelVersion

MOST_APPROVALS = 2


class PromotionPolicy(models.Model):
    """The rules of one model; a model without a row has none. Changed by `registry.promotion.policy` alone."""

    class Test(models.TextChoices):
        NONE = "none", "None"
        AB = "ab", "An A/B test"
        SHADOW = "shadow", "A shadow test"

    model = models.OneToOneField(Model, models.CASCADE, related_name="promotion_policy")
    metric = models.CharField(max_length=100, blank=True, help_text="Empty: the recipe's key figure.")
    margin = models.FloatField(
        null=True,
        blank=True,
        help_text="How much worse than the champion a version may be, in the figure's own unit. Empty: not compared.",
    )
    minimum_examples = models.PositiveIntegerField(default=0, help_text="Of the part that the figure was taken on.")
    same_held_out = models.BooleanField(default=True, help_text="Only figures of the same examples are compared.")
    needs_test = models.CharField(max_length=8, choices=Test, default=Test.NONE)
    approvals = models.PositiveSmallIntegerField(default=0, help_text="How many people have to agree.")
    # Protected: without its role a policy would ask anyone who may approve.
    role = models.ForeignKey(Group, models.PROTECT, null=True, blank=True, related_name="+")
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "promotion policies"
        constraints = [
            models.CheckConstraint(condition=Q(margin=None) | Q(margin__gte=0), name="policy_margin_not_negative"),
            models.CheckConstraint(condition=Q(approvals__lte=MOST_APPROVALS), name="policy_approvals_in_range"),
            models.CheckConstraint(condition=Q(needs_test__in=["none", "ab", "shadow"]), name="policy_test_is_known"),
        ]

    def __str__(self) -> str:
        return f"policy of {self.model}"


class PromotionEvidence(models.Model):
    """How a version did in a test against the champion, or on the same rows as it. Written by
    `registry.promotion.evidence`; never changed."""

    class Kind(models.TextChoices):
        AB = "ab", "A/B test"
        SHADOW = "shadow", "Shadow test"
        SAME_ROWS = "rows", "On the same held-out rows"

    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="promotion_evidence")
    against = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+", help_text="The champion.")
    kind = models.CharField(max_length=8, choices=Kind)
    passed = models.BooleanField()
    evidence = models.JSONField(default=dict, help_text="What was found, as whoever made the test tells it.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "promotion evidence"
        indexes = [models.Index(fields=["version", "kind", "-id"], name="evidence_of_version")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.version}: {'passed' if self.passed else 'failed'}"


class PromotionRequest(models.Model):
    """A version that passed its checks and waits for people. Moved on by `registry.promotion.verbs` alone."""

    class Status(models.TextChoices):
        OPEN = "open", "Waiting for approval"
        GRANTED = "granted", "Granted"
        REFUSED = "refused", "Refused"
        WITHDRAWN = "withdrawn", "Withdrawn"

    model = models.ForeignKey(Model, models.CASCADE, related_name="promotion_requests")
    # A version of this very model, see `registry/migrations/_sql.py`.
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="promotion_requests")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    # Null: the hub asked, and `evidence` says for what policy.
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=1000, blank=True)
    checks = models.JSONField(default=list, help_text="As they were when it was asked, or made again at the end.")
    evidence = models.JSONField(default=dict)
    asked_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    note = models.CharField(max_length=1000, blank=True, help_text="Why it ended as it did.")
    change = models.OneToOneField(AliasChange, models.PROTECT, null=True, related_name="request")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["model"], condition=Q(status="open"), name="promotion_one_open_per_model"),
            models.CheckConstraint(
                condition=Q(status="open", decided_at__isnull=True)
                | Q(status__in=["granted", "refused", "withdrawn"], decided_at__isnull=False),
                name="promotion_decided_has_time",
            ),
            models.CheckConstraint(
                condition=Q(status="granted", change__isnull=False) | ~Q(status="granted") & Q(change__isnull=True),
                name="promotion_granted_has_change",
            ),
        ]
        indexes = [models.Index(fields=["status", "-id"], name="promotion_by_status")]

    def __str__(self) -> str:
        return f"promotion of {self.version}"


class Approval(models.Model):
    """One person's yes to a request."""

    request = models.ForeignKey(PromotionRequest, models.CASCADE, related_name="approvals")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    note = models.CharField(max_length=1000, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["request", "by"], name="approval_once_per_person")]

    def __str__(self) -> str:
        return f"{self.by} of {self.request}"
