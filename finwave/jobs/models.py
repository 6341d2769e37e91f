"""The rows behind every long piece of work, and the events they write."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q


class JobQuerySet(models.QuerySet["Job"]):
    def active(self) -> JobQuerySet:
        return self.filter(status__in=Job.ACTIVE)

    def unfinished(self) -> JobQuerySet:
        return self.filter(status__in=(*Job.ACTIVE, Job.Status.QUEUED))

    def in_scope(self, scope_id: int) -> JobQuerySet:
        return self.filter(scope_id=scope_id)


class Job(models.Model):
    """One long piece of work. The queue only carries its id; this row is the truth."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        PREPARING = "preparing", "Preparing"
        RUNNING = "running", "Running"
        STOPPING = "stopping", "Stopping"
        STOPPED = "stopped", "Stopped"
        COMPLETED = "completed", "Completed"
        FAILED = "failed", "Failed"

    # Somebody holds the lease and works.
    ACTIVE: ClassVar = (Status.PREPARING, Status.RUNNING, Status.STOPPING)
    TERMINAL: ClassVar = (Status.STOPPED, Status.COMPLETED, Status.FAILED)

    kind = models.CharField(max_length=60, help_text="a kind known to jobs.kinds")
    queue = models.CharField(max_length=20, help_text="cpu or train")
    title = models.CharField(max_length=200)
    scope_id = models.BigIntegerField(
        help_text="id of what decides who may see the job (a population)"
    )
    subject_id = models.BigIntegerField(help_text="id of the row the job is about")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL
    )

    status = models.CharField(
        max_length=12, choices=Status.choices, default=Status.QUEUED
    )
    reason = models.TextField(
        blank=True, help_text="why it failed, stopped or waits, in the user's words"
    )
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )

    lease_token = models.CharField(max_length=32, blank=True)
    lease_owner = models.CharField(
        max_length=200, blank=True, help_text="host:pid:start time of the holder"
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    attempt = models.PositiveIntegerField(
        default=0, help_text="how often somebody claimed the job"
    )
    failed_attempts = models.PositiveIntegerField(
        default=0, help_text="attempts in a row that made no progress"
    )

    n_done = models.PositiveIntegerField(default=0)
    n_failed = models.PositiveIntegerField(default=0)
    n_total = models.PositiveIntegerField(default=0)
    unit = models.CharField(max_length=20, default="photos")
    rate = models.FloatField(null=True, blank=True, help_text="units per second")
    time_left_s = models.FloatField(null=True, blank=True)
    phase = models.CharField(
        max_length=120, blank=True, help_text="what it does just now"
    )

    last_seq = models.PositiveIntegerField(
        default=0, help_text="number of the last event"
    )
    moved_bytes = models.PositiveBigIntegerField(
        default=0, help_text="how much of a supervised process's event file was read"
    )

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-pk"]
        indexes: ClassVar = [
            models.Index(fields=["status", "queue"]),
            models.Index(fields=["scope_id", "status"]),
            models.Index(fields=["kind", "subject_id"]),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                name="job_active_has_lease",
                condition=Q(status__in=("queued", "stopped", "completed", "failed"))
                | ~Q(lease_token=""),
            ),
            models.CheckConstraint(
                name="job_terminal_is_finished",
                condition=~Q(status__in=("stopped", "completed", "failed"))
                | Q(finished_at__isnull=False),
            ),
            models.CheckConstraint(
                name="job_done_within_total",
                condition=Q(n_total=0) | Q(n_total__gte=F("n_done")),
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.title}"

    @property
    def is_active(self) -> bool:
        return self.status in self.ACTIVE

    @property
    def is_finished(self) -> bool:
        return self.status in self.TERMINAL

    @property
    def percent(self) -> int:
        if self.status == self.Status.COMPLETED:
            return 100
        return 100 * self.n_done // self.n_total if self.n_total else 0


class Event(models.Model):
    """One numbered line of a job's history; (job, seq) is the cursor of readers."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["job", "seq"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["job", "seq"], name="event_seq_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id}:{self.seq} {self.kind}"
