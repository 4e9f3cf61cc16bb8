"""What a run that generates has made."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from datasets.models import Item
from jobs.models.job import Job


class GeneratedExample(models.Model):
    """One example of a run: what each generator wrote, what the judge said, and which was kept."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="examples", db_index=False)
    step = models.BigIntegerField()
    genre = models.CharField(max_length=100)
    prompt = models.TextField()
    kept = models.BooleanField()
    winner = models.CharField(max_length=200, blank=True, help_text="As the settings name the generator.")
    score = models.DecimalField(max_digits=3, decimal_places=1, null=True, help_text="Of the winner, 0.0 to 10.0.")
    text = models.TextField(blank=True, help_text="What the winner wrote.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why it was not kept.")
    # [{"generator", "text", "score", "reasons", "error", "seconds"}, …]
    candidates = models.JSONField(default=list)
    item = models.ForeignKey(Item, models.SET_NULL, null=True, blank=True, related_name="examples")
    attempt_number = models.PositiveIntegerField(null=True, help_text="The attempt of its job that made it.")
    fine_tuning = models.ForeignKey(
        "FineTuning", models.SET_NULL, null=True, blank=True, related_name="taken", db_index=False,
        help_text="The automatic one that took it in: it counts once.",
    )  # fmt: skip
    at = models.DateTimeField()

    class Meta:
        ordering = ["job", "step"]
        constraints = [
            models.UniqueConstraint(fields=["job", "step"], name="example_step_once"),
            models.CheckConstraint(
                condition=Q(kept=False) | (Q(score__isnull=False) & ~Q(winner="")), name="example_kept_has_a_winner"
            ),
            models.CheckConstraint(
                condition=Q(score__isnull=True) | Q(score__gte=0, score__lte=10), name="example_score_in_range"
            ),
            models.CheckConstraint(condition=Q(step__gt=0), name="example_step_from_one"),
            models.CheckConstraint(condition=Q(kept=True) | Q(fine_tuning__isnull=True), name="example_taken_was_kept"),
        ]
        indexes = [
            # What counts toward the next fine-tuning: few rows, however many examples there have been.
            models.Index(
                fields=["job", "id"], condition=Q(kept=True, fine_tuning__isnull=True), name="example_uncounted"
            ),
            models.Index(fields=["fine_tuning"], condition=Q(fine_tuning__isnull=False), name="example_of_fine_tuning"),
        ]

    def __str__(self) -> str:
        return f"Example {self.step} of job {self.job_id}"


class ExampleSum(models.Model):
    """What a stretch of a run's examples adds up to, written with them, so that a page reads no example."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="+", db_index=False)
    block = models.BigIntegerField(help_text="Steps of 500: number 0 holds those below 500.")
    made = models.PositiveIntegerField()
    kept = models.PositiveIntegerField()
    score = models.DecimalField(max_digits=12, decimal_places=1, help_text="The sum of those that were kept.")
    least = models.DecimalField(max_digits=3, decimal_places=1, null=True)
    most = models.DecimalField(max_digits=3, decimal_places=1, null=True)
    genres = models.JSONField(default=dict, help_text="Of those that were kept: {genre: how many}.")
    wins = models.JSONField(default=dict, help_text="Of those that were kept: {generator: how many}.")
    candidates = models.JSONField(default=dict, help_text="Of all: {generator: [how many have a score, their sum]}.")

    class Meta:
        ordering = ["job", "block"]
        constraints = [models.UniqueConstraint(fields=["job", "block"], name="example_sum_once")]

    def __str__(self) -> str:
        return f"Examples of job {self.job_id}, block {self.block}"
