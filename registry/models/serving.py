"""Versions that are kept loaded, so that they answer at once."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from registry.models.aliases import Name
from registry.models.lines import Model, ModelVersion


class Deployment(models.Model):
    """The wish that a version, or whichever version has a name, is loaded and answers. What is done about it:
    `registry.serving`."""

    model = models.ForeignKey(Model, models.CASCADE, related_name="deployments")
    # One of the two.
    version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, blank=True, related_name="deployments")
    alias = models.CharField(max_length=12, choices=Name, blank=True)
    replicas = models.PositiveSmallIntegerField(default=1)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True, help_text="Null: it is deployed.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(version__isnull=True) ^ Q(alias=""), name="deployment_of_version_or_alias"
            ),
            models.CheckConstraint(condition=Q(replicas__gte=1, replicas__lte=16), name="deployment_replicas_in_range"),
            models.UniqueConstraint(
                fields=["version"], condition=Q(ended_at=None, version__isnull=False), name="deployment_once_of_version"
            ),
            models.UniqueConstraint(
                fields=["model", "alias"], condition=Q(ended_at=None) & ~Q(alias=""), name="deployment_once_of_alias"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alias} of {self.model}" if self.alias else str(self.version)


class Served(models.Model):
    """What the model server of a node last said of a version. Written by `registry.serving.reconciling` alone."""

    class State(models.TextChoices):
        LOADING = "loading", "Loading"
        READY = "ready", "Ready"
        UNLOADED = "unloaded", "Unloaded"  # for want of memory; the next request loads it again
        FAILED = "failed", "Failed"

    version = models.ForeignKey(ModelVersion, models.CASCADE, related_name="served")
    node = models.CharField(max_length=100)
    state = models.CharField(max_length=10, choices=State)
    message = models.CharField(max_length=500, blank=True, help_text="Why it can't be loaded.")
    hint = models.CharField(max_length=500, blank=True)
    replicas = models.JSONField(default=list, help_text="[{pid, ready, memory, requests}]")
    memory_bytes = models.BigIntegerField(default=0)
    requests = models.BigIntegerField(default=0, help_text="Since it was loaded.")
    restarts = models.PositiveIntegerField(default=0, help_text="How often a replica died since it was loaded.")
    heard_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "served"
        constraints = [models.UniqueConstraint(fields=["version", "node"], name="served_once_per_node")]

    def __str__(self) -> str:
        return f"{self.version} on {self.node}"
