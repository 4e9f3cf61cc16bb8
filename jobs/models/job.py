"""Jobs, their attempts, and what happened to them."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from datasets.models import Dataset, DatasetVersion, Subject
from jobs.models.nodes import Slot
from jobs.states import ACTIVE, TERMINAL, Phase, Request, Status
from registry.models import Model, ModelVersion


class AfterFailure(models.TextChoices):
    """What becomes of a job when one that it starts after fails or is cancelled."""

    CANCEL = "cancel", "It is cancelled"
    WAIT = "wait", "It waits until that one is retried and completes"
    RUN = "run", "It starts all the same"


class Job(models.Model):
    """One request to run a recipe. Its status is changed by `jobs.lifecycle` alone."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="jobs")
    name = models.CharField(max_length=200)
    recipe = models.CharField(max_length=50)
    config = models.JSONField(default=dict, help_text="The recipe's complete, validated configuration.")
    seed = models.BigIntegerField(default=0)
    dataset_version = models.ForeignKey(DatasetVersion, models.PROTECT, null=True, blank=True, related_name="jobs")
    subject = models.ForeignKey(Subject, models.PROTECT, null=True, blank=True, related_name="jobs")
    model = models.ForeignKey(Model, models.PROTECT, null=True, blank=True, related_name="jobs")
    base_version = models.ForeignKey(ModelVersion, models.PROTECT, null=True, blank=True, related_name="+")
    save_to = models.ForeignKey(
        Dataset, models.SET_NULL, null=True, blank=True, related_name="filled_by",
        help_text="Takes the examples that a run which generates keeps.",
    )  # fmt: skip
    resources = models.JSONField(default=dict, blank=True, help_text="What it needs of a node, see jobs.needs.")
    lane = models.CharField(
        max_length=300, default="any 1 0 ", help_text="`resources` as a key: jobs of a lane fit the same slots."
    )

    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    phase = models.CharField(max_length=12, choices=Phase, default=Phase.NONE, blank=True)
    waiting_for = models.CharField(max_length=300, blank=True)
    request = models.CharField(max_length=10, choices=Request, default=Request.NONE, blank=True)
    requested_at = models.DateTimeField(null=True, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="+")

    priority = models.SmallIntegerField(default=0, help_text="Higher runs first.")
    position = models.FloatField(default=0, help_text="Order within a priority; lower runs first. See jobs.places.")
    interrupted = models.BooleanField(default=False, help_text="Lost its worker; goes before all others.")
    preemptible = models.BooleanField(default=False, help_text="Gives way, at a checkpoint, to a higher priority.")
    not_before = models.DateTimeField(null=True, blank=True, help_text="Stays pending until then.")
    after_failure = models.CharField(
        max_length=10, choices=AfterFailure, default=AfterFailure.CANCEL,
        help_text="What becomes of it when a job that it starts after does not complete.",
    )  # fmt: skip
    max_seconds = models.FloatField(null=True, blank=True, help_text="Longest running time over all attempts.")
    phase_seconds = models.JSONField(default=dict, blank=True, help_text="Phase → longest time in it, in seconds.")
    stall_seconds = models.FloatField(null=True, blank=True, help_text="Longest time without progress.")

    # The fence: an attempt whose number is not this one can write nothing.
    attempt_number = models.PositiveIntegerField(default=0)
    attempts_since_progress = models.PositiveIntegerField(default=0)

    current_step = models.PositiveBigIntegerField(default=0)
    total_steps = models.PositiveBigIntegerField(null=True, blank=True)
    current_epoch = models.FloatField(null=True, blank=True)
    total_epochs = models.FloatField(null=True, blank=True)
    current_loss = models.FloatField(null=True, blank=True)
    validation_loss = models.FloatField(null=True, blank=True)
    rate = models.FloatField(null=True, blank=True, help_text="Examples per second.")
    step_seconds = models.FloatField(null=True, blank=True, help_text="Smoothed seconds per step.")
    figures = models.JSONField(default=dict, blank=True, help_text="Latest use of device, CPU and memory.")
    sample = models.TextField(blank=True, help_text="What the model made last, in words; see also JobSample.")
    progress_at = models.DateTimeField(null=True, blank=True)
    spent_seconds = models.FloatField(default=0, help_text="Running time of attempts that have ended.")

    failure_code = models.CharField(max_length=40, blank=True)
    failure_message = models.TextField(blank=True)
    failure_hint = models.TextField(blank=True)
    failure_traceback = models.TextField(blank=True)
    metrics = models.JSONField(default=dict, blank=True)
    # {"seconds", "low", "high", "runs"} or {"reason"}; "device", "devices"; "price", "currency", "cost" where set.
    estimate = models.JSONField(default=dict, blank=True, help_text="Made with the job, by runs of the past.")
    environment = models.JSONField(default=dict, blank=True)
    model_version = models.OneToOneField(ModelVersion, models.PROTECT, null=True, blank=True, related_name="job")

    idempotency_key = models.CharField(max_length=200, blank=True)
    request_digest = models.CharField(max_length=64, blank=True)
    log_lines = models.PositiveIntegerField(default=0)
    event_count = models.PositiveIntegerField(default=0)
    schedule = models.ForeignKey(
        "Schedule", models.SET_NULL, null=True, blank=True, related_name="jobs", db_index=False,
        help_text="The schedule that made it.",
    )  # fmt: skip
    scheduled_for = models.DateTimeField(null=True, blank=True, help_text="The time of the schedule that it serves.")
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True, help_text="Start of the first attempt.")
    attempt_started_at = models.DateTimeField(null=True, blank=True, help_text="Start of the running attempt.")
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When it ended, however it ended.")

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=TERMINAL, completed_at__isnull=False)
                | Q(status__in=ACTIVE, completed_at__isnull=True),
                name="job_ended_has_time",
            ),
            models.CheckConstraint(
                condition=(Q(status="running") & ~Q(phase="") & Q(attempt_started_at__isnull=False))
                | (~Q(status="running") & Q(phase="") & Q(attempt_started_at__isnull=True)),
                name="job_running_has_phase_and_attempt",
            ),
            models.CheckConstraint(
                condition=(Q(status="failed") & ~Q(failure_code="")) | (~Q(status="failed") & Q(failure_code="")),
                name="job_failed_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(status="running") | Q(request=""), name="job_request_only_while_running"
            ),
            models.CheckConstraint(
                condition=(Q(status="pending") & ~Q(waiting_for="")) | ~Q(status="pending"),
                name="job_pending_says_for_what",
            ),
            models.CheckConstraint(
                condition=(Q(max_seconds__isnull=True) | Q(max_seconds__gt=0))
                & (Q(stall_seconds__isnull=True) | Q(stall_seconds__gt=0)),
                name="job_limits_are_positive",
            ),
            models.CheckConstraint(
                condition=Q(model_version__isnull=True) | Q(status="completed"), name="job_version_only_when_completed"
            ),
            models.CheckConstraint(
                condition=Q(total_steps__isnull=True) | Q(current_step__lte=F("total_steps")),
                name="job_step_within_total",
            ),
            models.UniqueConstraint(
                fields=["model"], condition=Q(status__in=ACTIVE, model__isnull=False), name="job_one_active_per_model"
            ),
            models.UniqueConstraint(
                fields=["recipe", "subject"],
                condition=Q(status__in=ACTIVE, subject__isnull=False),
                name="job_one_active_per_recipe_and_subject",
            ),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"], condition=~Q(idempotency_key=""), name="job_request_once"
            ),
            models.UniqueConstraint(
                fields=["schedule", "scheduled_for"],
                condition=Q(schedule__isnull=False, scheduled_for__isnull=False),
                name="job_one_per_time_of_a_schedule",
            ),
        ]
        indexes = [
            # The queue: interrupted jobs first, then priority, then position.
            models.Index(
                F("interrupted").desc(), F("priority").desc(), "position", "id",
                condition=Q(status="queued"), name="job_claim_order",
            ),
            # The claim: the first job of each lane and owner, whatever stands before it in other lanes. Its order is
            # written otherwise than that of the index above, which would have to be read to its end for a rare lane.
            models.Index(
                F("lane"), F("owner"), F("interrupted").desc(), F("priority") * -1, "position", "id",
                condition=Q(status="queued"), name="job_lane_order",
            ),
            # Where an owner's next job goes.
            models.Index(
                fields=["owner", "priority", "position"], condition=Q(status="queued"), name="job_owner_places"
            ),
            models.Index(fields=["not_before"], condition=Q(status="pending"), name="job_pending_due"),
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["owner", "-created_at", "-id"], name="job_owner_newest"),
            models.Index(fields=["status", "-created_at"], name="job_status_newest"),
            # What the dashboard says of jobs that have ended, one's own and everyone's.
            models.Index(
                fields=["owner", "-completed_at"], include=["status", "spent_seconds"],
                condition=Q(completed_at__isnull=False), name="job_owner_ended",
            ),
            models.Index(
                fields=["-completed_at"], include=["status", "spent_seconds"],
                condition=Q(completed_at__isnull=False), name="job_ended",
            ),
            models.Index(fields=["schedule", "-id"], condition=Q(schedule__isnull=False), name="job_of_schedule"),
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def progress(self) -> float:
        """Percent of the steps done, 0–100, with one decimal. 100 only for a completed job."""
        if self.status == Status.COMPLETED:
            return 100.0
        if not self.total_steps:
            return 0.0
        return min(99.9, round(100 * self.current_step / self.total_steps, 1))

    def elapsed_seconds(self, now: datetime | None = None) -> float:
        """Running time over all attempts, without waiting and pauses."""
        running = 0.0
        if self.attempt_started_at:
            running = max(0.0, ((now or timezone.now()) - self.attempt_started_at).total_seconds())
        return self.spent_seconds + running

    @property
    def remaining_seconds(self) -> float | None:
        """Time left at the present speed; None while it is not known or the job does not run."""
        if self.status != Status.RUNNING or not self.total_steps or not self.step_seconds:
            return None
        return max(0.0, (self.total_steps - self.current_step) * self.step_seconds)


