"""Whom or what models are about, and when there is enough data to train one."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q


class Subject(models.Model):
    """The person, machine or product that a model is about."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="subjects")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=50, blank=True, help_text="person, machine, product …")
    attributes = models.JSONField(default=dict, blank=True, help_text="Name → text, number or true / false.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="subject_name_once")]

    def __str__(self) -> str:
        return self.name


class EligibilityPolicy(models.Model):
    """What a subject's data must have before a model of it may be trained."""

    name = models.CharField(max_length=100, unique=True)
    # {"responses": 2, "words": 50, "categories": 1, "hours": 0.5, "quality": 60, "max_age_days": 90, "gates": true}
    criteria = models.JSONField(default=dict)
    kind = models.CharField(max_length=50, blank=True, help_text="Only for subjects of this kind; empty: for all.")
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "eligibility policies"
        constraints = [
            models.UniqueConstraint(fields=["is_default"], condition=Q(is_default=True), name="eligibility_one_default")
        ]

    def __str__(self) -> str:
        return self.name
