"""What a job's handler is given: its lease, its voice and its ears."""

from __future__ import annotations

import threading
import time
from typing import Any

from django.db import connection
from django.utils import timezone

from finwave.jobs import services
from finwave.jobs.exceptions import Interrupted, LeaseLost
from finwave.jobs.models import Job

# Progress is written at most so often; the last one of a handler always is.
PROGRESS_EVERY_S = 0.5

# Set by the worker's signal handler when the worker is to end.
shutting_down = threading.Event()


class JobRun:
    """One attempt at a job. All its methods may raise `LeaseLost`."""

    def __init__(self, job: Job, token: str) -> None:
        self.job_id = job.pk
        self.subject_id = job.subject_id
        self.scope_id = job.scope_id
        self.attempt = job.attempt
        self.token = token
        self._lost = threading.Event()
        self._ended = threading.Event()
        self._progress_at = 0.0
        self._rate_from: tuple[float, int] | None = None
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> JobRun:
        self._heart.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._heart.join(timeout=services.HEARTBEAT_S + 1)

    def _beat(self) -> None:
        try:
            while not self._ended.wait(services.HEARTBEAT_S):
                if not services.heartbeat(self.job_id, self.token):
                    self._lost.set()
                    return
        finally:
            connection.close()

    def begin(self, *, n_total: int, phase: str = "") -> None:
        """Say that preparation is over and how much there is to do."""
        Job.objects.filter(
            pk=self.job_id, lease_token=self.token, status=Job.Status.PREPARING
        ).update(status=Job.Status.RUNNING)
        services.update_held(self.job_id, self.token, n_total=n_total, phase=phase)
        status = Job.objects.values_list("status", flat=True).get(pk=self.job_id)
        services.append_event(self.job_id, "status", {"status": status})

    def progress(
        self,
        n_done: int,
        *,
        n_failed: int = 0,
        phase: str | None = None,
        time_left_s: float | None = None,
        rate: float | None = None,
        force: bool = False,
    ) -> None:
        """Write how far the work is; cheap to call often.

        Rate and time left are worked out from this attempt's progress when not given.
        """
        now = time.monotonic()
        if not force and now - self._progress_at < PROGRESS_EVERY_S:
            return
        self._progress_at = now
        job = Job.objects.only("n_total", "n_done").get(pk=self.job_id)
        if self._rate_from is None:
            self._rate_from = (now, n_done)
        since, done_then = self._rate_from
        if rate is None and now > since and n_done > done_then:
            rate = (n_done - done_then) / (now - since)
        if time_left_s is None and rate:
            time_left_s = max(job.n_total - n_done, 0) / rate
        fields: dict[str, Any] = {
            "n_done": min(n_done, job.n_total) if job.n_total else n_done,
            "n_failed": n_failed,
            "rate": rate,
            "time_left_s": time_left_s,
        }
        if phase is not None:
            fields["phase"] = phase
        # Progress clears the count of attempts that died without any.
        if n_done > job.n_done:
            fields["failed_attempts"] = 0
        services.update_held(self.job_id, self.token, **fields)
        services.append_event(
            self.job_id, "progress", {**fields, "n_total": job.n_total}
        )

    def event(self, kind: str, data: dict[str, Any]) -> int:
        """Append an event of the handler's own kind."""
        self.check_lease()
        return services.append_event(self.job_id, kind, data)

    def log(self, message: str, level: str = "info") -> None:
        """Append a line to the job's log, for the user to read."""
        self.event(
            "log",
            {"level": level, "message": message, "at": timezone.now().isoformat()},
        )

    def check_lease(self) -> None:
        if self._lost.is_set():
            raise LeaseLost(f"job {self.job_id} is held by somebody else")

    def should_stop(self) -> bool:
        """True when the user asked for a stop.

        Raises:
            Interrupted: when the worker is shutting down; let it pass through, the
                job goes back to the queue.
            LeaseLost: when somebody else holds the job.
        """
        self.check_lease()
        if self.is_stop_requested():
            return True
        if shutting_down.is_set():
            raise Interrupted("The worker is shutting down.")
        return False

    def is_stop_requested(self) -> bool:
        return Job.objects.filter(
            pk=self.job_id, stop_requested_at__isnull=False
        ).exists()

    def progress_phase(self, phase: str) -> None:
        """Say what the job does just now, without a figure."""
        services.update_held(self.job_id, self.token, phase=phase)
        services.append_event(self.job_id, "progress", {"phase": phase})