class Dependency(models.Model):
    """A job that starts only after another one has ended. Made with the job, so there are no circles."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="dependencies")
    needs = models.ForeignKey(Job, models.PROTECT, related_name="dependents")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "needs"], name="dependency_once"),
            models.CheckConstraint(condition=Q(needs__lt=F("job")), name="dependency_on_an_earlier_job"),
        ]
        verbose_name_plural = "dependencies"

    def __str__(self) -> str:
        return f"Job {self.job_id} after job {self.needs_id}"


class Limit(models.Model):
    """How many jobs a user or a subject may have running, and waiting or running, at a time.

    The row without user and subject holds for every user who has none of their own. Null is 'no limit'.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+")
    subject = models.OneToOneField(Subject, models.CASCADE, null=True, blank=True, related_name="+")
    max_running = models.PositiveIntegerField(null=True, blank=True, help_text="Running at a time.")
    max_active = models.PositiveIntegerField(null=True, blank=True, help_text="Not yet ended, waiting ones included.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(user__isnull=True) | Q(subject__isnull=True), name="limit_of_a_user_or_a_subject"
            ),
            # NULLs count as equal here: there is one row for everybody.
            models.UniqueConstraint(fields=["user", "subject"], name="limit_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return f"Limit of {self.user or self.subject or 'every user'}"


class Attempt(models.Model):
    """One time that a worker took a job up. It holds a lease that its supervisor renews."""

    class Outcome(models.TextChoices):
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped with its node"
        PREEMPTED = "preempted", "Gave way"
        CRASHED = "crashed", "Trainer died"
        LOST = "lost", "Worker lost"

    job = models.ForeignKey(Job, models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    slot = models.ForeignKey(Slot, models.SET_NULL, null=True, related_name="attempts")
    devices = models.JSONField(default=list, help_text="The devices of all slots that it was given.")
    # Who supervises it: enough to tell on the same host, at once, that they are gone.
    host = models.CharField(max_length=200)
    boot_id = models.CharField(max_length=64)
    supervisor_pid = models.PositiveIntegerField()
    supervisor_start = models.BigIntegerField(help_text="Clock ticks since boot: tells a reused pid.")
    trainer_pid = models.PositiveIntegerField(null=True)
    trainer_start = models.BigIntegerField(null=True)
    first_step = models.PositiveBigIntegerField(null=True, help_text="The step that it resumed from.")
    started_at = models.DateTimeField()
    lease_until = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    # Batches of progress written so far. Tells after a lost answer whether a commit took place.
    flushes = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=Outcome, blank=True)
    code = models.CharField(max_length=40, blank=True, help_text="Why it ended badly: a code of engine.protocol.")
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="attempt_number_once"),
            models.UniqueConstraint(
                fields=["job"], condition=Q(ended_at__isnull=True), name="attempt_one_active_per_job"
            ),
            models.UniqueConstraint(
                fields=["slot"],
                condition=Q(ended_at__isnull=True, slot__isnull=False),
                name="attempt_one_active_per_slot",
            ),
            models.CheckConstraint(
                condition=(Q(ended_at__isnull=True) & Q(outcome="")) | (Q(ended_at__isnull=False) & ~Q(outcome="")),
                name="attempt_ended_has_outcome",
            ),
        ]
        indexes = [
            models.Index(fields=["lease_until"], condition=Q(ended_at__isnull=True), name="attempt_lease"),
        ]

    def __str__(self) -> str:
        return f"Job {self.job_id}, attempt {self.number}"


class JobEvent(models.Model):
    """Who did what to a job, when, from which state to which. Append-only; `sequence` has no gaps."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="events", db_index=False)
    sequence = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=30)  # created, queued, started, checkpoint, pause_requested, …
    from_status = models.CharField(max_length=10, choices=Status, blank=True)
    to_status = models.CharField(max_length=10, choices=Status, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    attempt_number = models.PositiveIntegerField(null=True)
    message = models.CharField(max_length=500, blank=True)
    details = models.JSONField(default=dict)

    class Meta:
        ordering = ["job", "sequence"]
        constraints = [models.UniqueConstraint(fields=["job", "sequence"], name="job_event_sequence_once")]

    def __str__(self) -> str:
        return f"{self.kind} of job {self.job_id}"


class OutboxMessage(models.Model):
    """Something that a higher room must know. Written in the transaction of what happened, taken up later."""

    topic = models.CharField(max_length=40)  # run_ended
    job = models.ForeignKey(Job, models.CASCADE, related_name="+")
    attempt_number = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    processed_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["topic", "job", "attempt_number"], name="outbox_message_once")]
        indexes = [
            models.Index(fields=["topic", "id"], condition=Q(processed_at__isnull=True), name="outbox_open"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} of job {self.job_id}"
