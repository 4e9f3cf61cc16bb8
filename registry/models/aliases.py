"""Names under which a model's versions are used, and who gave them to which version, when and why."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from registry.models.lines import Model, ModelVersion


class Name(models.TextChoices):
    CHAMPION = "champion", "Champion"  # the one in use
    CHALLENGER = "challenger", "Challenger"  # the one that may take its place


class Alias(models.Model):
    """The version that has a name now. Changed by `registry.promotion.aliases` alone."""

    model = models.ForeignKey(Model, models.CASCADE, related_name="aliases")
    name = models.CharField(max_length=12, choices=Name)
    # A version of this very model: by a foreign key on both columns, see `registry/migrations/_sql.py`.
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="aliases")
    since = models.DateTimeField()

    class Meta:
        verbose_name_plural = "aliases"
        constraints = [
            models.UniqueConstraint(fields=["model", "name"], name="alias_once_per_model"),
            models.CheckConstraint(condition=Q(name__in=Name.values), name="alias_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.model}"


class AliasChange(models.Model):
    """A name went from one version to another. Never changed and never deleted: a trigger refuses both."""

    class Kind(models.TextChoices):
        SET = "set", "Named"
        PROMOTED = "promoted", "Promoted"
        OVERRIDDEN = "overridden", "Promoted against its policy"
        ROLLED_BACK = "rolled_back", "Rolled back"
        REMOVED = "removed", "Taken away"

    model = models.ForeignKey(Model, models.PROTECT, related_name="alias_changes")
    alias = models.CharField(max_length=12, choices=Name)
    kind = models.CharField(max_length=12, choices=Kind)
    before = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="+")
    after = models.ForeignKey(ModelVersion, models.PROTECT, null=True, related_name="alias_changes")
    # Null: a policy did it, and `evidence` names it.
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=1000, blank=True)
    evidence = models.JSONField(default=dict, help_text="What was known when it was decided: checks, tests, approvals.")
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="removed", after__isnull=True) | ~Q(kind="removed") & Q(after__isnull=False),
                name="alias_change_goes_to_a_version",
            ),
            models.CheckConstraint(
                condition=~Q(kind="overridden") | ~Q(reason="") & Q(actor__isnull=False),
                name="alias_override_has_reason_and_actor",
            ),
        ]
        indexes = [models.Index(fields=["model", "alias", "-id"], name="alias_change_of_model")]

    def __str__(self) -> str:
        return f"{self.alias} of {self.model}: {self.kind}"
