"""Which of several versions answers: the split of a model's traffic while they are compared."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from registry.models.lines import Model, ModelVersion


class Route(models.Model):
    """How a model's predictions are divided, from `started_at` until `ended_at`. An experiment above owns it; who
    answers is decided by `registry.routing`."""

    model = models.ForeignKey(Model, models.CASCADE, related_name="routes")
    salt = models.CharField(max_length=32, help_text="Makes the division of keys this route's own.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["model"], condition=Q(ended_at=None), name="route_one_open_per_model")
        ]

    def __str__(self) -> str:
        return f"route {self.pk} of {self.model_id}"


class RouteArm(models.Model):
    """A version that takes part: it answers its share of the keys, or gets a copy of what others answer (a shadow)."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="arms")
    version = models.ForeignKey(ModelVersion, models.PROTECT, related_name="arms")
    name = models.CharField(max_length=50)
    control = models.BooleanField(default=False, help_text="The one that the others are compared with.")
    shadow = models.BooleanField(default=False, help_text="Its answers are logged and given to nobody.")
    weight = models.PositiveIntegerField(default=0, help_text="Its share of the keys, in parts of all weights.")
    withdrawn_at = models.DateTimeField(
        null=True, blank=True, help_text="From then on the control answers its keys, and they count for nobody."
    )

    # Of a shadow: inputs that it never got, as there were too many at once, and those that it could not answer.
    dropped = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["route", "version"], name="arm_version_once"),
            models.UniqueConstraint(fields=["route", "name"], name="arm_name_once"),
            models.UniqueConstraint(fields=["route"], condition=Q(control=True), name="arm_one_control"),
            models.CheckConstraint(
                condition=Q(shadow=True, weight=0, control=False) | Q(shadow=False, weight__gt=0),
                name="arm_answers_or_shadows",
            ),
            models.CheckConstraint(condition=Q(control=False) | Q(withdrawn_at=None), name="arm_control_stays"),
        ]

    def __str__(self) -> str:
        return self.name
