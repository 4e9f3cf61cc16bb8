"""What people add to a model card."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from registry.models.lines import Model, ModelVersion


class CardNotes(models.Model):
    """What its owner says of a model on its card: of all versions, or of one. Written by `registry.cards.notes`."""

    model = models.ForeignKey(Model, models.CASCADE, related_name="card_notes")
    # A version of this very model; null: all of them.
    version = models.ForeignKey(ModelVersion, models.CASCADE, null=True, related_name="card_notes")
    intended_use = models.TextField(blank=True, help_text="What it is for, as plain text.")
    limits = models.TextField(blank=True, help_text="What it is not for, and where it fails, as plain text.")
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "card notes"
        constraints = [
            models.UniqueConstraint(fields=["model"], condition=Q(version=None), name="card_notes_once_of_model"),
            models.UniqueConstraint(
                fields=["version"], condition=Q(version__isnull=False), name="card_notes_once_of_version"
            ),
        ]

    def __str__(self) -> str:
        return f"notes on {self.version or self.model}"
