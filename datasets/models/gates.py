"""What decides whether an item may be trained on: people's reviews, and governance rules. Both are append-only."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from datasets.models.data import Dataset, Governance, Item, Modality, Review


class ReviewVote(models.Model):
    """What one reviewer said of an item. A new round begins when the item was changed after its reviews."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="votes", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="votes", db_index=False)
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    verdict = models.CharField(max_length=10, choices=[choice for choice in Review.choices if choice[0] != "none"])
    reason = models.CharField(max_length=1000, blank=True)
    round = models.PositiveIntegerField(default=1)
    at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, help_text="Replaced by a later vote of the same reviewer.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["item", "reviewer", "round"], condition=Q(withdrawn_at__isnull=True), name="vote_once_a_round"
            ),
            models.CheckConstraint(condition=Q(verdict="approved") | ~Q(reason=""), name="vote_against_has_reason"),
        ]
        indexes = [
            models.Index(fields=["dataset", "reviewer", "-id"], name="vote_of_reviewer"),
            models.Index(fields=["item", "round"], name="vote_of_item"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} of item {self.item_id}"


class Reviewer(models.Model):
    """A person who may review a dataset that is not theirs, and how much of it was given to them."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="reviewers")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reviews_of")
    share = models.PositiveSmallIntegerField(default=100, help_text="Percent of the items, chosen by a stable hash.")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "user"], name="reviewer_once"),
            models.CheckConstraint(condition=Q(share__gte=1, share__lte=100), name="reviewer_share"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} reviews {self.dataset_id}"


class GovernanceRule(models.Model):
    """A condition over an item and its metadata, and what follows from it. The first rule that fits decides."""

    class Decision(models.TextChoices):
        ALLOW = "allow", "Allow"
        REFUSE = "refuse", "Refuse"

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    enabled = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=100, help_text="Rules are tried in this order.")
    dataset = models.ForeignKey(
        Dataset, models.CASCADE, null=True, blank=True, related_name="rules", help_text="Empty: for all datasets."
    )
    modality = models.CharField(max_length=10, choices=Modality, blank=True, help_text="Empty: for all.")
    # {"all": [{"field": "licence", "is": "in", "value": [...]}, …]}, {"any": […]}, {"not": {…}}, {} for always
    condition = models.JSONField(default=dict, blank=True)
    decision = models.CharField(max_length=10, choices=Decision)
    reason = models.CharField(max_length=300, help_text="Shown with each item that it decides about.")
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return self.name


class GovernanceDecision(models.Model):
    """What the rules said of an item, and which one; the newest counts."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="decisions", db_index=False)
    item = models.ForeignKey(Item, models.CASCADE, related_name="decisions", db_index=False)
    rule = models.ForeignKey(GovernanceRule, models.SET_NULL, null=True, related_name="decisions")
    rule_name = models.CharField(max_length=100, blank=True, help_text="Empty: no rule fitted.")
    decision = models.CharField(max_length=10, choices=Governance)
    reason = models.CharField(max_length=300)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["item", "-id"], name="decision_of_item"),
            models.Index(fields=["dataset", "-id"], name="decision_of_dataset"),
        ]

    def __str__(self) -> str:
        return f"{self.decision}: {self.reason}"
